"""The sample: at most `rows` rows, of the newest days, read as the chain reads a delivery. What it can't read ends in words.

A day is known by a folder such as `2026-11-20/` or `span=2026-11-20/` in a file's path.
"""

import gzip
import io
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from widedeep.data.decoding import READABLE
from widedeep.data.merging import DisagreementError, merged
from widedeep.data.sources import Unreadable, read_delivery
from widedeep.data.tables import parquet_bytes
from widedeep.errors import UsageError

DAYS = 7  # a week has every weekday
FILE_BYTES = 64 * 2**20  # of one file; a longer one is cut
FILES = 100_000
MARKER = "_SUCCESS"
BLOCKS = 100  # a day of too many rows is thinned to so many runs of rows: those of one user often stand together
SPAN_FOLDER = re.compile(r"(?:\w+=)?(\d{4}-\d{2}-\d{2})")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Listing:
    """Files by path below `where`, with their sizes in bytes. `prefix` is what `delivery.prefix` calls `where`; None: nothing."""

    where: str
    sizes: Mapping[str, int]
    read: Callable[[str], bytes | Path]
    prefix: str | None


@dataclass(frozen=True)
class Sample:
    """`table` (N rows) holds all days, one after the other; `day` (N,) is each row's number in `spans`, `volumes`.

    spans: None where the path tells no day. volumes: rows of each day, reckoned from its bytes if not all were read.
    """

    where: str
    table: pa.Table
    day: np.ndarray
    spans: tuple[date | None, ...]
    volumes: tuple[int, ...]
    whole: bool
    typed: bool
    prefix: str | None
    marker: str | None


def folder_listing(path: Path) -> Listing:
    """A file, or all files below a folder.

    Raises:
        UsageError: there is none, or more than can be meant.
    """
    if not path.exists():
        raise UsageError(f"--from {path}: not there. Name a file, a folder or s3://bucket/prefix with some of your data.")
    whole = path.resolve()
    root = whole.parent if whole.is_file() else whole
    try:
        found = [whole] if whole.is_file() else list(islice((p for p in root.rglob("*") if p.is_file()), FILES + 1))
        sizes = {p.relative_to(root).as_posix(): p.stat().st_size for p in sorted(found)}
    except OSError as error:
        raise UsageError(f"--from {path}: can't be listed ({error}). Make it readable, or name another folder.") from error
    if len(sizes) > FILES:
        raise UsageError(f"--from {path}: more than {FILES:,} files. Name a folder below it that holds the deliveries.")
    return Listing(root.as_posix(), sizes, lambda name: root / name, f"file://{root.as_posix()}")


