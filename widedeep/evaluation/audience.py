"""Who is asked, and what could be recommended to them: a sample of held-out users, and the items of a catalogue.

Equal rows give an equal sample, whatever their order: users and items are drawn by a hash of their names. Each user is asked as
of their newest held-out row. Nobody's name leaves this module.

U users; K items; L items of a list; T items taken; V values of items' properties.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from widedeep.data.catalogue import item_columns
from widedeep.data.conform import TYPES
from widedeep.data.contract import Contract
from widedeep.evaluation.interests import history, places, properties, text

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

MOST_USERS = 1_000
MOST_ITEMS = 2_000
MOST_PAIRS = 200_000
"""Pairs of user and item that a model scores: a few seconds on one core with layers of 1024, 512 and 256."""

PAIRS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Audience:
    """users: (U, columns) the newest row of each. items: (K, columns). taken: (T,) users and (T,) items of positive rows.

    history: (U, K) which items each user had before; properties: (K, V) which values each item has. None where the contract
    names no such columns.
    """

    users: pa.Table
    items: pa.Table
    taken: tuple[Numbers, Numbers]
    history: sparse.csr_array | None
    properties: sparse.csr_array | None

    def pairs(self, users: Numbers, items: Numbers) -> pa.Table:
        """(len(users), columns) the user's and the moment's values beside each item's, as `rank` puts them together."""
        asked, offered = self.users.take(pa.array(users)), self.items.take(pa.array(items))
        return pa.table(dict(zip([*asked.column_names, *offered.column_names], [*asked.columns, *offered.columns], strict=True)))

    def top(self, score: Callable[[pa.Table], Floats], k: int) -> Numbers:
        """(U, L) the numbers of the k items with the highest scores, best first; equal scores in the sample's order."""
        count, step = self.items.num_rows, max(1, PAIRS_AT_ONCE // max(1, self.items.num_rows))
        found = [np.empty((0, min(k, count)), np.int64)]
        for start in range(0, self.users.num_rows, step):
            users = np.arange(start, min(start + step, self.users.num_rows))
            scores = score(self.pairs(np.repeat(users, count), np.tile(np.arange(count), len(users))))
            found.append(np.argsort(-scores.reshape(len(users), count), axis=1, kind="stable")[:, :k])
        return np.concatenate(found)


def gather(rows: pa.Table, labels: Floats, catalogue: pa.Table | None, contract: Contract) -> Audience | None:
    """The audience of held-out rows; None where there is no item, no catalogue or no row.

    At most MOST_ITEMS items and MOST_USERS users, and no more pairs of them than MOST_PAIRS.
    """
    if contract.item is None or catalogue is None or not (catalogue.num_rows and rows.num_rows):
        return None
    items = catalogue.take(pa.array(_drawn(catalogue[contract.item], MOST_ITEMS)))
    names = text(rows[contract.user])
    people = pc.unique(names)
    people = people.take(pa.array(_drawn(people, min(MOST_USERS, max(1, MOST_PAIRS // items.num_rows)))))
    owners = places(names, people)
    users = _newest(rows, owners, contract.time).select(_asked(rows, contract))
    return Audience(
        users=users,
        items=pa.table({name: _described(items, name, contract) for name in item_columns(contract)}),
        taken=_taken(owners, labels, places(rows[contract.item], items[contract.item])),
        history=history(users, items[contract.item], contract),
        properties=properties(items, contract),
    )


def _drawn(names: pa.Array | pa.ChunkedArray, most: int) -> Numbers:
    """Places of the names with the lowest hashes, at most so many, in order of hash."""
    hashes = pd.util.hash_array(text(names).to_numpy(zero_copy_only=False).astype(object), categorize=False)
    return np.argsort(hashes, kind="stable")[:most].astype(np.int64)


def _asked(rows: pa.Table, contract: Contract) -> list[str]:
    """What is known before an item is: the user's and the moment's columns."""
    later = {*item_columns(contract), contract.label.column}
    return [name for name in rows.column_names if name not in later]


def _newest(rows: pa.Table, owners: Numbers, time: str) -> pa.Table:
    """(U, columns): of each owner's rows the newest, the last of equally new ones; in order of owner."""
    moments = rows[time].combine_chunks().cast(pa.int64()).fill_null(0).to_numpy()
    order = np.lexsort((moments, owners))
    order = order[owners[order] >= 0]
    return rows.take(pa.array(order[np.diff(owners[order], append=-1) != 0]))


def _taken(owners: Numbers, labels: Floats, items: Numbers) -> tuple[Numbers, Numbers]:
    kept = (owners >= 0) & (labels > 0) & (items >= 0)
    return owners[kept], items[kept]


def _described(items: pa.Table, name: str, contract: Contract) -> pa.Array | pa.ChunkedArray:
    """A column of the catalogue; nulls if it is older than the column."""
    return items[name] if name in items.column_names else pa.nulls(items.num_rows, TYPES[contract.columns[name].type])
