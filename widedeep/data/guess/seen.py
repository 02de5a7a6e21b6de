"""What a column of the sample is seen to be. Every figure is of the sample, and of all of it.

`N` rows of the sample, `K` different values of a column.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from widedeep.data.conform import CONVERSIONS, TYPES
from widedeep.data.guess.sample import Sample
from widedeep.data.tables import is_list, plain_column

Kind = Literal["boolean", "integer", "number", "list", "timestamp", "string"]
IN_TEXT: dict[Kind, str] = {
    "boolean": r"(?i)true|false",
    "integer": r"-?(0|[1-9][0-9]{0,17})",  # a leading zero is part of a code
    "number": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?",
    "list": r"\s*\[.*\]\s*",
    "timestamp": r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:.*)?",
}
OF_TYPES: tuple[tuple[Callable[[pa.DataType], bool], Kind], ...] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "number"),
    (pa.types.is_timestamp, "timestamp"),
    (pa.types.is_date, "timestamp"),
    (is_list, "list"),
    (pa.types.is_binary, "string"),
    (pa.types.is_null, "string"),
)
SEPARATOR = "\x1f"  # between the items of a list, where a list is told from another


@dataclass(frozen=True)
class Seen:
    """`values` (N,) have the contract's type, or, with `kind` None, one that no contract has.

    null_share: of the day that has most. codes: (N,) number of each row's value, -1 where it is null. labels: (K,) the values.
    """

    name: str
    kind: Kind | None
    values: pa.Array
    null_share: float
    codes: NDArray[np.int64]
    labels: pa.Array
    days_of_values: NDArray[np.int64]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(K,) how many rows have each value."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.labels))

    @cached_property
    def known(self) -> int:
        """Rows that have a value."""
        return int(self.counts.sum())

    @property
    def different(self) -> int:
        """K."""
        return len(self.labels)

    @property
    def constant(self) -> bool:
        return self.different <= 1

    @property
    def shared(self) -> float:
        """Share of the rows whose value another row has, too."""
        return float(self.counts[self.counts > 1].sum() / max(1, self.known))

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The finite numbers among the values of a column of numbers."""
        numbers: NDArray[np.float64] = self.values.drop_null().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return numbers[np.isfinite(numbers)]

    @cached_property
    def items(self) -> pa.Array:
        """All items of a column of lists; else its values."""
        return (self.values.flatten() if self.kind == "list" else self.values).drop_null()

    @property
    def longest(self) -> int:
        """Characters of the longest text."""
        return int(pc.max(pc.utf8_length(self.items)).as_py() or 0) if self.kind in {"string", "list"} else 0


Columns = Mapping[str, Seen]
"""All columns of the sample, by name."""


def look(sample: Sample) -> Columns:
    """Every column of the sample, by name."""
    return {name: _seen(name, plain_column(sample.table[name]), sample) for name in sample.table.column_names}


def kind_of(column: pa.Array, typed: bool) -> Kind | None:
    """The contract's type that all values have or can take without loss, as `widedeep.data.conform` gives it to them."""
    return next((kind for kind in _possible(column, typed) if _taken(column, kind) is not None), None)


def _possible(column: pa.Array, typed: bool) -> tuple[Kind, ...]:
    """Text of a file that knows types is text on purpose, but for what JSON and many tools have no other form for."""
    if pa.types.is_string(column.type):
        text = column.drop_null()
        tried = {kind: form for kind, form in IN_TEXT.items() if not typed or kind in {"list", "timestamp"}}
        return (*(kind for kind, form in tried.items() if len(text) and pc.all(_whole(text, form)).as_py()), "string")
    return tuple(kind for test, kind in OF_TYPES if test(column.type))


def _whole(text: pa.Array, form: str) -> pa.Array:
    return pc.match_substring_regex(text, f"^(?:{form})$")


def _taken(column: pa.Array, kind: Kind) -> pa.Array | None:
    if column.null_count == len(column):
        return pa.nulls(len(column), TYPES[kind])
    try:
        converted = CONVERSIONS[kind](column)
    except (pa.ArrowException, ValueError, OverflowError):
        return None
    return converted if converted.type == TYPES[kind] else None


def _seen(name: str, column: pa.Array, sample: Sample) -> Seen:
    kind = kind_of(column, sample.typed)
    taken = _taken(column, kind) if kind else None
    values = column if taken is None else taken
    codes, labels = _coded(values)
    nulls = np.bincount(sample.day[codes < 0], minlength=len(sample.spans)) / np.bincount(sample.day, minlength=len(sample.spans))
    return Seen(name, kind, values, float(nulls.max()), codes, labels, _days(codes, sample, len(labels)))


def _coded(values: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    if is_list(values.type):
        values = pc.binary_join(values.cast(pa.list_(pa.string())), SEPARATOR)
    encoded = values.dictionary_encode()
    return pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary


def _days(codes: NDArray[np.int64], sample: Sample, different: int) -> NDArray[np.int64]:
    """(K,) on how many days each value was there."""
    there = np.unique(np.stack([codes, sample.day])[:, codes >= 0], axis=1)[0]
    return np.bincount(there, minlength=different)
