"""Encoding is pure: equal rows and vocabularies give equal numbers, whatever rows stand around them. Nothing is learnt here.

`B` rows, `F` categorical features, `M` multivalent features, `K` numeric features, `V` rows of `values`, `C` rows of `crosses`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from widedeep.data.contract import Contract
from widedeep.errors import ContractError
from widedeep.features.bags import Bag, Int32s, Int64s, bag_of_columns, side_by_side
from widedeep.features.columns import Keys, cross_name, read_column
from widedeep.features.compiled import compiled
from widedeep.features.growth import Vocabularies, keys_of, pairs_of, value_rows
from widedeep.features.quantiles import Quantiles, transform
from widedeep.features.vocabulary import Vocabulary


@dataclass(frozen=True)
class EncodedBatch:
    """Rows as the model reads them.

    rows: (B, F) int32 rows of the embedding table, one per categorical feature.
    bags: M bags of int32 rows of the embedding table.
    dense: (B, 2K) float32 quantiles and missing indicators.
    wide: one bag of the wide part's int32 rows: a value's own row, or V plus a cross's row; nothing where there is no such part.
    labels: (B,) float32 0 or 1; None when serving.
    sizes: (V, C) of the vocabularies that encoded it.
    weights: (B,) float32, as how many rows each counts; None where each counts once.
    passed_on: how often rows of those vocabularies had passed to another key: with `sizes` it tells states of a chain apart.
    """

    rows: Int32s
    bags: tuple[Bag, ...]
    dense: NDArray[np.float32]
    wide: Bag
    labels: NDArray[np.float32] | None
    sizes: tuple[int, int]
    weights: NDArray[np.float32] | None = None
    passed_on: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def slice(self, start: int, stop: int) -> EncodedBatch:
        """Rows [start, stop), as views."""
        labels = None if self.labels is None else self.labels[start:stop]
        bags = tuple(bag.slice(start, stop) for bag in self.bags)
        weights = None if self.weights is None else self.weights[start:stop]
        rows, dense, wide = self.rows[start:stop], self.dense[start:stop], self.wide.slice(start, stop)
        return replace(self, rows=rows, bags=bags, dense=dense, wide=wide, labels=labels, weights=weights)

    def take(self, order: Int64s | range) -> EncodedBatch:
        """The rows of `order`, in that order."""
        index = np.asarray(order, np.int64)
        labels = None if self.labels is None else self.labels[index]
        weights = None if self.weights is None else self.weights[index]
        bags = tuple(bag.take(index) for bag in self.bags)
        rows, dense, wide = self.rows[index], self.dense[index], self.wide.take(index)
        return replace(self, rows=rows, bags=bags, dense=dense, wide=wide, labels=labels, weights=weights)


def encode(table: pa.Table, vocabularies: Vocabularies, quantiles: Quantiles, contract: Contract) -> EncodedBatch:
    """Encode rows for the model that the vocabularies belong to; labels only if the rows have the contract's label column.

    The features are the vocabularies' own, so that an older model reads what it was trained on under a newer contract.

    Raises:
        ContractError: the rows lack a column that the model reads, or have a label or a weight that can't be learnt.
    """
    features, values = vocabularies.features, vocabularies.values
    keys = keys_of(table, features)
    rows = _categorical(values, keys, features.categorical, table.num_rows)
    bags = tuple(_bag(values, name, keys[name]) for name in features.multivalent)
    crossed = {side: keys[side] for sides in features.crosses for side in sides}
    pairs = pairs_of(value_rows(values, crossed), features)
    crosses = [_cross_rows(vocabularies, cross_name(sides), bag) for sides, bag in pairs.items()]
    has_labels = contract.label.column in table.column_names
    return EncodedBatch(
        rows=rows,
        bags=bags,
        dense=transform(quantiles, table, features.numeric),
        wide=side_by_side([bag_of_columns(rows), *bags, *crosses]) if features.wide else bag_of_columns(rows[:, :0]),
        labels=labels(table, contract) if has_labels else None,
        sizes=(len(vocabularies.values), len(vocabularies.crosses)),
        weights=weights(table, contract),
        passed_on=values.passed_on + vocabularies.crosses.passed_on,
    )


def labels(table: pa.Table, contract: Contract) -> NDArray[np.float32]:
    """(B,) float32: 1 for a positive example, 0 for a negative one.

    Raises:
        ContractError: a label is missing, or is not 0 or 1 where the contract has no limit: one NaN would spoil all weights.
    """
    column, limit = read_column(table, contract.label.column), contract.label.at_least
    values: NDArray[np.float64] = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)
    bad = np.isnan(values) if limit is not None else (values != 0) & (values != 1)
    if bad.any():
        raise ContractError(
            f"label {contract.label.column!r}: {bad.sum()} of {len(values)} rows have none that can be learnt, such as "
            f"{column[int(bad.argmax())].as_py()}; wanted {'0 or 1' if limit is None else 'a number'} in each. "
            "Drop those rows before delivery."
        )
    return (values if limit is None else values >= limit).astype(np.float32)


def weights(table: pa.Table, contract: Contract) -> NDArray[np.float32] | None:
    """(B,) float32: as how many rows each counts; None where the contract or the rows have no weight column.

    A row without a weight counts once: its span was delivered before the contract had one, else validation had stopped it.

    Raises:
        ContractError: a weight is negative or infinite.
    """
    if contract.weight is None or contract.weight not in table.column_names:
        return None
    values: NDArray[np.float32] = pc.fill_null(read_column(table, contract.weight).cast(pa.float32(), safe=False), 1.0).to_numpy()
    if bad := int((~np.isfinite(values) | (values < 0)).sum()):
        raise ContractError(
            f"weight {contract.weight!r}: {bad} of {len(values)} are negative or infinite, wanted numbers from 0 on. "
            "Their span was validated before the column had this role; take the role away until that span is settled."
        )
    return values


def _categorical(values: Vocabulary, keys: dict[str, Keys], names: tuple[str, ...], count: int) -> Int32s:
    """(B, F) rows of univalent features."""
    rows = np.empty((count, len(names)), np.int32)
    for f, name in enumerate(names):
        _gather(rows, f, _known_or_oov(values, name, keys[name]), keys[name].bag.flat)
    return rows


def _bag(values: Vocabulary, name: str, keys: Keys) -> Bag:
    return Bag(_known_or_oov(values, name, keys)[keys.bag.flat], keys.bag.offsets)


def _known_or_oov(values: Vocabulary, name: str, keys: Keys) -> Int32s:
    """The row of each distinct key."""
    rows = values.lookup(name, keys.unique)
    rows[rows < 0] = values.oov_rows()[name]
    return rows


@compiled
def _gather(rows: Any, column: Any, known: Any, codes: Any) -> Any:
    for i in range(len(codes)):
        rows[i, column] = known[codes[i]]


def _cross_rows(vocabularies: Vocabularies, name: str, keys: Bag) -> Bag:
    rows = vocabularies.crosses.lookup(name, pa.array(keys.flat, pa.int64()))
    return Bag(rows + np.int32(len(vocabularies.values)), keys.offsets).where(rows >= 0)
