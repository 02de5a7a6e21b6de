"""Vocabularies grow on training rows only. Values grow first; a cross is a pair of value rows, so a pair counts from the span on
in which both its sides have rows. It is given up with the value of either side: no other may inherit what it memorised.

Growing again by the same span gives the same rows, but for keys that wait: their sightings are counted again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from widedeep.artifacts import Value
from widedeep.data.contract import Contract
from widedeep.data.rows import Rows, chunks, rows_of
from widedeep.errors import ContractError, UsageError
from widedeep.features.admission import Sightings, admit, counted, ready
from widedeep.features.bags import Bag, Int64s
from widedeep.features.columns import Features, Keys, categorical_keys, cross_name, multivalent_keys
from widedeep.features.crosses import cross, sides_of
from widedeep.features.vocabulary import CROSS_KEY, VALUE_KEY, Vocabulary

ROW_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class RowBytes:
    """What a row of each vocabulary costs in all tables that have a row per entry, with their optimizer's state."""

    value: int
    cross: int

    def total(self, values: int, crosses: int) -> int:
        """What so many rows cost."""
        return values * self.value + crosses * self.cross


@dataclass(frozen=True)
class Vocabularies:
    """What a model knows of the world. `features` are those that it reads; rows of features dropped since are kept.

    Raises:
        ContractError: they have more rows than an int32 can count.
    """

    values: Vocabulary
    crosses: Vocabulary
    features: Features

    def __post_init__(self) -> None:
        if (rows := len(self.values) + len(self.crosses)) > ROW_LIMIT:
            raise ContractError(
                f"vocabularies: {rows:,} rows of values and crosses, wanted at most {ROW_LIMIT:,}: they are int32. "
                "Set vocabulary.max_bytes, or raise min_count."
            )

    @classmethod
    def empty(cls) -> Vocabularies:
        return cls(Vocabulary.empty(VALUE_KEY), Vocabulary.empty(CROSS_KEY), Features())


class Growth(Value):
    """What one span did to the vocabularies.

    `evicted` lost their rows: expired ones to newcomers, crosses also with the value of a side. `refused` were seen often enough
    and keep waiting, since `vocabulary.max_bytes` leaves no room.
    """

    new_values: int
    new_crosses: int
    evicted_values: int
    evicted_crosses: int
    refused_values: int
    refused_crosses: int
    table_bytes: int

    def warning(self) -> str | None:
        """What a person should know of it."""
        if not self.refused_values + self.refused_crosses:
            return None
        return (
            f"the vocabulary is full at {self.table_bytes:,} bytes: {self.refused_values} values and {self.refused_crosses} "
            "crosses were seen often enough and got no row. Raise vocabulary.max_bytes, or lower vocabulary.evict_after_days."
        )


def grow(
    vocabularies: Vocabularies, rows: Rows | pa.Table, contract: Contract, span: date, row_bytes: RowBytes | None = None
) -> Vocabularies:
    """Give rows to the new values and crosses of one span's training rows, for the features that the contract names.

    The rows are read twice: a cross can only be counted once the values have their rows.

    Values come before crosses where there is not room for all: a cross is nothing without its values' rows, and a value serves
    both parts of the model. `row_bytes` is needed where the contract sets `vocabulary.max_bytes`.

    Raises:
        ContractError: the rows lack a column that the contract names, or `vocabulary.max_bytes` has no room for an OOV row.
        UsageError: a cap is set, and nobody said what a row costs.
    """
    features, limits, cost = Features.of(contract), contract.vocabulary, _cost(contract, row_bytes)
    known = _with_oov(vocabularies, features.keyed, span, limits.max_bytes, cost)
    room = _room(limits.max_bytes, cost.total(len(known), len(vocabularies.crosses)), cost.value)
    seen = counted(_values_of(table, contract) for table in chunks(rows_of(rows), features.keyed))
    values = admit(known, seen, span, evict_after_days=limits.evict_after_days, room=room)
    crosses = _given_up(vocabularies.crosses, values.recycled_since(known), len(values))
    room = _room(limits.max_bytes, cost.total(len(values), len(crosses)), cost.cross)
    sides = features.crossed()
    pairs = counted(_pairs_of(table, values, contract) for table in chunks(rows_of(rows), sides.keyed)) if sides.crosses else []
    return Vocabularies(values, admit(crosses, pairs, span, evict_after_days=limits.evict_after_days, room=room), features)


def without_values(vocabularies: Vocabularies, rows: Int64s) -> Vocabularies:
    """The vocabularies without the keys of these rows of `values`: the rows become free, and so do those of their crosses.

    A pair that waits with one of them is forgotten, too, since the row may pass to another value.
    """
    values, crosses = vocabularies.values, vocabularies.crosses
    given_up = _given_up(crosses, rows, len(values))
    touched = np.isin(np.array(sides_of(crosses.waiting["key"].to_numpy())), rows).any(0)
    waiting = crosses.waiting.filter(pa.array(~touched))
    free = Vocabulary(_freed(values.rows, np.isin(np.arange(len(values)), rows)), values.waiting)
    return Vocabularies(free, Vocabulary(given_up.rows, waiting), vocabularies.features)


