"""A span is split by user: a user's rows of that span are all learnt from or all held out; only salt, span and user decide.

So no model is judged on a user whose other rows of that day it has just read, and a replay splits as the first run did.
"""

import hashlib
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from widedeep.artifacts import canonical_json
from widedeep.data.contract import Contract


@dataclass(frozen=True)
class Split:
    """The rows of one span, in the order of the span."""

    train: pa.Table
    holdout: pa.Table


def split(table: pa.Table, contract: Contract, span: date) -> Split:
    """Hold out about `holdout_share` of the users. With two users or more, each side has one at least."""
    held_out = is_held_out(table[contract.user], contract, span)
    return Split(train=table.filter(pc.invert(held_out)), holdout=table.filter(held_out))


def is_held_out(users: pa.ChunkedArray, contract: Contract, span: date) -> pa.ChunkedArray:
    """The rule of `split` for the users of all rows of a span: whether each row is held out, never null."""
    distinct = pc.unique(users)
    return pc.is_in(users, distinct.filter(pa.array(_held_out(distinct.to_pylist(), contract, span), pa.bool_())))


def _held_out(users: list[object], contract: Contract, span: date) -> list[bool]:
    draws = [_draw(contract.split.salt, span, user) for user in users]
    if len(draws) < 2:  # noqa: PLR2004  a lone user is learnt from
        return [False for _ in draws]
    lowest, highest = min(draws), max(draws)
    return [draw == lowest or (draw < contract.split.holdout_share and draw != highest) for draw in draws]


def _draw(salt: str, span: date, user: object) -> float:
    """A number in [0, 1) that is as good as random, and always the same."""
    digest = hashlib.sha256(canonical_json([salt, span.isoformat(), user])).digest()
    return int.from_bytes(digest[:8]) / 2**64
