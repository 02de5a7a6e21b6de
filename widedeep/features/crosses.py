"""Cross-product transformations (Cheng et al. 2016, §3.1): a cross's key is the pair of its two values' rows.

When a value's row passes to another value, its crosses are given up (`widedeep.features.growth`). An out-of-vocabulary side gives
no key: an unseen cross contributes nothing.
"""

import numpy as np

from widedeep.features.bags import Bag, Int64s, offsets_of

_SHIFT = 32


def cross(left: Bag, right: Bag) -> Bag:
    """Every pair of the two bags of each row. Entries are rows of `values`, or -1 where unknown; the result's are int64 keys."""
    n_left, n_right = left.lengths(), right.lengths()
    pairs = n_left * n_right
    offsets = offsets_of(pairs)
    row = np.repeat(np.arange(len(pairs)), pairs)
    within = np.arange(offsets[-1]) - offsets[row]
    a = left.flat[left.offsets[row] + within // n_right[row]]
    b = right.flat[right.offsets[row] + within % n_right[row]]
    return Bag((a.astype(np.int64) << _SHIFT) | b, offsets).where((a >= 0) & (b >= 0))


def sides_of(keys: Int64s) -> tuple[Int64s, Int64s]:
    """The value rows of both sides of each key."""
    return keys >> _SHIFT, keys & ((1 << _SHIFT) - 1)
