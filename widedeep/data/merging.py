"""Files of one span may differ in columns and types as long as no value is lost; where they don't go together, both are named."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from widedeep.data.conform import conformed
from widedeep.data.tables import is_list, plain_column

COLUMN_BYTES = 2**31 - 1  # of text in one column: its offsets have 32 bits
ITEM_BYTES = 40  # the longest that a number gets as text, which is how lists and decimals are put in order


class DisagreementError(ValueError):
    """Columns that don't go together, or don't fit. The arguments say which, one by one."""


def merged(tables: Sequence[tuple[str, pa.Table]], types: Mapping[str, str]) -> pa.Table:
    """The rows of all files as one table of conformed columns; a column that some files don't have is null in their rows.

    Where a column takes its contract's type in some files only, it stays as it came if it came as one type: validation looks at
    each value. A column that the contract does not know may widen, such as from integers to floating point.

    Raises:
        DisagreementError: of some column, no type fits all files.
    """
    columns: dict[str, pa.ChunkedArray] = {}
    problems: list[str] = []
    for name in dict.fromkeys(name for _, table in tables for name in table.column_names):
        try:
            columns[name] = _merged(name, tables, types.get(name))
        except DisagreementError as problem:
            problems.extend(problem.args)
    if problems:
        raise DisagreementError(*problems)
    return pa.table(columns)


def _merged(name: str, tables: Sequence[tuple[str, pa.Table]], wanted: str | None) -> pa.ChunkedArray:
    raw = [_column(table, name) for _, table in tables]
    own = [conformed(column, wanted) if wanted else column for column in raw]
    for columns in (own, raw):
        kinds = {column.type for column in columns if not pa.types.is_null(column.type)}
        if len(kinds) <= 1:
            return _fitting(name, pa.chunked_array([_cast(c, *kinds) for c in columns]))
    widest = None if wanted else _widened(own)
    if widest is None:
        types = {column.type: file for (file, _), column in reversed(list(zip(tables, own, strict=True)))}
        said = ", ".join(f"{kind} in file {file}" for kind, file in reversed(types.items()))
        raise DisagreementError(f"column {name!r}: {said}; wanted {wanted or 'types that go together'} in each")
    return _fitting(name, widest)


def _column(table: pa.Table, name: str) -> pa.Array:
    return plain_column(table.column(name)) if name in table.column_names else pa.nulls(table.num_rows)


def _cast(column: pa.Array, kind: pa.DataType | None = None) -> pa.Array:
    return column if kind is None else column.cast(kind)


def _widened(columns: Sequence[pa.Array]) -> pa.ChunkedArray | None:
    """As the narrowest type that holds all of them; None if a value would be lost."""
    try:
        kind = pa.unify_schemas([pa.schema({"": column.type}) for column in columns], promote_options="permissive").field(0).type
        return pa.chunked_array([column.cast(kind) for column in columns])
    except MemoryError:
        raise
    except pa.ArrowException:
        return None


def _fitting(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if (size := _text_bytes(column)) > COLUMN_BYTES:
        raise DisagreementError(
            f"column {name!r}: {size:,} bytes of text, wanted at most {COLUMN_BYTES:,}: deliver less, or in more spans"
        )
    return column


def _text_bytes(column: pa.ChunkedArray) -> int:
    """What a column takes as text at the most; columns of fixed width are never made into it."""
    kind = column.type
    if is_list(kind):
        return int(column.nbytes + ITEM_BYTES * sum(len(chunk.flatten()) for chunk in column.chunks))
    if pa.types.is_decimal(kind):
        return ITEM_BYTES * len(column)
    return int(column.nbytes) if pa.types.is_string(kind) or pa.types.is_binary(kind) else 0
