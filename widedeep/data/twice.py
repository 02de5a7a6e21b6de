"""What is there twice: rows that repeat a key or a whole row, and columns that ought to hold the same. `B` rows."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from widedeep.data.clusters import hashes
from widedeep.data.tables import is_list, sort_keys

Uint64s = NDArray[np.uint64]

NULL = -(2**63)
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd (Knuth, The Art of Computer Programming 3, §6.4)


def repeated(table: pa.Table) -> NDArray[np.bool_]:
    """(B,) whether an earlier row holds the same in all these columns."""
    keys = sort_keys(table)
    again: NDArray[np.bool_] = keys.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get).duplicated().to_numpy()
    return again


def repeated_share(table: pa.Table) -> float:
    """Share of rows that equal an earlier one in every column.

    Rows are told apart by 64 bits of hash: that two of a million unequal ones agree has odds of 1 to 37 million.
    """
    if not table.num_rows or not table.num_columns:
        return 0.0
    mixed = np.zeros(table.num_rows, np.uint64)
    for column in table.columns:
        mixed = (mixed ^ _hashed(column.combine_chunks())) * MIX
        mixed ^= mixed >> np.uint64(32)
    return float(1 - len(np.unique(mixed)) / table.num_rows)


def _hashed(column: pa.Array) -> Uint64s:
    """(B,) numbers that differ where the values do; null is a value."""
    if is_list(column.type):
        return _hashed_lists(column)
    if _plain_number(column.type):
        floats = pc.fill_null(column.cast(pa.float64()), np.nan) if pa.types.is_floating(column.type) else None
        numbers = pc.fill_null(column.cast(pa.int64(), safe=False), NULL) if floats is None else floats
        bits: Uint64s = numbers.to_numpy(zero_copy_only=False).view(np.uint64)
        return bits
    encoded = column.dictionary_encode("encode")
    # Bytes need be no text.
    texts = encoded.dictionary if pa.types.is_binary(column.type) else encoded.dictionary.cast(pa.string(), safe=False)
    each: Uint64s = hashes(pc.fill_null(texts, "\0null"))[encoded.indices.to_numpy()]
    return each


def _hashed_lists(column: pa.Array) -> Uint64s:
    """Sums over a list's items, each by its place."""
    sizes = pc.fill_null(pc.list_value_length(column).cast(pa.int64()), -1).to_numpy()
    ends = np.cumsum(sizes.clip(0))
    starts = ends - sizes.clip(0)
    places = np.arange(len(column.flatten())) - np.repeat(starts, sizes.clip(0))
    items = _hashed(column.flatten()) * (2 * places + 1).astype(np.uint64) if len(places) else np.empty(0, np.uint64)
    sums = np.append(np.uint64(0), np.cumsum(items, dtype=np.uint64))
    mixed: Uint64s = (sums[ends] - sums[starts]) ^ (sizes.astype(np.uint64) * MIX)
    return mixed


def _plain_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_boolean(kind) or pa.types.is_timestamp(kind) or _number(kind))


def unequal(one: pa.ChunkedArray, other: pa.ChunkedArray, tolerance: float) -> NDArray[np.bool_]:
    """(B,) whether two columns hold different things. Two numbers may be `tolerance` apart; two nulls are equal."""
    if _number(one.type) and _number(other.type):
        apart = pc.greater(pc.abs(pc.subtract(one.cast(pa.float64()), other.cast(pa.float64()))), tolerance)
        same = pc.invert(apart)
    elif is_list(one.type) or is_list(other.type):
        same = pa.chunked_array([[a == b for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True)]], pa.bool_())
    else:
        same = pc.equal(one.cast(pa.string()), other.cast(pa.string()))
    both_null = pc.and_(pc.is_null(one), pc.is_null(other))
    result: NDArray[np.bool_] = np.asarray(pc.invert(pc.or_(pc.fill_null(same, False), both_null)))
    return result


def _number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
