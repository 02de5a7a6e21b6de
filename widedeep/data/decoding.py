"""One delivered file becomes a table of plain columns, or an error that says what is wrong with it.

What a file claims is looked at before it is read, and what it decodes to is counted while it is read, batch by batch: no more
than `limit` bytes are kept. What a single batch takes is bounded by whoever runs this (`widedeep.data.apart`).
"""

import gzip
import io
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from csv import Error as CsvError
from csv import reader
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv, json

from widedeep.data.tables import content_digest, plain_column

READABLE = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz")  # in small letters; names may use others
DAMAGE = (pa.ArrowException, OSError, EOFError, MemoryError, RecursionError, TypeError, ValueError, zlib.error)
BLOCK_BYTES = 2**24  # of text that is parsed at once; a longer line is refused. A line of 1,000 columns has some 10 kB
BATCH_ROWS = 65_536  # that are decoded at once, as many as a row group of a snapshot has
STREAM_BYTES = 2**20  # of a Parquet column's compressed pages that are read ahead
ROW_BYTES = 8  # what a row takes whatever it holds: its place in the order of rows
OTHER_DELIMITERS = ";\t|"
MAX_COLUMNS = 2_000  # fifty times as many as public click logs have; each takes its time in every check, however few the rows

Content = bytes | Path
Opened = tuple[pa.Schema, Iterable[pa.RecordBatch]]


class TooLargeError(ValueError):
    """The file would take more memory than is left for it. Its text says what it does, such as "unpacks to too much"."""


def decode(name: str, content: Content, limit: int) -> pa.Table:
    """The rows of a file, whose kind the end of its name tells. CSV columns are text: the contract gives them types.

    Raises:
        One of DAMAGE: it can't be read, or holds what no snapshot can.
    """
    kind = next((suffix for suffix in READABLE if name.lower().endswith(suffix)), None)
    if kind is None:
        raise ValueError(f"unknown kind of file; readable are {', '.join(READABLE)}. Deliver it as one of them, or elsewhere")
    with ExitStack() as stack:
        if kind == ".parquet":
            schema, batches = _parquet(content, limit, stack)
        else:
            text = Text(content, packed=kind.endswith(".gz"))
            schema, batches = (_csv if kind.startswith(".csv") else _json_lines)(text, text.looked_over(limit))
        _check_columns(schema)
        return _counted(schema, batches, limit)


def size_of(table: pa.Table) -> int:
    """What a table takes in memory at the least."""
    return int(table.nbytes + ROW_BYTES * table.num_rows)


@dataclass(frozen=True)
class Seen:
    """How many lines a text ends, and how many quotes it has."""

    lines: int
    quotes: int


@dataclass(frozen=True)
class Text:
    """A file of text, which is read more than once: Arrow has threads that don't bear a look over their shoulders."""

    content: Content
    packed: bool

    def opened(self) -> IO[bytes]:
        source = io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")
        return cast("IO[bytes]", gzip.open(source)) if self.packed else source

    def streamed(self) -> pa.NativeFile:
        """The same, as Arrow unpacks it."""
        source = pa.py_buffer(self.content) if isinstance(self.content, bytes) else str(self.content)
        return pa.input_stream(source, compression="gzip" if self.packed else None)

    def looked_over(self, limit: int) -> Seen:
        """Read it once from end to end.

        Raises:
            ValueError: it unpacks to more than `limit` bytes, or holds a NUL byte: no text of a log does, but UTF-16 everywhere.
        """
        size_bytes, counts = 0, Counter[bytes]()
        with self.opened() as file:
            while data := file.read(BLOCK_BYTES):
                if (place := data.find(b"\0")) >= 0:
                    raise ValueError(f"byte {size_bytes + place:,} is NUL, wanted UTF-8 text; is it UTF-16, or damaged?")
                counts.update({mark: data.count(mark) for mark in (b"\n", b"\r", b'"')})
                size_bytes += len(data)
                if size_bytes > limit:
                    raise TooLargeError("unpacks to too much")
        return Seen(lines=max(counts[b"\n"], counts[b"\r"]), quotes=counts[b'"'])


