"""Cross-product transformations (Cheng et al. 2016, §3.1): a cross's key is the pair of its two values' rows.

When a value's row passes to another value, its crosses are given up (`widedeep.features.growth`). An out-of-vocabulary side gives
no key: an unseen cross contributes nothing.
"""

from typing import Any

import numpy as np

from widedeep.features.bags import Bag, Int64s, offsets_of
from widedeep.features.compiled import compiled

_SHIFT = 32


def cross(left: Bag, right: Bag) -> Bag:
    """Every pair of the two bags of each row. Entries are rows of `values`, or -1 where unknown; the result's are int64 keys."""
    sides = left.flat, left.offsets, right.flat, right.offsets
    pairs = np.empty(len(left.offsets) - 1, np.int64)
    _count(pairs, *sides)
    offsets = offsets_of(pairs)
    keys = np.empty(offsets[-1], np.int64)
    _pair(keys, *sides)
    return Bag(keys, offsets)


@compiled
def _count(pairs: Any, left: Any, left_offsets: Any, right: Any, right_offsets: Any) -> None:
    """How many pairs of known sides each row has."""
    for row in range(len(pairs)):
        known_left = known_right = 0
        for i in range(left_offsets[row], left_offsets[row + 1]):
            known_left += left[i] >= 0
        for j in range(right_offsets[row], right_offsets[row + 1]):
            known_right += right[j] >= 0
        pairs[row] = known_left * known_right


@compiled
def _pair(keys: Any, left: Any, left_offsets: Any, right: Any, right_offsets: Any) -> None:
    """Write every pair of known sides, row by row, the left side's order before the right one's."""
    end = 0
    for row in range(len(left_offsets) - 1):
        for i in range(left_offsets[row], left_offsets[row + 1]):
            for j in range(right_offsets[row], right_offsets[row + 1]):
                if left[i] >= 0 and right[j] >= 0:
                    keys[end] = np.int64(left[i]) << _SHIFT | np.int64(right[j])
                    end += 1


def sides_of(keys: Int64s) -> tuple[Int64s, Int64s]:
    """The value rows of both sides of each key."""
    return keys >> _SHIFT, keys & ((1 << _SHIFT) - 1)
