"""A bag holds any number of entries per row as one flat array. Taking and slicing rows never changes an entry.

`B` rows, `N` entries of all rows together.

    rows     [7, 9]  []  [7]
    flat     7 9 7              (N,)
    offsets  0 2 2 3            (B+1,)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from widedeep.features.compiled import compiled

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


@dataclass(frozen=True)
class Bag:
    """`flat` (N,) entries: int32 table rows or codes, or int64 keys of crosses; row i owns `flat[offsets[i]:offsets[i + 1]]`."""

    flat: NDArray[Any]
    offsets: Int64s

    def lengths(self) -> Int64s:
        """(B,) int64 entries per row."""
        return np.diff(self.offsets)

    def row_of(self) -> Int64s:
        """(N,) int64: the row that each entry belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths())

    def slice(self, start: int, stop: int) -> Bag:
        """Rows [start, stop), as views of this bag's entries."""
        return Bag(self.flat[self.offsets[start] : self.offsets[stop]], self.offsets[start : stop + 1] - self.offsets[start])

    def take(self, order: Int64s) -> Bag:
        """The rows of `order`, in that order."""
        offsets = offsets_of(self.offsets[order + 1] - self.offsets[order])
        flat = np.empty(offsets[-1], self.flat.dtype)
        _take(flat, offsets, self.flat, self.offsets, order)
        return Bag(flat, offsets)

    def where(self, keep: NDArray[np.bool_]) -> Bag:
        """Only the entries for which `keep` (N,) holds; every row stays."""
        kept_before = np.concatenate([[0], np.cumsum(keep)])
        return Bag(self.flat[keep], kept_before[self.offsets])


def offsets_of(lengths: Int64s) -> Int64s:
    """(B,) lengths to (B+1,) offsets."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def side_by_side(bags: Sequence[Bag]) -> Bag:
    """One bag of int32 entries whose row i holds the entries of every bag's row i, in the order of `bags`."""
    offsets = np.sum([bag.offsets for bag in bags], axis=0)
    flat, ends = np.empty(offsets[-1], np.int32), offsets[:-1].copy()
    for bag in bags:
        _append(flat, ends, bag.flat, bag.offsets)
    return Bag(flat, offsets)


def bag_of_columns(table: NDArray[np.int32]) -> Bag:
    """A (B, F) table as a bag of F entries per row."""
    rows, width = table.shape
    return Bag(table.ravel(), np.arange(rows + 1) * width)


@compiled
def _append(flat: Any, ends: Any, entries: Any, offsets: Any) -> None:
    """Write each row's entries where the row ends in `flat`, and move its end."""
    for row in range(len(ends)):
        end = ends[row]
        for i in range(offsets[row], offsets[row + 1]):
            flat[end] = entries[i]
            end += 1
        ends[row] = end


@compiled
def _take(flat: Any, offsets: Any, entries: Any, starts: Any, order: Any) -> None:
    """Write the entries of each row of `order`, which begin at its `starts`, to where `offsets` has room for them."""
    for row in range(len(order)):
        start = starts[order[row]]
        for i in range(offsets[row + 1] - offsets[row]):
            flat[offsets[row] + i] = entries[start + i]
