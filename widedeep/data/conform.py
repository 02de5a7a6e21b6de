"""A delivered column takes its contract's type if no value is lost by it; else it stays as it came, for validation to report."""

import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from widedeep.data.contract import Contract
from widedeep.data.tables import MOMENT, is_list, plain_column

TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": MOMENT,
    "list": pa.list_(pa.string()),
}


def optional(contract: Contract) -> pa.Schema:
    """The columns that rows from before them may lack: they are null there."""
    return pa.schema([(name, TYPES[column.type]) for name, column in contract.columns.items() if column.nullable])


def conform(table: pa.Table, contract: Contract) -> pa.Table:
    """The same rows and columns. Columns that the contract does not know stay as they are."""
    plain = {name: plain_column(table.column(name)) for name in table.column_names}
    known = {name: conformed(plain[name], contract.columns[name].type) for name in plain if name in contract.columns}
    return pa.table(plain | known)


def conformed(column: pa.Array, wanted: str) -> pa.Array:
    """The column as the type that the contract wants, or as it came."""
    if column.null_count == len(column):
        return pa.nulls(len(column), TYPES[wanted])
    try:
        converted = CONVERSIONS[wanted](column)
    except MemoryError:  # also Arrow's: a column must not keep its type for want of memory
        raise
    except (pa.ArrowException, ValueError, OverflowError, RecursionError):  # of JSON: a number, or nesting, that goes on and on
        return column
    return converted if converted.type == TYPES[wanted] else column


def _string(column: pa.Array) -> pa.Array:
    """Numbers with a fraction stay: 1.0 and 1 would become two values."""
    return column.cast(pa.string()) if pa.types.is_integer(column.type) or pa.types.is_binary(column.type) else column


def _integer(column: pa.Array) -> pa.Array:
    return column if pa.types.is_temporal(column.type) else column.cast(pa.int64())


def _number(column: pa.Array) -> pa.Array:
    """NaN is how many tools write a missing number."""
    numbers = column if pa.types.is_temporal(column.type) else column.cast(pa.float64())
    return pc.if_else(pc.is_nan(numbers), None, numbers)


def _boolean(column: pa.Array) -> pa.Array:
    """Numbers stay, but for 0 and 1: a cast would take each other number for true."""
    if pa.types.is_integer(column.type) and not pc.all(pc.is_in(column, pa.array([0, 1, None], column.type))).as_py():
        return column
    return column if pa.types.is_floating(column.type) else column.cast(pa.bool_())


def _timestamp(column: pa.Array) -> pa.Array:
    """ISO 8601 text, with an offset or else taken as UTC. A number stays: its unit and origin are not known."""
    if pa.types.is_integer(column.type):
        return column
    try:
        return column.cast(MOMENT)
    except pa.ArrowInvalid:
        return column.cast(pa.timestamp("us")).cast(MOMENT)


def _list(column: pa.Array) -> pa.Array:
    """Lists of text; a column of text may hold JSON arrays, the form that they take in CSV."""
    if pa.types.is_string(column.type):
        column = pa.array([None if text is None else json.loads(text) for text in column.to_pylist()])
    whole = is_list(column.type) and (pa.types.is_integer(column.type.value_type) or pa.types.is_null(column.type.value_type))
    return column.cast(pa.list_(pa.string())) if whole else column


CONVERSIONS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "list": _list,
}