def _parquet(content: Content, limit: int, stack: ExitStack) -> Opened:
    source = pa.BufferReader(content) if isinstance(content, bytes) else str(content)
    file = stack.enter_context(pq.ParquetFile(source, page_checksum_verification=True, buffer_size=STREAM_BYTES))
    groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
    if (claimed := max(sum(group.total_byte_size for group in groups), ROW_BYTES * file.metadata.num_rows)) > limit:
        raise TooLargeError(f"claims {file.metadata.num_rows:,} rows in {claimed:,} bytes")
    return file.schema_arrow, _all_batches(file)


def _all_batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Raises ValueError if there are fewer rows than the footer claims: Arrow takes what there is."""
    rows = 0
    for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
        rows += batch.num_rows
        yield batch
    if rows != file.metadata.num_rows:
        raise ValueError(f"holds {rows:,} rows, and its footer claims {file.metadata.num_rows:,}: it is damaged; deliver it anew")


def _csv(text: Text, seen: Seen) -> Opened:
    """All columns as text: guessed types would take the leading zeros off a code. An empty field is null, a quoted one is not."""
    reading = csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES)
    quoting = csv.ParseOptions(newlines_in_values=True)
    with csv.open_csv(text.streamed(), reading, quoting) as head:
        names = head.schema.names
    if other := next((mark for mark in OTHER_DELIMITERS if len(names) == 1 and mark in names[0]), None):
        raise ValueError(f"its first line has no comma, but {other!r}: wanted columns with commas between them; write it anew")
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    batches = csv.open_csv(text.streamed(), reading, quoting, convert)
    return batches.schema, _all_lines(batches, text, seen)


def _all_lines(batches: Iterable[pa.RecordBatch], text: Text, seen: Seen) -> Iterator[pa.RecordBatch]:
    """Raises ValueError if a quote that was left open made rows part of a value: Arrow takes them in without a word."""
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        yield batch
    if seen.lines > rows + 1 or seen.quotes % 2:  # there may be a line's end in a value: a slower, stricter reader judges
        with io.TextIOWrapper(text.opened(), "utf-8", newline="") as lines:
            judge = reader(lines, strict=True)
            try:
                deque(judge, maxlen=0)
            except CsvError as error:
                raise ValueError(f"line {judge.line_num:,}: {error}; is a quote left open before?") from error


def _json_lines(text: Text, _seen: Seen) -> Opened:
    table = json.read_json(text.streamed(), json.ReadOptions(use_threads=False, block_size=BLOCK_BYTES))
    return table.schema, table.to_batches()


def _check_columns(schema: pa.Schema) -> None:
    """Raise ValueError if a snapshot can't hold such columns."""
    names = schema.names
    if not 0 < len(names) <= MAX_COLUMNS:
        raise ValueError(f"has {len(names):,} columns, wanted 1 to {MAX_COLUMNS:,}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"column {twice[0]!r} is there twice, wanted each name once")
    for field in schema:
        try:
            content_digest(pa.schema([field]).empty_table())
        except (TypeError, pa.ArrowException) as error:
            raise ValueError(
                f"column {field.name!r} has type {field.type}, wanted text, numbers, booleans, dates, times or lists of these: "
                "flatten or convert it"
            ) from error


def _counted(schema: pa.Schema, batches: Iterable[pa.RecordBatch], limit: int) -> pa.Table:
    """All batches with plain columns, which are what a dictionary or a run stands for: a few bytes may say gigabytes."""
    kept, size_bytes = [_plain(schema.empty_table())], 0
    for batch in batches:
        batch.validate(full=True)
        kept.append(_plain(pa.Table.from_batches([batch])))
        size_bytes += size_of(kept[-1])
        if size_bytes > limit:
            raise TooLargeError("decodes to too much")
    return pa.concat_tables(kept)


def _plain(table: pa.Table) -> pa.Table:
    return pa.table({name: plain_column(table.column(name)) for name in table.column_names})
