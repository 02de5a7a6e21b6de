"""Who is forgotten, and up to which day: recorded once, under the SHA-256 of the key's text, never under the key.

From a record on, no row of that user of a span up to its day is stored or learnt.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa

from widedeep.artifacts import Digest, ErasureId, Value, canonical_json, sha256
from widedeep.data.erased import rows_of_users
from widedeep.publishing import layout
from widedeep.publishing.store import ObjectStore


class Erasure(Value):
    """A user is forgotten in all spans up to a day."""

    user_sha256: Digest
    until: date
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, order=True)
class Erased:
    """What the key of an erasure says."""

    until: date
    user_sha256: Digest

    @property
    def erasure_id(self) -> ErasureId:
        return f"e-{sha256(canonical_json([self.until.isoformat(), self.user_sha256]))[:16]}"


def record(store: ObjectStore, erasure: Erasure) -> Erased:
    """Write that a user is forgotten. The first record stands."""
    store.create(layout.erasure(erasure.until, erasure.user_sha256), erasure.to_bytes())
    return Erased(erasure.until, erasure.user_sha256)


def erasures(store: ObjectStore) -> tuple[Erased, ...]:
    """All erasures; reads none of them."""
    return tuple(sorted(Erased(*layout.erasure_of(key)) for key in store.keys(layout.erasures())))


def forgotten_in(known: Iterable[Erased], span: date) -> frozenset[Digest]:
    """Whose rows of a span are neither stored nor learnt."""
    return frozenset(erased.user_sha256 for erased in known if span <= erased.until)


def without_erased(store: ObjectStore, span: date, rows: pa.Table, user: str) -> pa.Table:
    """The rows of a span but for those of users who are forgotten in it; `user` names the column."""
    digests = forgotten_in(erasures(store), span)
    if not digests or user not in rows.column_names:
        return rows
    return rows.filter(pa.array(~rows_of_users(rows[user], digests)))
