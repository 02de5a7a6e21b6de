"""A (row, generation) never changes its value: no key moves to another row, and a row passes to another key with generation + 1.

Two vocabularies: `values` maps (feature, string key) to a row of the embedding table, `crosses` maps (cross, int64 key) to a row
of the crosses' one-column table. Each feature of `values` has an out-of-vocabulary (OOV) row, which it keeps; crosses have none.
A row without a feature is free: a cross gave it up (`widedeep.features.growth`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from widedeep.errors import IntegrityError
from widedeep.features.bags import Int32s, Int64s
from widedeep.features.index import Texts, find_numbers, find_texts, number_slots, text_slots, texts_of

VALUE_KEY, CROSS_KEY = pa.string(), pa.int64()


_SPANS = pa.schema([("first_span", pa.date32()), ("last_span", pa.date32())])


def _read_schema(key: pa.DataType) -> pa.Schema:
    return pa.schema([("feature", pa.string()), ("key", key), ("oov", pa.bool_()), ("generation", pa.int32())])


def _row_schema(key: pa.DataType) -> pa.Schema:
    return pa.unify_schemas([_read_schema(key), _SPANS])


def _waiting_schema(key: pa.DataType) -> pa.Schema:
    return pa.schema([("feature", pa.string()), ("key", key), ("sightings", pa.int64()), ("last_span", pa.date32())])


@dataclass(frozen=True)
class Vocabulary:
    """`rows`: entry i is row i of the tables. `waiting`: keys without a row, sorted, with their sightings in all spans."""

    rows: pa.Table
    waiting: pa.Table

    @classmethod
    def empty(cls, key: pa.DataType) -> Vocabulary:
        return cls(_row_schema(key).empty_table(), _waiting_schema(key).empty_table())

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def lookup(self, feature: str, keys: pa.Array) -> Int32s:
        """(N,) int32 row of each key, -1 where it has none."""
        if feature not in self._places:
            return np.full(len(keys), -1, np.int32)
        if feature not in self._slots:
            self._slots[feature] = self._new_slots(self._places[feature])
        if self._texts is None:
            return find_numbers(self._slots[feature], self._numbers, keys.to_numpy())
        found = find_texts(self._slots[feature], self._texts, texts_of(keys))
        if keys.null_count:
            found[keys.is_null().to_numpy(zero_copy_only=False)] = self._missing.get(feature, -1)
        return found

    def oov_rows(self) -> dict[str, int]:
        """Each feature's OOV row."""
        return self._oov_rows

    def generations(self) -> Int32s:
        """(V,) int32: how often each row has passed to another key."""
        generations: Int32s = self.rows["generation"].to_numpy()
        return generations

    def held(self) -> NDArray[np.bool_]:
        """(V,) whether a key, or the unknown values of a feature, holds the row; else it is free."""
        held: NDArray[np.bool_] = self.rows["feature"].is_valid().to_numpy()
        return held

    @cached_property
    def passed_on(self) -> int:
        """How often rows have passed to another key, in all."""
        return int(self.generations().sum(dtype=np.int64))

    def recycled_since(self, before: Vocabulary) -> Int64s:
        """The rows of an earlier state of this vocabulary that have passed to another key since, ascending."""
        return np.flatnonzero(self.generations()[: len(before)] != before.generations())

    def with_oov(self, features: Iterable[str], span: date) -> Vocabulary:
        """Give an OOV row to every feature that has none."""
        missing = pa.array(sorted(set(features) - self.oov_rows().keys()), pa.string())
        if not len(missing):
            return self
        nulls, seen = pa.nulls(len(missing), self.rows.schema.field("key").type), _same(span, len(missing))
        return replace(self, rows=stacked([self.rows, self.new_rows(missing, nulls, span, seen, oov=True)]))

    def new_rows(self, features: pa.Array, keys: pa.Array, span: date, last_span: pa.Array, *, oov: bool = False) -> pa.Table:
        """Rows as they begin in a span. What waited for room may have been seen last in an earlier one."""
        n = len(keys)
        constant = [pa.repeat(oov, n), pa.repeat(pa.scalar(0, pa.int32()), n), _same(span, n)]
        return pa.table([features, keys, *constant, last_span], schema=self.rows.schema)

    def to_read(self) -> pa.Table:
        """What scoring needs, for the store: the rows in order, without their spans."""
        return self.rows.select(_read_schema(self.rows.schema.field("key").type).names).combine_chunks()

    def to_grow(self) -> pa.Table:
        """What only growing needs, for the store: the rows' spans in order, then the waiting keys (those have sightings)."""
        return pa.concat_tables([self.rows.select(_SPANS.names), self.waiting], promote_options="default").combine_chunks()

    @classmethod
    def from_tables(cls, read: pa.Table, grow: pa.Table | None, key: pa.DataType) -> Vocabulary:
        """The inverse of `to_read` and `to_grow`. Without the latter the spans are null, and nothing waits: it can't grow.

        Raises:
            IntegrityError: a table has other columns, or they are of different vocabularies.
        """
        _require(read, _read_schema(key))
        if grow is None:
            nulls = [pa.nulls(read.num_rows, kind) for kind in _SPANS.types]
            return cls(pa.table([*read.columns, *nulls], schema=_row_schema(key)), _waiting_schema(key).empty_table())
        _require(grow, pa.unify_schemas([_SPANS, _waiting_schema(key)]))
        waits = pc.is_valid(grow["sightings"])
        spans = grow.filter(pc.invert(waits)).select(_SPANS.names)
        if spans.num_rows != read.num_rows:
            raise IntegrityError(f"vocabulary: got spans of {spans.num_rows} rows, wanted {read.num_rows}. Nothing was loaded.")
        rows = pa.table([*read.columns, *spans.columns], schema=_row_schema(key))
        return cls(rows.combine_chunks(), grow.filter(waits).select(_waiting_schema(key).names).combine_chunks())

    @classmethod
    def from_format_1(cls, table: pa.Table, key: pa.DataType) -> Vocabulary:
        """All in one table: the rows in order, then the waiting keys (those have no generation).

        Raises:
            IntegrityError: the table has other columns.
        """
        _require(table, pa.unify_schemas([_row_schema(key), _waiting_schema(key)]))
        waits = pc.is_null(table["generation"])
        rows = table.filter(pc.invert(waits)).select(_row_schema(key).names)
        return cls(rows.combine_chunks(), table.filter(waits).select(_waiting_schema(key).names).combine_chunks())

    @cached_property
    def _oov_rows(self) -> dict[str, int]:
        rows = np.flatnonzero(self.rows["oov"].to_numpy())
        return dict(zip(self.rows["feature"].take(rows).to_pylist(), rows.tolist(), strict=True))

    @cached_property
    def _places(self) -> dict[str, Int32s]:
        """The rows of each feature's keys."""
        encoded = self.rows["feature"].combine_chunks().dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy().copy()
        codes[list(self._oov_rows.values())] = -1
        order = np.argsort(codes, kind="stable").astype(np.int32)
        starts = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
        return {name: order[starts[i] : starts[i + 1]] for i, name in enumerate(encoded.dictionary.to_pylist())}

    @cached_property
    def _slots(self) -> dict[str, Int32s]:
        """Each feature's hash table, from its first look-up on."""
        return {}

    @cached_property
    def _texts(self) -> Texts | None:
        return texts_of(self.rows["key"].combine_chunks()) if self.rows.schema.field("key").type == VALUE_KEY else None

    @cached_property
    def _numbers(self) -> Int64s:
        numbers: Int64s = self.rows["key"].combine_chunks().fill_null(-1).to_numpy()
        return numbers

    @cached_property
    def _missing(self) -> dict[str, int]:
        """The row of each feature's missing value, if it has one. It is an empty text, too, but is found here."""
        rows = np.flatnonzero(self.rows["key"].is_null().to_numpy() & ~self.rows["oov"].to_numpy())
        return dict(zip(self.rows["feature"].take(rows).to_pylist(), rows.tolist(), strict=True))

    def _new_slots(self, places: Int32s) -> Int32s:
        if self._texts is None:
            return number_slots(self._numbers, places)
        missing = self._missing.values()
        return text_slots(self._texts, places[~np.isin(places, list(missing))])


def _require(table: pa.Table, wanted: pa.Schema) -> None:
    if table.schema.remove_metadata() != wanted:
        raise IntegrityError(
            f"vocabulary: columns are {table.schema.names}, wanted {wanted.names} as {wanted.types}. Nothing was loaded."
        )


def _same(span: date, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(span, pa.date32()), count)


def stacked(tables: list[pa.Table]) -> pa.Table:
    """The tables' rows, one after the other, each column in one piece."""
    return pa.concat_tables(tables).combine_chunks()
