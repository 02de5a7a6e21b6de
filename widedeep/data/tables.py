"""Equal rows give equal tables and equal digests, however they were chunked, sliced, encoded, ordered or stored.

The digest covers names, types, nulls, lengths and values, and nothing of Arrow's or Parquet's layout.
"""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pandas.util import hash_pandas_object

from widedeep.artifacts import Digest, canonical_json, sha256

MOMENT = pa.timestamp("us", tz="UTC")


def canonical(table: pa.Table) -> pa.Table:
    """Columns sorted by name, plain types, timestamps in microseconds UTC (naive ones are taken as UTC), rows sorted.

    Rows are sorted by the scalar columns in order of name, then by the list columns. No schema metadata, one chunk per column.

    Raises:
        TypeError: a column is neither a scalar nor a list of scalars.
        ValueError: two columns share a name.
    """
    if len(set(table.column_names)) < table.num_columns:
        raise ValueError(f"table: columns {table.column_names}, wanted each name once")
    plain = pa.table({name: plain_column(table.column(name)) for name in sorted(table.column_names)})
    return plain.take(_order(plain)).combine_chunks()


def content_digest(table: pa.Table) -> Digest:
    """SHA-256 of the canonical content: equal for tables that hold the same rows."""
    rows = canonical(table)
    columns = [[name, str(rows.schema.field(name).type), _digests(rows.column(name))] for name in rows.column_names]
    return sha256(canonical_json({"rows": rows.num_rows, "columns": columns}))


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as a Parquet file. Equal tables give equal bytes under one version of pyarrow, which signs its files."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_dictionary=True, write_statistics=True)
    return sink.getvalue()


def without(table: pa.Table, known: pa.Table) -> pa.Table:
    """The rows of a table that the other one does not have; raises as `among` does."""
    return table.filter(pa.array(~among(table, known)))


def among(table: pa.Table, known: pa.Table) -> NDArray[np.bool_]:
    """(B,) whether the other table has a row. Columns that only one of them has are null in the other's rows.

    Raises:
        pa.ArrowException: a column has types that don't go together.
    """
    both = pa.concat_tables([table, known], promote_options="permissive")
    keys = sort_keys(pa.table({name: plain_column(both.column(name)) for name in sorted(both.column_names)}))
    frame = keys.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    hashes = hash_pandas_object(
        frame, index=False
    ).to_numpy()  # of 64 bits: in a million rows, two collide once in 20 million tables
    return np.isin(hashes[: table.num_rows], hashes[table.num_rows :])


def plain_column(column: pa.ChunkedArray) -> pa.Array:
    """One array of a plain type: no dictionaries, views or large offsets; -0.0 is 0.0, and there is one NaN."""
    array = column.combine_chunks()
    return _plain(pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array)


def is_list(kind: pa.DataType) -> bool:
    """Lists of any layout."""
    tests = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_fixed_size_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
    )
    return any(test(kind) for test in tests)


def _plain(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage)
    if pa.types.is_dictionary(array.type):
        return _plain(array.dictionary_decode())
    if is_list(array.type):
        return _list(array)
    plain = array.cast(_scalar_type(array.type), safe=False)
    if pa.types.is_floating(plain.type):
        return pc.if_else(pc.is_nan(plain), pa.scalar(float("nan"), plain.type), pc.add(plain, pa.scalar(0.0, plain.type)))
    return plain


def _list(array: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(_offsets(array), _plain(array.flatten()), mask=array.is_null())


def _scalar_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return MOMENT
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_date64(kind):
        return pa.date32()
    if pa.types.is_nested(kind):
        raise TypeError(f"table: a column of type {kind}, wanted scalars or lists of scalars. Flatten it before delivery.")
    return kind


def _order(table: pa.Table) -> pa.Array:
    keys = sort_keys(table)
    if not keys.num_columns:
        return pa.array(range(table.num_rows), pa.int64())
    return pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])


def sort_keys(table: pa.Table) -> pa.Table:
    """Sortable columns that tell rows apart: the scalars as they are, each list as two texts."""
    scalars = [c for c in table.columns if not is_list(c.type) and not pa.types.is_null(c.type)]
    keys = scalars + [key for c in table.columns if is_list(c.type) for key in _list_keys(c.combine_chunks())]
    return pa.table(keys, [str(i) for i in range(len(keys))])


def _list_keys(lists: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The items' text run together, and their lengths: two lists that agree in both are equal."""
    items = lists.flatten()
    text = items if pa.types.is_binary(items.type) else items.cast(pa.string())
    sizes = pc.fill_null(pc.binary_length(text).cast(pa.string()), "null")
    return _joined(lists, pc.fill_null(text, ""), ""), _joined(lists, sizes, ",")


def _joined(lists: pa.Array, texts: pa.Array, separator: str) -> pa.Array:
    return pc.binary_join(pa.ListArray.from_arrays(_offsets(lists), texts, mask=lists.is_null()), separator)


def _offsets(lists: pa.Array) -> pa.Array:
    """Offsets into `lists.flatten()`, which leaves out what lies under a null."""
    return pa.array(np.concatenate([[0], np.cumsum(_numbers(pc.list_value_length(lists)))]), pa.int32())


def _digests(column: pa.ChunkedArray) -> dict[str, str]:
    streams: dict[str, hashlib._Hash] = defaultdict(hashlib.sha256)
    for chunk in column.chunks:
        for name, data in _streams(chunk):
            streams[name].update(data)
    return {name: stream.hexdigest() for name, stream in streams.items()}


def _streams(array: pa.Array) -> Iterator[tuple[str, bytes | memoryview]]:
    """The bytes of an array, split so that each part may be hashed chunk by chunk. Slots under a null count as zero."""
    if len(array) == 0:
        return
    yield "nulls", _numbers(array.is_null()).tobytes()
    if is_list(array.type):
        yield "lengths", _numbers(pc.list_value_length(array)).tobytes()
        yield from ((f"items.{name}", data) for name, data in _streams(array.flatten()))
    elif pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        yield "lengths", _numbers(pc.binary_length(array)).tobytes()
        yield "values", _text(array)
    elif pa.types.is_decimal(array.type) or pa.types.is_null(array.type):
        yield from ((f"text.{name}", data) for name, data in _streams(array.cast(pa.string())))
    else:
        yield "values", _numbers(array).tobytes()


def _text(array: pa.Array) -> memoryview:
    """All values of a text column, one after the other."""
    filled = pc.fill_null(array, b"" if pa.types.is_binary(array.type) else "")
    _, offsets, data = filled.buffers()
    ends = np.frombuffer(offsets, np.int32)[filled.offset : filled.offset + len(filled) + 1]
    return memoryview(data or b"")[ends[0] : ends[-1]]


def _numbers(array: pa.Array) -> np.ndarray:
    """Values of a fixed-width array, little-endian on every supported machine; nulls are 0."""
    if pa.types.is_temporal(array.type):
        array = array.view(pa.int64() if array.type.bit_width == 64 else pa.int32())  # noqa: PLR2004
    elif pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    numbers: np.ndarray = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
    return numbers
