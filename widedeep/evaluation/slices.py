"""Parts of a holdout that are measured by themselves: what the contract names, and the largest groups of every column.

A candidate that is as good over all rows may be worse for some users, items or moments. What is judged has a limit; the largest
groups are shown in any case.

B rows; N entries of all rows of a column together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.data.contract import Contract, SliceLimit
from widedeep.features.columns import Keys, categorical_keys, multivalent_keys
from widedeep.features.growth import Vocabularies

Numbers = NDArray[np.int64]

MOST, MOST_VALUES = 12, 60
"""How many of the largest groups there are in all, and how many values a column may have: one of more is a name, not a kind."""


@dataclass(frozen=True)
class Slice:
    """(B,) which rows are `inside`. `limit`: by what they are judged; None: they are shown only."""

    name: str
    inside: NDArray[np.bool_]
    limit: SliceLimit | None = None


def slices(rows: pa.Table, users: Numbers, contract: Contract, known: Vocabularies | None = None) -> tuple[Slice, ...]:
    """The judged ones in the contract's order, then the largest groups; each name once. A part with one user is none.

    `users` (B,) numbers them. `known` is what the champion knows; without it there are neither new users nor new items.
    """
    judged = [
        Slice(name, inside, limit) for limit in contract.gate.slices for name, inside in _of(limit, rows, users, contract, known)
    ]
    shown = [Slice(name, inside) for name, inside in _large(rows, users, contract, MOST)]
    found: dict[str, Slice] = {}
    for each in (*judged, *shown):
        found.setdefault(each.name, each)
    return tuple(found.values())


Part = tuple[str, NDArray[np.bool_]]


def _of(limit: SliceLimit, rows: pa.Table, users: Numbers, contract: Contract, known: Vocabularies | None) -> Iterator[Part]:
    match limit.of:
        case "new users" | "new items":
            column = contract.user if limit.of == "new users" else contract.item
            inside = _unknown(rows, column, known) if known and column else None
            if inside is not None and len(np.unique(users[inside])) > 1:
                yield limit.of, inside
        case "large groups":
            yield from _large(rows, users, contract, limit.top)
        case column:
            if column in rows.column_names:
                yield from islice(_largest(rows, column, users, contract), limit.top)


def _unknown(rows: pa.Table, column: str, known: Vocabularies) -> NDArray[np.bool_] | None:
    """(B,) which rows have a value of the column without a row in the vocabulary; None if the model doesn't read it."""
    if column not in known.features.categorical or column not in rows.column_names:
        return None
    keys = categorical_keys(rows, column)
    unknown: NDArray[np.bool_] = (known.values.lookup(column, keys.unique) < 0)[keys.bag.flat]
    return unknown


def _large(rows: pa.Table, users: Numbers, contract: Contract, most: int) -> Iterator[Part]:
    """Of each column with few values in turn the value that most users have; in order of column."""
    featured = (*contract.with_role("categorical"), *contract.with_role("multivalent"))
    names = [name for name in featured if name not in (contract.user, contract.item) and name in rows.column_names]
    found = [_largest(rows, name, users, contract, MOST_VALUES) for name in sorted(names)]
    in_turn = (each for each in chain.from_iterable(zip_longest(*found)) if each is not None)
    yield from sorted(islice(in_turn, most), key=lambda each: each[0].partition(" = ")[0])


def _largest(rows: pa.Table, name: str, users: Numbers, contract: Contract, most_values: int | None = None) -> Iterator[Part]:
    """The values of one column that several users have, those of most users first; none of a column of more values than that."""
    keys = multivalent_keys(rows, name) if name in contract.with_role("multivalent") else categorical_keys(rows, name)
    values, owner = keys.bag.flat, keys.bag.row_of()
    there = np.count_nonzero(np.bincount(values)) if len(values) else 0
    if there < 2 or (most_values and there > most_values):  # noqa: PLR2004  of one value the part is the whole
        return
    yield from _by_users(rows.num_rows, name, keys, values, owner, users)


def _by_users(count: int, name: str, keys: Keys, values: Numbers, owner: Numbers, users: Numbers) -> Iterator[Part]:
    names = ["(missing)" if v is None else v for v in keys.unique.to_pylist()]
    many = int(users.max()) + 1
    counts = np.bincount(np.unique(values.astype(np.int64) * many + users[owner]) // many)
    for value in sorted(np.flatnonzero(counts > 1), key=lambda each: (-counts[each], names[each])):
        inside = np.zeros(count, np.bool_)
        inside[owner[values == value]] = True
        yield f"{name} = {names[value]}", inside
