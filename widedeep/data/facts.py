"""What a span is as a whole, in plain numbers: the aggregates that validation holds against the contract's limits.

A fact that can't be told (the label rate of no rows) is left out, never guessed.
"""

import pyarrow as pa
import pyarrow.compute as pc

from widedeep.data.conform import TYPES
from widedeep.data.contract import Contract
from widedeep.data.tables import is_list


def type_name(kind: pa.DataType) -> str:
    """A column's type in the contract's words where it has one."""
    return next((name for name, known in TYPES.items() if known == kind), str(kind))


def sound_columns(table: pa.Table, contract: Contract) -> list[str]:
    """The contract's columns that are there and have their type: only of these can values be checked."""
    return [
        n
        for n, spec in contract.columns.items()
        if n in table.column_names and type_name(table.schema.field(n).type) == spec.type
    ]


def label_rate(table: pa.Table, contract: Contract) -> float | None:
    """Share of positive labels among those that are there; None without any."""
    share = pc.mean(positive(table, contract)).as_py()
    return None if share is None else float(share)


def positive(table: pa.Table, contract: Contract) -> pa.ChunkedArray:
    """(B,) booleans: whether a row's label is positive; null where it is null, or the label is no sound column."""
    name, limit = contract.label.column, contract.label.at_least
    if name not in sound_columns(table, contract):
        return pa.chunked_array([pa.nulls(table.num_rows, pa.bool_())])
    return pc.greater_equal(table[name], limit) if limit is not None else pc.not_equal(table[name].cast(pa.float64()), 0.0)


def null_share(table: pa.Table, name: str) -> float:
    return table[name].null_count / table.num_rows if table.num_rows else 0.0


def different(column: pa.ChunkedArray) -> int:
    """How many different values there are, or items of lists; null is none."""
    return len(pc.unique((pc.list_flatten(column) if is_list(column.type) else column).drop_null()))
