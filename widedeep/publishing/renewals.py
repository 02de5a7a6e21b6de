"""Which rows stand for those that an erasure has rewritten without somebody's.

Who has learnt the old rows counts as having learnt the new ones, and what was pending is learnt as it is now (fifth law). A
renewal is written once, before the old rows go; outcomes and lineages keep the digests that they were made with.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Literal

from widedeep.artifacts import Digest, Manifest, Outcome, Snapshot, Value
from widedeep.errors import IntegrityError, StaleError
from widedeep.publishing import layout
from widedeep.publishing.pending import Seen, learnable
from widedeep.publishing.store import ObjectStore
from widedeep.publishing.transfer import ahead

READERS = 16
"""Renewals that are read at once: each is a small object, and there is one for every span and erasure."""

PartName = Literal["train", "holdout"]


class Renewal(Value):
    """Since an erasure, `snapshot` stands for the rows of a span with that digest.

    left_out: whose rows are left out, and in which part of the split they were. resplit: without them other users are held out
    than before, since a split of few users depends on who is there; then who has learnt any of the rows counts as having learnt
    all, so that no model is judged on rows that it has learnt.
    """

    span: date
    digest: Digest
    snapshot: Snapshot
    left_out: dict[Digest, PartName]
    resplit: bool
    at: datetime


@dataclass(frozen=True)
class Renewals:
    """All renewals, by the span and digest of the rows that are no more."""

    by_rows: Mapping[tuple[date, Digest], Renewal]

    def after(self, span: date, digest: Digest) -> Iterator[Renewal]:
        """What has become of rows, one renewal after the other."""
        while renewal := self.by_rows.get((span, digest)):
            yield renewal
            digest = renewal.snapshot.digest

    def current(self, snapshot: Snapshot) -> Snapshot:
        """The rows that stand for these now."""
        for renewal in self.after(snapshot.span, snapshot.digest):
            snapshot = renewal.snapshot
        return snapshot

    def seen(self, seen: Seen) -> Seen:
        """What was learnt, and what stands for it now."""
        return seen | {key for old in seen for key in self._standing_for(*old)}

    def _standing_for(self, span: date, digest: Digest, part: str) -> Iterator[tuple[date, str, str]]:
        parts = {part}
        for renewal in self.after(span, digest):
            parts |= {"train", "holdout"} if renewal.resplit else set()
            yield from ((span, renewal.snapshot.digest, each) for each in parts)

    def outcomes(self, outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
        """The outcomes with the rows that stand now. Two versions that differed in nothing else become one."""
        originals: dict[tuple[date, Digest], Digest | None] = {}
        found = []
        for outcome in outcomes:
            renewed = self._outcome(outcome)
            if renewed.snapshot and learnable(renewed):
                own = outcome.snapshot.digest if outcome.snapshot else None
                if originals.setdefault((renewed.span, renewed.snapshot.digest), own) != own:
                    continue
            found.append(renewed)
        return tuple(found)

    def _outcome(self, outcome: Outcome) -> Outcome:
        snapshot = self.current(outcome.snapshot) if outcome.snapshot else None
        replaces = outcome.replaces
        for renewal in self.after(outcome.span, replaces or ""):
            replaces = renewal.snapshot.digest
        itself = snapshot is not None and replaces == snapshot.digest  # two versions have become one
        return outcome.model_copy(update={"snapshot": snapshot, "replaces": None if itself else replaces})


def load_renewals(store: ObjectStore) -> Renewals:
    """Read them all; one listing where there are none.

    Raises:
        IntegrityError: one is damaged.
    """
    keys = list(store.keys(layout.renewals()))
    found = ahead((partial(_read, store, key) for key in keys), READERS) if keys else iter(())
    return Renewals({(renewal.span, renewal.digest): renewal for renewal in found if renewal})


@contextmanager
def renewals_told(store: ObjectStore, snapshot: Snapshot) -> Iterator[None]:
    """Raise StaleError, with what to do, where rows are missing because an erasure has renewed them."""
    try:
        yield
    except IntegrityError as error:
        renewal = renewal_of(store, snapshot.span, snapshot.digest)
        if renewal is None:
            raise
        raise StaleError(
            f"span {snapshot.span}: its rows v{snapshot.version} were renewed as v{renewal.snapshot.version} by an erasure since "
            f"this run took them in. Run the span again from its start: `widedeep run --span {snapshot.span}`, or clear the "
            "whole run in Airflow."
        ) from error


def renewal_of(store: ObjectStore, span: date, digest: Digest) -> Renewal | None:
    return _read(store, layout.renewal(span, digest))


def renew(store: ObjectStore, renewal: Renewal) -> Renewal:
    """Write what stands for rows from now on. The first renewal of them stands and is returned."""
    store.create(layout.renewal(renewal.span, renewal.digest), renewal.to_bytes())
    return renewal_of(store, renewal.span, renewal.digest) or renewal


def seen_by(store: ObjectStore, manifest: Manifest | None) -> Seen:
    """Everything that a release and its ancestors trained on, and what stands for it now; nothing without a release."""
    return load_renewals(store).seen(manifest.seen()) if manifest else frozenset()


def _read(store: ObjectStore, key: str) -> Renewal | None:
    blob = store.get(key)
    return Renewal.from_bytes(blob.data, f"{store.url}/{key}") if blob else None
