"""Who gets a row: keys seen often enough, as far as there is room; the most often seen first, and ties in sorted order.

A newcomer takes a free row, else the row that expired first, else a new one at the end. Nothing is moved: tables never shrink.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from widedeep.features.bags import Int32s, Int64s
from widedeep.features.vocabulary import Vocabulary, stacked

EPOCH = date(1970, 1, 1)
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Sightings:
    """How often each distinct key of one feature occurred in a span; `min_count` of them, over all spans, admit it."""

    feature: str
    keys: pa.Array
    counts: Int64s
    min_count: int

    def where(self, keep: NDArray[np.bool_]) -> Sightings:
        """Only the keys for which `keep` holds."""
        return replace(self, keys=self.keys.filter(pa.array(keep)), counts=self.counts[keep])


def counted(chunks: Iterable[list[Sightings]]) -> list[Sightings]:
    """The sightings of all chunks of a span, each key once; of no feature more than twice its keys and a chunk are held."""
    collected: dict[str, list[Sightings]] = {}
    for sightings in chunks:
        for s in sightings:
            own = collected.setdefault(s.feature, [])
            own.append(s)
            # The first is the total so far. Grouping it with each chunk would cost chunks times distinct keys.
            if sum(len(later.keys) for later in own[1:]) > len(own[0].keys):
                own[:] = [_together(own)]
    return [_together(own) for own in collected.values()]


def _together(parts: list[Sightings]) -> Sightings:
    if len(parts) == 1:
        return parts[0]
    keys, counts = pa.chunked_array([part.keys for part in parts]), np.concatenate([part.counts for part in parts])
    summed = pa.table({"key": keys, "count": counts}).group_by("key", use_threads=False).aggregate([("count", "sum")])
    return replace(parts[0], keys=summed["key"].combine_chunks(), counts=summed["count_sum"].to_numpy())


def admit(
    vocabulary: Vocabulary, sightings: Iterable[Sightings], span: date, *, evict_after_days: int | None, room: int | None
) -> Vocabulary:
    """The vocabulary after it has seen a span. Keys with a row get a later `last_span`; the others wait until they are admitted.

    `room` is how many rows may be appended; None: as many as it takes. What was last seen more than `evict_after_days` before
    the span has expired: a row may then pass to a newcomer, a waiting key is forgotten.
    """
    seen = sorted(sightings, key=lambda s: s.feature)
    oldest = None if evict_after_days is None else span - timedelta(days=evict_after_days)
    found = [vocabulary.lookup(s.feature, s.keys) for s in seen]
    known = _seen_again(vocabulary, found, span)
    unknown = [s.where(rows < 0) for s, rows in zip(seen, found, strict=True)]
    waiting = _counted(_remembered(vocabulary.waiting, oldest), unknown, span)
    reusable = np.concatenate([np.flatnonzero(~known.held()), _expired(known, oldest)])
    chosen = _chosen(waiting, {s.feature: s.min_count for s in seen}, None if room is None else room + len(reusable))
    if not len(chosen):
        return Vocabulary(known.rows, waiting)
    stays = np.ones(len(waiting), np.bool_)
    stays[chosen] = False
    return Vocabulary(_placed(known, waiting.take(chosen), reusable, span), waiting.filter(pa.array(stays)))


def ready(waiting: pa.Table, min_counts: dict[str, int]) -> Int64s:
    """The places in `waiting` of the keys that were seen often enough, ascending."""
    lengths = {name: len(table) for name, table in _by_feature(waiting).items()}
    wanted = np.repeat(np.array([min_counts.get(name, NEVER) for name in lengths], np.int64), list(lengths.values()))
    return np.flatnonzero(waiting["sightings"].to_numpy() >= wanted)


def _days(column: pa.ChunkedArray) -> Int32s:
    """(N,) int32 days since 1970."""
    days: Int32s = column.cast(pa.int32()).to_numpy()
    return days


def _seen_again(vocabulary: Vocabulary, found: list[np.ndarray], span: date) -> Vocabulary:
    last = _days(vocabulary.rows["last_span"]).copy()
    for rows in found:
        known = rows[rows >= 0]
        last[known] = np.maximum(last[known], (span - EPOCH).days)
    column = pa.array(last, pa.int32()).cast(pa.date32())
    return Vocabulary(vocabulary.rows.set_column(5, "last_span", column), vocabulary.waiting)


def _expired(vocabulary: Vocabulary, oldest: date | None) -> Int64s:
    """Rows of keys last seen before `oldest`, the oldest first. OOV rows never expire, free rows have nothing to lose."""
    if oldest is None:
        return np.empty(0, np.int64)
    last = _days(vocabulary.rows["last_span"])
    rows = np.flatnonzero((last < (oldest - EPOCH).days) & vocabulary.held() & ~vocabulary.rows["oov"].to_numpy())
    return rows[np.argsort(last[rows], kind="stable")]


def _remembered(waiting: pa.Table, oldest: date | None) -> pa.Table:
    return waiting if oldest is None else waiting.filter(pc.greater_equal(waiting["last_span"], pa.scalar(oldest)))


def _counted(waiting: pa.Table, unknown: list[Sightings], span: date) -> pa.Table:
    """The waiting keys with the sightings of this span, sorted by feature and key, null last."""
    before = _by_feature(waiting)
    now = {s.feature: _table(s, waiting.schema, span) for s in unknown}
    return stacked([_merged(before.get(f), now.get(f)) for f in sorted(before.keys() | now.keys())] or [waiting])


def _by_feature(waiting: pa.Table) -> dict[str, pa.Table]:
    """The waiting keys of each feature: they are sorted, so each is one run."""
    runs = pc.value_counts(waiting["feature"])
    names, lengths = runs.field("values").to_pylist(), runs.field("counts").to_numpy()
    return {name: waiting.slice(end - n, n) for name, n, end in zip(names, lengths, np.cumsum(lengths), strict=True)}


def _table(seen: Sightings, schema: pa.Schema, span: date) -> pa.Table:
    n = len(seen.keys)
    return pa.table(
        [pa.repeat(seen.feature, n), seen.keys, pa.array(seen.counts), pa.repeat(pa.scalar(span, pa.date32()), n)], schema=schema
    )


def _merged(before: pa.Table | None, now: pa.Table | None) -> pa.Table:
    """Both tables' keys, each once and sorted; `before` is sorted already."""
    if before is None or now is None or not len(now):
        return now.sort_by("key") if before is None and now is not None else before
    both = pa.concat_tables([before, now]).group_by(["feature", "key"], use_threads=False)
    total = both.aggregate([("sightings", "sum"), ("last_span", "max")])
    return (
        total.rename_columns({"sightings_sum": "sightings", "last_span_max": "last_span"}).select(now.column_names).sort_by("key")
    )


