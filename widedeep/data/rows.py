"""The rows of a part, group after group: a part may be larger than memory, and reading it again gives the same groups.

`N` rows of the part, `G` groups of at most `GROUP_ROWS` rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

GROUP_ROWS = 65_536  # of a snapshot's Parquet file: some 20 MB of the Criteo shape
CHUNK_GROUPS = 8  # that are in memory, encoded and shuffled together
NO_COLUMNS = pa.schema([])


class Rows(Protocol):
    @property
    def num_rows(self) -> int:
        """N."""
        ...

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def starts(self) -> NDArray[np.int64]:
        """(G + 1,): group g holds the part's rows from starts[g] up to starts[g + 1]."""
        ...

    def group(self, number: int, columns: list[str] | None = None) -> pa.Table:
        """One group, in the order of the part; all columns, or those of the named ones that there are."""
        ...


@dataclass(frozen=True)
class RowsInMemory:
    """A table that is cut into groups, without copying it."""

    table: pa.Table

    @property
    def num_rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def schema(self) -> pa.Schema:
        return self.table.schema

    @property
    def starts(self) -> NDArray[np.int64]:
        return np.append(np.arange(0, max(self.num_rows, 1), GROUP_ROWS), self.num_rows)

    def group(self, number: int, columns: list[str] | None = None) -> pa.Table:
        rows = self.table.slice(number * GROUP_ROWS, GROUP_ROWS)
        return rows if columns is None else rows.select([name for name in columns if name in rows.column_names])


@dataclass(frozen=True)
class RowsInFile:
    """The rows of a Parquet file for which `kept` holds, one for each row of the file. A group is read when it is asked for.

    Groups are counted in rows of the file, whatever row groups it was written with: a model must not depend on that. They are
    cheap to read where the two agree, as in every snapshot.

    optional: columns that a file may lack, if it was written before there were any; then they are null in all its rows.
    """

    path: Path
    kept: NDArray[np.bool_]
    optional: pa.Schema = NO_COLUMNS

    @property
    def num_rows(self) -> int:
        return int(self.kept.sum())

    @cached_property
    def schema(self) -> pa.Schema:
        there = pq.read_schema(self.path)
        return pa.schema(sorted([*there, *self._absent], key=lambda field: field.name)) if self._absent else there

    @cached_property
    def _absent(self) -> list[pa.Field]:
        names = set(pq.read_schema(self.path).names)
        return [field for field in self.optional if field.name not in names]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        ends = np.append(np.arange(0, max(len(self.kept), 1), GROUP_ROWS), len(self.kept))
        starts: NDArray[np.int64] = np.append(0, np.cumsum(self.kept, dtype=np.int64))[ends]
        return starts

    def group(self, number: int, columns: list[str] | None = None) -> pa.Table:
        start = number * GROUP_ROWS
        mask = self.kept[start : start + GROUP_ROWS]
        if not mask.any():
            empty = self.schema.empty_table()
            return empty if columns is None else empty.select([name for name in columns if name in empty.column_names])
        first = int(np.searchsorted(self._ends, start, side="right"))
        last = int(np.searchsorted(self._ends, start + len(mask), side="left"))
        # Not kept open: a file handle can't be used from two threads. The footer is: it is longer than a column of a group.
        with pq.ParquetFile(self.path, metadata=self._metadata) as file:
            rows = file.read_row_groups(list(range(first, last + 1)), columns=columns, use_threads=False)
        if self._absent:
            rows = self._completed(rows, columns)
        before = int(self._ends[first - 1]) if first else 0
        return rows.slice(start - before, len(mask)).filter(pa.array(mask))

    def _completed(self, rows: pa.Table, columns: list[str] | None) -> pa.Table:
        """The rows with the columns that their file lacks, which stand where they would stand in it: sorted by name."""
        for field in self._absent:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
        return rows.select([name for name in self.schema.names if columns is None or name in columns])

    @cached_property
    def _metadata(self) -> pq.FileMetaData:
        return pq.read_metadata(self.path)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Where each row group of the file ends."""
        sizes = [self._metadata.row_group(g).num_rows for g in range(self._metadata.num_row_groups)]
        ends: NDArray[np.int64] = np.cumsum(np.array(sizes, np.int64))
        return ends


def rows_of(rows: Rows | pa.Table) -> Rows:
    """A plain table as rows."""
    return RowsInMemory(rows) if isinstance(rows, pa.Table) else rows


def chunks(rows: Rows, columns: list[str] | None = None, *, shuffle: int | None = None) -> Iterator[pa.Table]:
    """All rows, `CHUNK_GROUPS` groups at a time: in the order of the part, or groups from all over it, drawn by a seed.

    Snapshots are sorted: neighbours are alike, and a model should not meet all of a kind at once. A chunk's rows stay in order.
    """
    order = np.arange(len(rows.starts) - 1)
    if shuffle is not None:
        order = np.random.default_rng(shuffle).permutation(order)
    for start in range(0, len(order), CHUNK_GROUPS):
        tables = [rows.group(int(group), columns) for group in np.sort(order[start : start + CHUNK_GROUPS])]
        yield pa.concat_tables(tables) if len(tables) > 1 else tables[0]


def column(rows: Rows, name: str) -> pa.Table:
    """One column of all rows."""
    return pa.concat_tables(chunks(rows, [name]))


def take(rows: Rows, positions: list[int]) -> pa.Table:
    """The rows at these ascending positions of the part."""
    wanted = np.asarray(positions, np.int64)
    holders = np.searchsorted(rows.starts, wanted, side="right") - 1
    found = [rows.group(int(g)).take(pa.array(wanted[holders == g] - rows.starts[g])) for g in np.unique(holders)]
    return pa.concat_tables(found) if found else rows.schema.empty_table()