def growth(before: Vocabularies, after: Vocabularies, contract: Contract, row_bytes: RowBytes) -> Growth:
    """What lies between two states of the vocabularies, the later one grown by the contract."""
    new_values, evicted_values = _turnover(before.values, after.values)
    new_crosses, evicted_crosses = _turnover(before.crosses, after.crosses)
    min_counts = {cross_name(cross.of): cross.min_count for cross in contract.crosses if cross.of in after.features.crosses}
    return Growth(
        new_values=new_values,
        new_crosses=new_crosses,
        evicted_values=evicted_values,
        evicted_crosses=evicted_crosses,
        refused_values=len(ready(after.values.waiting, {name: column.min_count for name, column in contract.columns.items()})),
        refused_crosses=len(ready(after.crosses.waiting, min_counts)),
        table_bytes=row_bytes.total(len(after.values), len(after.crosses)),
    )


def keys_of(table: pa.Table, features: Features) -> dict[str, Keys]:
    """The keys of every categorical and multivalent feature."""
    one_each = np.arange(table.num_rows + 1)
    univalent = {name: categorical_keys(table, name, one_each) for name in features.categorical}
    return univalent | {name: multivalent_keys(table, name) for name in features.multivalent}


def _values_of(table: pa.Table, contract: Contract) -> list[Sightings]:
    return [_count(name, keys, contract) for name, keys in keys_of(table, Features.of(contract)).items()]


def _pairs_of(table: pa.Table, values: Vocabulary, contract: Contract) -> list[Sightings]:
    features, min_counts = Features.of(contract), {cross.of: cross.min_count for cross in contract.crosses}
    keys = keys_of(table, features.crossed())
    return [_count_pairs(sides, bag, min_counts[sides]) for sides, bag in pairs_of(value_rows(values, keys), features).items()]


def value_rows(values: Vocabulary, keys: dict[str, Keys]) -> dict[str, Bag]:
    """Each feature's bag of rows of `values`, -1 where a value has none."""
    return {name: Bag(values.lookup(name, k.unique)[k.bag.flat], k.bag.offsets) for name, k in keys.items()}


def pairs_of(rows: dict[str, Bag], features: Features) -> dict[tuple[str, str], Bag]:
    """Each cross's bag of keys."""
    return {sides: cross(rows[sides[0]], rows[sides[1]]) for sides in features.crosses}


def _cost(contract: Contract, row_bytes: RowBytes | None) -> RowBytes:
    if row_bytes is None and contract.vocabulary.max_bytes is not None:
        raise UsageError("grow: the contract sets vocabulary.max_bytes, and nobody said what a row costs; pass row_bytes")
    return row_bytes or RowBytes(0, 0)


def _room(max_bytes: int | None, used: int, row: int) -> int | None:
    """How many rows may be appended; None: any number."""
    return None if max_bytes is None or not row else max(0, max_bytes - used) // row


def _with_oov(
    vocabularies: Vocabularies, features: Iterable[str], span: date, max_bytes: int | None, cost: RowBytes
) -> Vocabulary:
    values = vocabularies.values.with_oov(features, span)
    used = cost.total(len(values), len(vocabularies.crosses))
    if max_bytes is not None and len(values) > len(vocabularies.values) and used > max_bytes:
        raise ContractError(
            f"vocabulary.max_bytes: got {max_bytes:,}; with an OOV row for every feature the tables take {used:,}. "
            "Raise it to far more than that, or take features away."
        )
    return values


def _given_up(crosses: Vocabulary, recycled: Int64s, values: int) -> Vocabulary:
    """The crosses without those that have a recycled row of `values` as a side: their rows become free."""
    if not len(recycled):
        return crosses
    passed_on = np.zeros(values, np.bool_)
    passed_on[recycled] = True
    rows = _freed(crosses.rows, _touched(crosses.rows["key"], passed_on))
    # Those that wait need no such care: they were last seen no later than their sides, so they are forgotten in this same growth.
    return Vocabulary(rows, crosses.waiting)


def _freed(rows: pa.Table, gone: np.ndarray) -> pa.Table:
    """The rows of a vocabulary, some of them without feature and key: they are free."""
    for i, name in enumerate(("feature", "key")):
        rows = rows.set_column(i, name, pc.if_else(pa.array(gone), None, rows[name]))
    return rows.combine_chunks()


def _touched(keys: pa.ChunkedArray, passed_on: np.ndarray) -> np.ndarray:
    """Whether a side of each cross is among the rows that were passed on; a free row has no sides."""
    left, right = sides_of(keys.fill_null(0).to_numpy())
    touched: np.ndarray = (passed_on[left] | passed_on[right]) & keys.is_valid().to_numpy()
    return touched


def _turnover(before: Vocabulary, after: Vocabulary) -> tuple[int, int]:
    """How many rows went to new keys, and how many keys lost theirs."""
    recycled = after.recycled_since(before)
    lost = before.held() & ~after.held()[: len(before)]
    lost[recycled] = before.held()[recycled]
    return len(after) - len(before) + len(recycled), int(lost.sum())


def _count(name: str, keys: Keys, contract: Contract) -> Sightings:
    counts = np.bincount(keys.bag.flat, minlength=len(keys.unique))
    sightings = Sightings(name, keys.unique, counts, contract.columns[name].min_count)
    return sightings if counts.all() else sightings.where(counts > 0)


def _count_pairs(sides: tuple[str, str], bag: Bag, min_count: int) -> Sightings:
    unique, counts = np.unique(bag.flat, return_counts=True)
    return Sightings(cross_name(sides), pa.array(unique, pa.int64()), counts, min_count)