def _chosen(waiting: pa.Table, min_counts: dict[str, int], limit: int | None) -> Int64s:
    """The places in `waiting` of those that are admitted now, ascending. Features outside `min_counts` are not read any more."""
    enough = ready(waiting, min_counts)
    if limit is None or len(enough) <= limit:
        return enough
    most_seen_first = np.argsort(-waiting["sightings"].to_numpy()[enough], kind="stable")
    return np.sort(enough[most_seen_first[:limit]])


def _placed(vocabulary: Vocabulary, newcomers: pa.Table, reusable: Int64s, span: date) -> pa.Table:
    """The rows with the newcomers in them: in the first reusable rows, the rest at the end."""
    new = vocabulary.new_rows(newcomers["feature"], newcomers["key"], span, newcomers["last_span"])
    taken = reusable[: len(new)]
    both = stacked([vocabulary.rows, new])
    if not len(taken):
        return both
    source = np.delete(np.arange(len(both)), np.arange(len(vocabulary), len(vocabulary) + len(taken)))
    source[taken] = np.arange(len(vocabulary), len(vocabulary) + len(taken))
    generations = both["generation"].to_numpy()[source]
    generations[taken] = vocabulary.generations()[taken] + 1
    return both.take(source).combine_chunks().set_column(3, "generation", pa.array(generations, pa.int32()))
