"""What is expected of data, in the words of Great Expectations, and the sentence that is said where it is not so.

Great Expectations decides; what it looks at is made for it (`row_checks`, `span_checks`), so that it meets no value that it can't
compare, and each different text but once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.data.tables import is_list

Severity = Literal["critical", "drastic", "rows", "warning"]
Places = NDArray[np.int64]

NAMED = 10  # names or values that a sentence lists; the others are counted
SHOWN = 60  # characters of a value


@dataclass(frozen=True)
class Check:
    """One expectation by the name of its class, and what is said if it fails.

    `complaint` is the whole sentence or, for `counted` things, its end: "column 'age': 12 of 1,150 values <complaint>, e.g. 410".
    `severity` "rows": what breaks it is taken out, row by row, unless there is too much of it. `title`: what the sentence is
    about, if not the column. `example`: whether what Great Expectations saw says more than the complaint. `tolerance`: the share
    of rows that may break it, where they don't count towards the contract's `checks.tolerance`.
    """

    kind: str
    column: str | None
    expectation: str
    arguments: dict[str, Any]
    complaint: str
    severity: Severity = "critical"
    counted: Literal["values", "rows"] | None = None
    title: str | None = None
    example: bool = True
    tolerance: float | None = None

    @property
    def about(self) -> str:
        return self.title or f"column {self.column!r}"


def themselves(places: Places) -> Places:
    """The places of a subject that has the span's rows."""
    return places


@dataclass(frozen=True)
class Subject:
    """Columns of equal length, and what is expected of them. `rows_of` leads from places in them to rows of the span, ascending.

    `one_row_each`: each place stands for one row, and not for all rows that hold a value.
    """

    columns: pa.Table
    checks: tuple[Check, ...]
    rows_of: Callable[[Places], Places] = themselves
    one_row_each: bool = True


def of_rows(kind: str, column: str, expectation: str, complaint: str, **arguments: Any) -> Check:
    """A rule that each row keeps or breaks. There is no example of a null."""
    example = expectation != "ExpectColumnValuesToNotBeNull"
    return Check(kind, column, expectation, {"column": column} | arguments, complaint, "rows", "values", example=example)


def shown(value: pa.Scalar) -> str:
    """A delivered value. NumPy writes the times: Python's end with the year 9999, and Arrow's go wrong after 32767."""
    if is_list(value.type) and value.is_valid:
        return f"[{', '.join(shown(item) for item in value.values.slice(0, NAMED))}"[:SHOWN] + "]"
    if pa.types.is_timestamp(value.type) and value.is_valid:
        return str(np.datetime64(value.value, value.type.unit))
    return str(value.cast(pa.string()) if pa.types.is_temporal(value.type) else repr(value.as_py()))[:SHOWN]


def listed(values: Iterable[object]) -> str:
    """The first few, as they may be shown anywhere: delivered names may hold anything."""
    texts = [text if (text := str(value)).isprintable() else repr(text) for value in values]
    return ", ".join(texts[:NAMED]) + (f" … ({len(texts)} in all)" if len(texts) > NAMED else "")
