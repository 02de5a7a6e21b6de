"""Delivered files become one table, or a value that names the file and its damage. What is delivered never crashes a run.

Nothing is decoded beyond `MAX_DECODED_BYTES`, whatever a file claims or unpacks to. A crash of the decoder itself is met by
running it in a process of its own (`widedeep.data.apart`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from widedeep.artifacts import Finding
from widedeep.data.conform import conform
from widedeep.data.decoding import DAMAGE, Content, TooLargeError, decode, size_of
from widedeep.data.merging import DisagreementError, merged

__all__ = ["MAX_DECODED_BYTES", "TooLargeError", "Unreadable", "conform", "read_delivery", "shown", "unreadable"]

MAX_DECODED_BYTES = 4 * 2**30  # all files of a span together; a span is held in memory once while it is read
LESS = ": deliver less, or in more spans"
SAID_CHARS = 300  # of what a decoder complains of: it quotes the file


@dataclass(frozen=True)
class Unreadable:
    """Why a delivery is no table: each finding names a file and its damage."""

    findings: tuple[Finding, ...]


def unreadable(*messages: str) -> Unreadable:
    """What is wrong with a delivery, in words."""
    return Unreadable(tuple(Finding(check="delivery", severity="critical", message=message) for message in messages))


def shown(name: str) -> str:
    """A file's name or other text of a source, as it may stand in a line of a log: nothing unprintable, no line's end."""
    return name if name.isprintable() else ascii(name)


def nobody_watches(name: str) -> None:
    """Default for `read_delivery`'s `on_file`."""


def read_delivery(
    files: Sequence[tuple[str, Content]],
    max_decoded_bytes: int = MAX_DECODED_BYTES,
    *,
    types: Mapping[str, str] | None = None,
    rows: Mapping[str, int] | None = None,
    on_file: Callable[[str], None] = nobody_watches,
) -> pa.Table | Unreadable:
    """Decode Parquet, CSV and JSON Lines (the latter two may be gzipped) by the end of each file's name, into one table.

    types: those that the contract wants; without it, CSV columns stay text. rows: how many a file must have, where that is told.
    on_file: hears each file's name before it is read.
    """
    tables: list[tuple[str, pa.Table]] = []
    damage, left_bytes = [], max_decoded_bytes
    for name, content in files:
        on_file(name)
        try:
            table = decode(name, content, left_bytes)
        except TooLargeError as error:
            damage.append(f"file {shown(name)}: {error}, wanted at most {max_decoded_bytes:,} bytes in all files of a span{LESS}")
        except DAMAGE as error:
            damage.append(f"file {shown(name)}: {_one_line(error)}")
        else:
            left_bytes -= size_of(table)
            damage.extend(_miscounted(name, table, rows or {}))
            tables.append((name, table))
    if damage or not tables:
        return unreadable(*(damage or ["nothing was delivered, wanted at least one file"]))
    try:
        return merged([(shown(name), table) for name, table in tables], types or {})
    except DisagreementError as problem:
        return unreadable(*problem.args)


def _miscounted(name: str, table: pa.Table, rows: Mapping[str, int]) -> list[str]:
    if rows.get(name, table.num_rows) == table.num_rows:
        return []
    return [f"file {shown(name)}: has {table.num_rows:,} rows, the manifest says {rows[name]:,}. Deliver the whole file again"]


def _one_line(error: BaseException) -> str:
    """What went wrong, without the bytes of the file that would break a line or a terminal."""
    if isinstance(error, MemoryError):
        return f"takes more memory than reading a span may ({shown(str(error))}){LESS}"
    text = " ".join(str(error).split())
    if "straddling object straddles" in text or "Empty CSV file or block" in text:
        return "has a line of more than 16 MiB, wanted shorter ones; is a quote or a bracket left open?"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:SAID_CHARS]) or type(error).__name__