def read_sample(listing: Listing, rows: int, on_file: Callable[[int, int], None]) -> Sample:
    """Read the newest days. `on_file(files read, files)` hears of each.

    Raises:
        UsageError: nothing is there, or it is not what the chain reads.
    """
    by_day = _newest_days(listing)
    files, done = sum(map(len, by_day.values())), 0
    days = []
    for names in by_day.values():
        days.append(_read_day(listing, names, rows, lambda n, before=done: on_file(before + n, files)))  # type: ignore[misc]
        done += len(names)
        on_file(done, files)
    thinned = [_thinned(day.table, max(1, rows // len(days))) for day in days]
    table = _together([(f"files of {day}", rows_of_day) for day, rows_of_day in zip(by_day, thinned, strict=True)])
    if not table.num_rows:
        raise UsageError(f"--from {listing.where}: its files hold no row. Name some that hold a day of your data.")
    return Sample(
        where=listing.where,
        table=table,
        day=np.repeat(np.arange(len(days)), [t.num_rows for t in thinned]),
        spans=tuple(by_day),
        volumes=tuple(round(day.table.num_rows / day.share) for day in days),
        whole=all(day.share == 1 for day in days) and table.num_rows == sum(day.table.num_rows for day in days),
        typed=not all(name.lower().endswith((".csv", ".csv.gz")) for names in by_day.values() for name in names),
        prefix=_prefix(listing, by_day),
        marker=MARKER if all(_has_marker(listing, day) for day in by_day) else None,
    )


def span_of(path: str) -> tuple[int, date] | None:
    """Which part of a path, counted from 0, is a folder that names a day, and which day; the last, if there are several."""
    for number, part in reversed(list(enumerate(path.split("/")[:-1]))):
        match = SPAN_FOLDER.fullmatch(part)
        with suppress(ValueError):
            if match:
                return number, date.fromisoformat(match[1])
    return None


@dataclass(frozen=True)
class _Read:
    """Some rows, and which share of those that are there they are."""

    table: pa.Table
    share: float


def _read_day(listing: Listing, names: Sequence[str], rows: int, on_file: Callable[[int], None]) -> _Read:
    """Files of a day until there are enough rows."""
    parts: list[_Read] = []
    while len(parts) < len(names) and sum(part.table.num_rows for part in parts) < rows:
        parts.append(_read_file(listing, names[len(parts)]))
        on_file(len(parts))
    sizes = [max(1, listing.sizes[name]) for name in names]
    share = sum(part.share * size for part, size in zip(parts, sizes, strict=False)) / sum(sizes)
    return _Read(_together([(name, part.table) for name, part in zip(names, parts, strict=False)]), share)


def _newest_days(listing: Listing) -> dict[date | None, list[str]]:
    named = {name: _day(listing, name) for name in listing.sizes if not _hidden(name)}
    if any(named.values()):
        named = {name: day for name, day in named.items() if day}
    else:
        named = {name: None for name in named if name.lower().endswith(READABLE)}
    if not named:
        raise UsageError(
            f"--from {listing.where}: no file that can be read, wanted {', '.join(READABLE)}. Name a folder that holds some."
        )
    by_day: dict[date | None, list[str]] = defaultdict(list)
    for name, day in named.items():
        by_day[day].append(name)
    newest = sorted(by_day, key=lambda day: day or date.min)[-DAYS:]
    return {day: sorted(by_day[day]) for day in newest}


def _day(listing: Listing, name: str) -> date | None:
    found = span_of(f"{listing.where}/{name}")
    return found[1] if found else None


def _hidden(name: str) -> bool:
    return any(part.startswith(("_", ".")) for part in PurePosixPath(name).parts)


def _has_marker(listing: Listing, day: date | None) -> bool:
    return day is not None and any(PurePosixPath(n).name == MARKER and _day(listing, n) == day for n in listing.sizes)


def _prefix(listing: Listing, days: Iterable[date | None]) -> str | None:
    """The `delivery.prefix` by which the chain would find these files, if there is one for all of them."""
    wanted = set(days)
    paths = [f"{listing.prefix}/{name}" for name in listing.sizes if _day(listing, name) in wanted and not _hidden(name)]
    prefixes = {_folder(path.lstrip("/")) for path in paths}
    (prefix,) = prefixes if len(prefixes) == 1 else (None,)
    return prefix if listing.prefix is not None and prefix and prefix.count("{") == prefix.count("}") == 1 else None


def _folder(path: str) -> str | None:
    found = span_of(path)
    if found is None:
        return None
    *above, last = path.split("/")[: found[0] + 1]
    return "/".join((*above, last.replace(str(found[1]), "{span}"), ""))


def _read_file(listing: Listing, name: str) -> _Read:
    where = f"{listing.where}/{name}"
    try:
        plain_name, content, share = _cut(name, listing.read(name))
        _require_commas(where, plain_name, content)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise UsageError(f"--from {where}: can't be read ({' '.join(str(error).split())[:200]}). Name files that can.") from error
    table = read_delivery([(plain_name, content)])
    if isinstance(table, Unreadable):
        said = "; ".join(finding.message for finding in table.findings)
        raise UsageError(f"--from {listing.where}: {said}. A span with such a file is quarantined: mend it, or name others.")
    return _Read(table, share)


def _cut(name: str, content: bytes | Path) -> tuple[str, bytes | Path, float]:
    """A file of bounded size: whole lines, or whole row groups, from its beginning; and which share of it that is."""
    size, packed = content.stat().st_size if isinstance(content, Path) else len(content), name.lower().endswith(".gz")
    if name.lower().endswith(".parquet") and size > FILE_BYTES:
        return name, *_first_groups(content)
    if size <= FILE_BYTES and not packed:
        return name, content, 1.0
    with _opened(content) as raw:
        text = (gzip.GzipFile(fileobj=raw) if packed else raw).read(FILE_BYTES + 1)
        whole, share = len(text) <= FILE_BYTES, min(1.0, raw.tell() / max(1, size))
    return name[:-3] if packed else name, text if whole else text[: text.rfind(b"\n") + 1], 1.0 if whole else share


def _first_groups(content: bytes | Path) -> tuple[bytes, float]:
    with _opened(content) as raw, pq.ParquetFile(raw) as file:
        sizes = np.cumsum([file.metadata.row_group(g).total_byte_size for g in range(file.metadata.num_row_groups)])
        taken = file.read_row_groups(list(range(max(1, int(np.searchsorted(sizes, FILE_BYTES))))), use_threads=False)
        return parquet_bytes(taken), taken.num_rows / max(1, file.metadata.num_rows)


def _opened(content: bytes | Path) -> IO[bytes]:
    return content.open("rb") if isinstance(content, Path) else io.BytesIO(content)


def _require_commas(where: str, name: str, content: bytes | Path) -> None:
    if not name.lower().endswith(".csv"):
        return
    with _opened(content) as raw:
        header = next(iter(raw.read(4096).splitlines()), b"")
    for separator, called in SEPARATORS.items():
        if b"," not in header and separator.encode() in header:
            raise UsageError(
                f"--from {where}: its header {header.decode(errors='replace')!r:.80} is separated by {called}, and the chain "
                "reads commas. Deliver comma-separated UTF-8 with decimal points, or Parquet."
            )


def _together(tables: Sequence[tuple[str, pa.Table]]) -> pa.Table:
    try:
        return merged(tables, {})
    except DisagreementError as problem:
        raise UsageError(f"--from: {'; '.join(problem.args)}. Name files of one kind.") from problem


def _thinned(table: pa.Table, rows: int) -> pa.Table:
    if table.num_rows <= rows:
        return table
    starts = np.linspace(0, table.num_rows, BLOCKS, endpoint=False, dtype=np.int64)
    return pa.concat_tables([table.slice(start, max(1, rows // BLOCKS)) for start in starts]).combine_chunks()
