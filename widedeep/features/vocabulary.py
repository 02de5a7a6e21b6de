"""Row numbers are append-only: a row, once given, never moves and never changes its value.

Two vocabularies: `values` maps (feature, string key) to a row of the embedding table, `crosses` maps (cross, int64 key) to a row
of the crosses' one-column table. Each feature of `values` has an out-of-vocabulary (OOV) row before its first value; crosses have
none: an unseen cross contributes nothing. New rows are given in sorted order, so the order of a batch changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from widedeep.errors import IntegrityError
from widedeep.features.bags import Int32s, Int64s

VALUE_KEY, CROSS_KEY = pa.string(), pa.int64()


def _row_schema(key: pa.DataType) -> pa.Schema:
    columns = [("feature", pa.string()), ("key", key), ("oov", pa.bool_()), ("generation", pa.int32())]
    return pa.schema([*columns, ("first_span", pa.date32()), ("last_span", pa.date32())])


def _waiting_schema(key: pa.DataType) -> pa.Schema:
    return pa.schema([("feature", pa.string()), ("key", key), ("sightings", pa.int64())])


@dataclass(frozen=True)
class Sightings:
    """How often each distinct key of one feature occurred in a span; `min_count` of them, over all spans, admit it."""

    feature: str
    keys: pa.Array
    counts: Int64s
    min_count: int


@dataclass(frozen=True)
class Vocabulary:
    """`rows`: entry i is row i of the tables. `waiting`: keys seen too rarely so far, with their sightings in all spans."""

    rows: pa.Table
    waiting: pa.Table

    @classmethod
    def empty(cls, key: pa.DataType) -> Vocabulary:
        return cls(_row_schema(key).empty_table(), _waiting_schema(key).empty_table())

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def lookup(self, feature: str, keys: pa.Array) -> Int32s:
        """(N,) int32 row of each key, -1 where it has none."""
        if feature not in self._rows_by_feature:
            return np.full(len(keys), -1, np.int32)
        known, rows = self._rows_by_feature[feature]
        found = pc.index_in(keys, value_set=known).fill_null(-1).to_numpy()
        return np.where(found >= 0, rows[found], np.int32(-1))

    def oov_rows(self) -> dict[str, int]:
        """Each feature's OOV row."""
        rows = np.flatnonzero(self.rows["oov"].to_numpy())
        return dict(zip(self.rows["feature"].take(rows).to_pylist(), rows.tolist(), strict=True))

    @cached_property
    def _rows_by_feature(self) -> dict[str, tuple[pa.Array, Int32s]]:
        features = self.rows["feature"].combine_chunks().dictionary_encode()
        codes, oov = features.indices.to_numpy(), self.rows["oov"].to_numpy()
        keys = self.rows["key"].combine_chunks()
        places = {
            name: np.flatnonzero((codes == i) & ~oov).astype(np.int32) for i, name in enumerate(features.dictionary.to_pylist())
        }
        return {name: (keys.take(pa.array(rows)), rows) for name, rows in places.items() if len(rows)}

    def with_oov(self, features: Iterable[str], span: date) -> Vocabulary:
        """Give an OOV row to every feature that has none."""
        missing = sorted(set(features) - self.oov_rows().keys())
        nulls = pa.nulls(len(missing), self.rows.schema.field("key").type)
        return replace(self, rows=pa.concat_tables([self.rows, self._new_rows(missing, nulls, span, oov=True)]).combine_chunks())

    def grown(self, sightings: Iterable[Sightings], span: date) -> Vocabulary:
        """Admit every key that has now been seen `min_count` times; the others wait. Known rows only get a later `last_span`."""
        seen = sorted(sightings, key=lambda s: s.feature)
        last_span = self.rows["last_span"].cast(pa.int32()).to_numpy().copy()
        new, waiting = [], [_without(self.waiting, [s.feature for s in seen])]
        for s in seen:
            row = self.lookup(s.feature, s.keys)
            last_span[row[row >= 0]] = np.maximum(last_span[row[row >= 0]], (span - date(1970, 1, 1)).days)
            total = self._total(s, unknown=row < 0)
            admitted = total.filter(pc.greater_equal(total["sightings"], s.min_count))
            new.append(self._new_rows([s.feature] * len(admitted), admitted["key"].combine_chunks(), span, oov=False))
            waiting.append(total.filter(pc.less(total["sightings"], s.min_count)))
        known = self.rows.set_column(5, "last_span", pa.array(last_span, pa.int32()).cast(pa.date32()))
        ordered = pa.concat_tables(waiting).combine_chunks().sort_by([("feature", "ascending"), ("key", "ascending")])
        return Vocabulary(pa.concat_tables([known, *new]).combine_chunks(), ordered)

    def _total(self, seen: Sightings, unknown: np.ndarray) -> pa.Table:
        """Sightings of one feature's keys without a row, in this span and before, sorted by key."""
        before = self.waiting.filter(pc.equal(self.waiting["feature"], seen.feature))
        keys, counts = seen.keys.filter(pa.array(unknown)), pa.array(seen.counts[unknown], pa.int64())
        now = pa.table([pa.array([seen.feature] * len(keys), pa.string()), keys, counts], schema=self.waiting.schema)
        both = pa.concat_tables([before, now]).group_by(["feature", "key"], use_threads=False).aggregate([("sightings", "sum")])
        return both.rename_columns({"sightings_sum": "sightings"}).select(self.waiting.column_names).sort_by("key")

    def _new_rows(self, features: list[str], keys: pa.Array, span: date, *, oov: bool) -> pa.Table:
        n = len(features)
        constant = [pa.array([oov] * n, pa.bool_()), pa.array([0] * n, pa.int32())]
        spans = [pa.array([span] * n, pa.date32())] * 2
        return pa.table([pa.array(features, pa.string()), keys, *constant, *spans], schema=self.rows.schema)

    def to_table(self) -> pa.Table:
        """One table for the store: the rows in order, then the waiting keys (those have sightings and no generation)."""
        return pa.concat_tables([self.rows, self.waiting], promote_options="default").combine_chunks()

    @classmethod
    def from_table(cls, table: pa.Table, key: pa.DataType) -> Vocabulary:
        """The inverse of `to_table`.

        Raises:
            IntegrityError: the table has other columns.
        """
        wanted = pa.unify_schemas([_row_schema(key), _waiting_schema(key)])
        if table.schema.remove_metadata() != wanted:
            raise IntegrityError(
                f"vocabulary: columns are {table.schema.names}, wanted {wanted.names} as {wanted.types}. Nothing was loaded."
            )
        waits = pc.is_null(table["generation"])
        rows = table.filter(pc.invert(waits)).select(_row_schema(key).names)
        return cls(rows.combine_chunks(), table.filter(waits).select(_waiting_schema(key).names).combine_chunks())


def _without(table: pa.Table, features: list[str]) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table["feature"], value_set=pa.array(features, pa.string()))))
