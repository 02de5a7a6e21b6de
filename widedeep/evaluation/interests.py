"""What users had before and what items are like, as incidences: numbers of items and values, no names.

U users; K items; V values of the items' properties.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from widedeep.data.catalogue import item_columns
from widedeep.data.contract import Contract
from widedeep.features.columns import categorical_keys, multivalent_keys

Numbers = NDArray[np.int64]


def history(users: pa.Table, items: pa.ChunkedArray, contract: Contract) -> sparse.csr_array | None:
    """(U, K) which of the items each user had, by the lists that the contract crosses with the item, such as installed apps.

    None if it crosses none.
    """
    crossed = {name for cross in contract.crosses if contract.item in cross.of for name in cross.of}
    lists = sorted(crossed.intersection(contract.with_role("multivalent"), users.column_names))
    keyed = [multivalent_keys(users, name) for name in lists]
    if not keyed:
        return None
    columns = np.concatenate([places(keys.unique, items)[keys.bag.flat] for keys in keyed])
    return _incidence(np.concatenate([keys.bag.row_of() for keys in keyed]), columns, (users.num_rows, len(items)))


def properties(items: pa.Table, contract: Contract) -> sparse.csr_array | None:
    """(K, V) which values each item has in its categorical and listed columns, its own name aside; None if it has no such column.

    A missing value is nothing that two items share.
    """
    single, lists = (
        [n for n in item_columns(contract) if n in contract.with_role(role) and n in items.column_names and n != contract.item]
        for role in ("categorical", "multivalent")
    )
    keyed = [categorical_keys(items, name) for name in single] + [multivalent_keys(items, name) for name in lists]
    if not keyed:
        return None
    columns, width = [], 0
    for keys in keyed:
        known = keys.unique.is_valid().to_numpy(zero_copy_only=False)
        columns.append(np.where(known, np.arange(len(known)) + width, -1)[keys.bag.flat])
        width += len(known)
    return _incidence(np.concatenate([keys.bag.row_of() for keys in keyed]), np.concatenate(columns), (items.num_rows, width))


def places(names: pa.Array | pa.ChunkedArray, known: pa.Array | pa.ChunkedArray) -> Numbers:
    """The place of each name among the known ones, -1 for another."""
    found: Numbers = pc.index_in(text(names), text(known)).fill_null(-1).to_numpy().astype(np.int64)
    return found


def text(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Names as text, in one piece."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return whole.cast(pa.string())


def _incidence(rows: Numbers, columns: Numbers, shape: tuple[int, int]) -> sparse.csr_array:
    """1 at every (row, column); columns of -1 are nowhere."""
    kept = columns >= 0
    found = sparse.csr_array((np.ones(kept.sum()), (rows[kept], columns[kept])), shape=shape)
    found.sum_duplicates()
    return found.sign()
