"""What moved most, in words: from what, to what."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from widedeep.data.clusters import Float64s, hashes
from widedeep.data.distances import cumulated, known_values
from widedeep.data.ranks import Ranks
from widedeep.data.shares import Counts, Shares, short_hashes

MOSTLY = 0.8
NULL, EMPTY = "(null)", "(empty list)"


def shares(one: Shares, others: Sequence[Shares]) -> str:
    """Of the values that both sides name; where all are named, of all."""
    now, before = _named(one), _pooled(others)
    complete = all(column.buckets is None for column in (one, *others))
    rows, rows_before = one.total, sum(other.total for other in others)
    told = now.keys() | before.keys() if complete else now.keys() & before.keys()
    value = max(sorted(told), key=lambda v: abs(now.get(v, 0) / rows - before.get(v, 0) / rows_before))
    return f"most of all {value!r}, from {before.get(value, 0) / rows_before:.1%} to {now.get(value, 0) / rows:.1%}"


def gaps(one: Shares, others: Sequence[Shares]) -> str:
    """Nulls and empty lists, each by its share."""
    total, gone = one.total, sum(other.total for other in others)
    empty = f"{EMPTY} from {sum(o.empty for o in others) / gone:.1%} to {one.empty / total:.1%} of the items"
    nulls = f"{NULL} from {sum(o.nulls for o in others) / gone:.1%} to {one.nulls / total:.1%}"
    return f"{nulls}, {empty}" if one.empty or any(o.empty for o in others) else nulls


def unknown(one: Shares, others: Sequence[Shares]) -> str:
    """With the most frequent of the new values whose name is kept, if there is one."""
    level, known = known_values(one, others)
    names = sorted(one.values, key=lambda value: -one.values[value])
    new = [n for n, text in zip(names, short_hashes(hashes(pa.array(names, pa.string()))), strict=True) if text not in known]
    return "those are values of which these spans had none" + (f", e.g. {new[0]!r}" if new and not level else "")


def ranks(one: Ranks, others: Sequence[Ranks]) -> str:
    """Where the cumulative shares differ most, and the medians. If it is mostly nulls, which all shares hold, these are told."""
    places, now, before = cumulated(one, others)
    apart = np.abs(now - before)
    most = 0 if apart[0] >= MOSTLY * apart.max() else int(np.argmax(apart))
    side = "below" if most <= len(places) else "up to"
    what = "nulls" if most == 0 else f"rows {side} {places[(most - 1) % len(places)]:g}"
    medians = f"median from {_median(places, before)} to {_median(places, now)}"
    return f"most of all the {what}, from {before[most]:.1%} to {now[most]:.1%}; {medians}"


def _median(places: Float64s, cumulative: Float64s) -> str:
    """Null is the lowest number."""
    if cumulative[0] >= 0.5 or not len(places):  # noqa: PLR2004
        return "null"
    up_to = np.maximum.accumulate(cumulative[1 + len(places) :])
    return f"{places[min(int(np.searchsorted(up_to, 0.5)), len(places) - 1)]:g}"


def _named(column: Shares) -> Counts:
    return column.values | {NULL: column.nulls, EMPTY: column.empty}


def _pooled(columns: Sequence[Shares]) -> Counts:
    named = [_named(column) for column in columns]
    return {value: sum(counts.get(value, 0) for counts in named) for counts in named for value in counts}
