"""Delivered files become one table, or a value that names the file and its damage. What is delivered never crashes a run.

Nothing is decoded beyond `MAX_DECODED_BYTES`, whatever a file claims or unpacks to.
"""

import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv, json

from widedeep.artifacts import Finding
from widedeep.data.conform import conform
from widedeep.data.tables import content_digest

__all__ = ["MAX_DECODED_BYTES", "TooLargeError", "Unreadable", "conform", "read_delivery"]

MAX_DECODED_BYTES = 4 * 2**30  # all files of a span together; a span is held in memory once while it is read
READABLE = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz")  # in small letters; names may use others
DAMAGE = (pa.ArrowException, OSError, EOFError, ValueError, zlib.error)


@dataclass(frozen=True)
class Unreadable:
    """Why a delivery is no table: each finding names a file and its damage."""

    findings: tuple[Finding, ...]


class TooLargeError(ValueError):
    """The file would take more memory than a span may."""


def read_delivery(files: Sequence[tuple[str, bytes | Path]], max_decoded_bytes: int = MAX_DECODED_BYTES) -> pa.Table | Unreadable:
    """Decode Parquet, CSV and JSON Lines (the latter two may be gzipped) by the end of each file's name, into one table.

    Columns that only some files have are null in the others' rows. CSV columns are text: `conform` gives them types.
    """
    tables, damage = [], []
    for name, content in files:
        try:
            tables.append(_decode(name, content if isinstance(content, bytes) else content.read_bytes(), max_decoded_bytes))
        except DAMAGE as error:
            damage.append(_finding(f"file {name}: {_one_line(error)}"))
    whole = _together(tables, [name for name, _ in files], max_decoded_bytes) if tables and not damage else None
    if whole is None:
        return Unreadable(tuple(damage) or (_finding("nothing was delivered, wanted at least one file"),))
    return whole


def _together(tables: list[pa.Table], names: list[str], max_decoded_bytes: int) -> pa.Table | Unreadable:
    if (size := sum(table.nbytes for table in tables)) > max_decoded_bytes:
        return Unreadable((_finding(f"files {', '.join(names)}: {size:,} bytes together, wanted at most {max_decoded_bytes:,}"),))
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        return Unreadable((_finding(f"files {', '.join(names)}: their columns don't go together: {_one_line(error)}"),))


def _decode(name: str, data: bytes, limit: int) -> pa.Table:
    kind = next((suffix for suffix in READABLE if name.lower().endswith(suffix)), None)
    if kind is None:
        raise ValueError(f"unknown kind of file; readable are {', '.join(READABLE)}. Deliver it as one of them, or elsewhere")
    if kind == ".parquet":
        return _checked(_parquet(data, limit))
    text = _unpacked(data, limit) if kind.endswith(".gz") else data
    return _checked(_csv(text) if kind.startswith(".csv") else _json_lines(text))


def _parquet(data: bytes, limit: int) -> pa.Table:
    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
    if (claimed := sum(group.total_byte_size for group in groups)) > limit:
        raise TooLargeError(f"claims {claimed:,} bytes, wanted at most {limit:,}: deliver less, or in more spans")
    return file.read(use_threads=False)


def _csv(text: bytes) -> pa.Table:
    """All columns as text: guessed types would take the leading zeros off a code. An empty field is null, a quoted one is not."""
    with csv.open_csv(io.BytesIO(text), csv.ReadOptions(use_threads=False)) as head:
        names = head.schema.names
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    return csv.read_csv(io.BytesIO(text), csv.ReadOptions(use_threads=False), convert_options=convert)


def _json_lines(text: bytes) -> pa.Table:
    return json.read_json(io.BytesIO(text), json.ReadOptions(use_threads=False))


def _unpacked(data: bytes, limit: int) -> bytes:
    with gzip.open(io.BytesIO(data)) as stream:
        text = stream.read(limit + 1)
    if len(text) > limit:
        raise TooLargeError(f"unpacks to more than {limit:,} bytes: deliver less, or in more spans")
    return text


def _checked(table: pa.Table) -> pa.Table:
    table.validate(full=True)
    names = table.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"column {twice[0]!r} is there twice, wanted each name once")
    for name in names:
        _check_type(table.select([name]).slice(0, 1))
    return table


def _check_type(sample: pa.Table) -> None:
    """Raise ValueError if a snapshot can't hold such a column: the one row of it in `sample` is tried."""
    try:
        content_digest(sample)
    except (TypeError, pa.ArrowException) as error:
        (field,) = sample.schema
        raise ValueError(
            f"column {field.name!r} has type {field.type}, wanted text, numbers, booleans, dates, times or lists of these: "
            "flatten or convert it"
        ) from error


def _finding(message: str) -> Finding:
    return Finding(check="delivery", severity="critical", message=message)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
