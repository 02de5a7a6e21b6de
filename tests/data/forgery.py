"""Parquet files that lie: any number of a footer or of a page's header is replaced, and the rest stays as Arrow wrote it.

Both are written in Thrift's compact protocol. A path names fields by their numbers and list items by their places:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import io
import struct
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TRUE, FALSE, BYTE, BINARY, LIST, STRUCT = 1, 2, 3, 8, 9, 12
ROWS, GROUP_BYTES, GROUP_ROWS, GROUP_VALUES = (3,), (4, 0, 2), (4, 0, 3), (4, 0, 1, 0, 3, 5)
PAGE_BYTES, PAGE_VALUES = (2,), (5, 1)


def written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def with_footer(file: bytes, changes: dict[tuple[int, ...], int]) -> bytes:
    """The file with other numbers in its footer."""
    (size,) = struct.unpack("<i", file[-8:-4])
    footer, _ = _read_struct(file, len(file) - 8 - size)
    for path, value in changes.items():
        _set(footer, path, value)
    data = _write_struct(footer)
    return file[: len(file) - 8 - size] + data + struct.pack("<i", len(data)) + b"PAR1"


def with_first_page(file: bytes, changes: dict[tuple[int, ...], int]) -> bytes:
    """The file, of one column, with other numbers in the header of its first page."""
    header, end = _read_struct(file, 4)
    for path, value in changes.items():
        _set(header, path, value)
    data = _write_struct(header)
    grown = len(data) - (end - 4)
    chunk = (4, 0, 1, 0, 3)  # the first column's metadata in the first row group
    footer, _ = _read_struct(file, len(file) - 8 - struct.unpack("<i", file[-8:-4])[0])
    moved = {(*chunk, 7): _get(footer, (*chunk, 7)) + grown}
    if _get(footer, (*chunk, 11)) is not None:  # a dictionary page comes first: the data page moves
        moved[*chunk, 9] = _get(footer, (*chunk, 9)) + grown
    return with_footer(file[:4] + data + file[end:], moved)


def _get(value: Any, path: tuple[int, ...]) -> Any:
    """The number at a path; None if there is none."""
    for key in path:
        value = value.get(key, (0, {}))[1]
    return value or None


def _set(value: Any, path: tuple[int, ...], number: int) -> None:
    *above, last = path
    for key in above:
        value = value[key][1]
    value[last] = (value[last][0], number)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at


def _varint_bytes(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _read(kind: int, data: bytes, at: int) -> tuple[Any, int]:
    if kind in (TRUE, FALSE):
        return kind, at
    if kind == BYTE:
        return data[at], at + 1
    if kind == BINARY:
        size, at = _varint(data, at)
        return data[at : at + size], at + size
    if kind == LIST:
        return _read_list(data, at)
    if kind == STRUCT:
        return _read_struct(data, at)
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _read_list(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    size, kind = data[at] >> 4, data[at] & 15
    at += 1
    if size == 15:
        size, at = _varint(data, at)
    items = {}
    for i in range(size):
        value, at = _read(BYTE if kind in (TRUE, FALSE) else kind, data, at)
        items[i] = (kind, value)
    return items | {-1: (kind, None)}, at


def _read_struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """Fields by number: (kind, value)."""
    fields: dict[int, Any] = {}
    number = 0
    while data[at]:
        delta, kind = data[at] >> 4, data[at] & 15
        at += 1
        if delta:
            number += delta
        else:
            raw, at = _varint(data, at)
            number = (raw >> 1) ^ -(raw & 1)
        value, at = _read(kind, data, at)
        fields[number] = (kind, value)
    return fields, at + 1


def _write(kind: int, value: Any) -> bytes:
    if kind in (TRUE, FALSE):
        return b""
    if kind == BYTE:
        return bytes([value])
    if kind == BINARY:
        return _varint_bytes(len(value)) + value
    if kind == LIST:
        return _write_list(value)
    if kind == STRUCT:
        return _write_struct(value)
    return _varint_bytes(value << 1 if value >= 0 else (-value << 1) - 1)


def _write_list(items: dict[int, Any]) -> bytes:
    kind, size = items[-1][0], len(items) - 1
    head = bytes([size << 4 | kind]) if size < 15 else bytes([0xF0 | kind]) + _varint_bytes(size)
    return head + b"".join(_write(BYTE if kind in (TRUE, FALSE) else kind, items[i][1]) for i in range(size))


def _write_struct(fields: dict[int, Any]) -> bytes:
    out, before = bytearray(), 0
    for number, (kind, value) in fields.items():
        if 0 < number - before < 16:
            out.append((number - before) << 4 | kind)
        else:
            out += bytes([kind]) + _varint_bytes(number << 1)
        out += _write(kind, value)
        before = number
    return bytes(out) + b"\0"
