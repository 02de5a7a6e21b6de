"""How a delivered column becomes keys: one canonical string per value, the same in every span, on every machine.

Integers are written in decimal, booleans as `true` and `false`, numbers as Arrow prints them. A missing value is the null key, a
value of its own; a missing list is a bag of one missing value, an empty list an empty bag.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from widedeep.artifacts import Value
from widedeep.data.contract import Contract
from widedeep.errors import ContractError
from widedeep.features.bags import Bag, Int64s


class Features(Value):
    """What a model reads, and in which order: names sorted within each role. Only a `wide` part reads crosses."""

    categorical: tuple[str, ...] = ()
    multivalent: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    crosses: tuple[tuple[str, str], ...] = ()
    wide: bool = True

    @classmethod
    def of(cls, contract: Contract) -> Features:
        wide = "wide" in contract.model.parts
        crosses = {cross.of for cross in contract.crosses} if wide else ()
        return cls(
            categorical=contract.with_role("categorical"),
            multivalent=contract.with_role("multivalent"),
            numeric=contract.with_role("numeric"),
            crosses=tuple(sorted(crosses)),
            wide=wide,
        )

    @property
    def keyed(self) -> list[str]:
        """Names of the features whose values have rows."""
        return [*self.categorical, *self.multivalent]

    def crossed(self) -> Features:
        """Only what the crosses read."""
        sides = {side for cross in self.crosses for side in cross}
        categorical = tuple(name for name in self.categorical if name in sides)
        return Features(categorical=categorical, multivalent=tuple(sorted(sides - set(categorical))), crosses=self.crosses)


def cross_name(sides: tuple[str, str]) -> str:
    return f"AND({sides[0]},{sides[1]})"


@dataclass(frozen=True)
class Keys:
    """One feature of B rows. `unique` are distinct keys, null among them if a value is missing; `bag` indexes `unique`.

    A key may stand in `unique` and in no row: the dictionary of a filtered column keeps all its values.
    """

    unique: pa.Array
    bag: Bag


def read_column(table: pa.Table, name: str) -> pa.Array:
    """One column as a single array.

    Raises:
        ContractError: the rows lack the column.
    """
    place = table.schema.get_field_index(name)
    if place < 0:
        raise ContractError(
            f"column {name!r}: the model reads it, the rows have only {', '.join(table.column_names) or 'no columns'}. "
            "Deliver the column, or train a model from a contract without it."
        )
    column = table.column(place)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def categorical_keys(table: pa.Table, name: str, one_each: Int64s | None = None) -> Keys:
    """Keys of a column with one value per row. `one_each` are the offsets of such a column, which many columns may share."""
    return _keys(read_column(table, name), np.arange(table.num_rows + 1) if one_each is None else one_each)


def multivalent_keys(table: pa.Table, name: str) -> Keys:
    """Keys of a column with a list of values per row."""
    column = read_column(table, name)
    column = pc.coalesce(column, pa.scalar([None], column.type))
    return _keys(column.flatten(), column.offsets.to_numpy().astype(np.int64) - column.offsets[0].as_py())


def _keys(values: pa.Array, offsets: np.ndarray) -> Keys:
    encoded = values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode(null_encoding="encode")
    # Casting the distinct values only: a column has far fewer of them than rows.
    strings, codes = encoded.dictionary.cast(pa.string()), encoded.indices
    if codes.null_count:
        strings, codes = pa.concat_arrays([strings, pa.nulls(1, pa.string())]), codes.fill_null(len(strings))
    codes = codes.to_numpy()
    if not _prints_apart(values.type):
        distinct = strings.dictionary_encode(null_encoding="encode")
        strings, codes = distinct.dictionary, distinct.indices.to_numpy()[codes]
    return Keys(strings, Bag(codes.astype(np.int32, copy=False), offsets.astype(np.int64, copy=False)))


def _prints_apart(kind: pa.DataType) -> bool:
    """Whether different values of a column are different strings; a delivered dictionary may even hold a value twice."""
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind))
