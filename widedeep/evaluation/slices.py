"""Parts of a holdout that a person asks about first: the largest groups by what is known of users, items and the moment.

They are shown and not judged: with so many at once, one in twenty lies outside its interval by luck.

B rows; N entries of all rows of a column together.
"""

from collections.abc import Iterator
from itertools import chain, islice, zip_longest

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.data.contract import Contract
from widedeep.features.columns import categorical_keys, multivalent_keys

Numbers = NDArray[np.int64]
Slice = tuple[str, NDArray[np.bool_]]

MOST, MOST_VALUES = 12, 60
"""How many slices there are in all, and how many values a column may have: one of more is a name, not a kind."""


def slices(rows: pa.Table, users: Numbers, contract: Contract) -> tuple[Slice, ...]:
    """(name, (B,) which rows) of the values that most users have, of each column in turn; in order of column.

    Columns are categorical or lists, but neither the user nor the item; a value with one user is none.
    """
    lists = contract.with_role("multivalent")
    names = [n for n in (*contract.with_role("categorical"), *lists) if n not in (contract.user, contract.item)]
    found = [_largest(rows, name, users, name in lists) for name in sorted(names) if name in rows.column_names]
    in_turn = (each for each in chain.from_iterable(zip_longest(*found)) if each is not None)
    return tuple(sorted(islice(in_turn, MOST), key=lambda each: each[0].partition(" = ")[0]))


def _largest(rows: pa.Table, name: str, users: Numbers, is_list: bool) -> Iterator[Slice]:
    """The values of one column, those of most users first."""
    keys = multivalent_keys(rows, name) if is_list else categorical_keys(rows, name)
    values, owner, names = keys.bag.flat, keys.bag.row_of(), ["(missing)" if v is None else v for v in keys.unique.to_pylist()]
    if not 1 < np.count_nonzero(np.bincount(values)) <= MOST_VALUES:
        return
    many = int(users.max()) + 1
    counts = np.bincount(np.unique(values.astype(np.int64) * many + users[owner]) // many)
    for value in sorted(np.flatnonzero(counts > 1), key=lambda each: (-counts[each], names[each])):
        inside = np.zeros(rows.num_rows, np.bool_)
        inside[owner[values == value]] = True
        yield f"{name} = {names[value]}", inside
