"""Values of a request become columns as training had them, or are refused: which one, what it is, what is wanted.

Nothing is guessed: "3" is no number and 3 is no text, since whoever guesses would serve other keys than were learnt.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa

from widedeep.data.conform import TYPES, conformed
from widedeep.data.contract import Column
from widedeep.errors import UsageError

MOST_ITEMS = 1000
"""Items of one list value: more than any user has, and few enough for the crosses of two such lists in one row."""

MOST_SHOWN = 60
"""Characters of what a client sent, in an error."""

WANTED: dict[str, tuple[frozenset[type], str]] = {
    "string": (frozenset({str}), "text"),
    "integer": (frozenset({int}), "an integer"),
    "number": (frozenset({int, float}), "a finite number"),
    "boolean": (frozenset({bool}), "true or false"),
    "timestamp": (frozenset({str}), "text with a moment of ISO 8601"),
    "list": (frozenset({list}), "a list of texts"),
}
_ITEMS: frozenset[type] = frozenset({str, type(None)})

Place = Callable[[int], str]


class RefusedError(UsageError):
    """A request that can't be answered, for a reason of its own; `status` is HTTP's (RFC 9110, §15.5)."""

    def __init__(self, text: str, status: int = 422) -> None:
        super().__init__(text)
        self.status = status


def column_of(values: Sequence[Any], column: Column, place: Place, *, may_lack: bool) -> pa.Array:
    """(B,) values of JSON as the contract's type; None where one is missing. `place` names the i-th in an error.

    Raises:
        RefusedError: one has another type, is not finite, or is too large.
    """
    types, wanted = WANTED[column.type]
    if not set(map(type, values)) <= (types | {type(None)} if may_lack else types):
        allowed = types | {type(None)} if may_lack else types
        raise _refused(values, lambda value: type(value) in allowed, wanted + " or null" * may_lack, place)
    made = _MAKERS.get(column.type, _plain)(values, place, wanted)
    return made if made.type == TYPES[column.type] else made.cast(TYPES[column.type])


def shown(value: Any) -> str:
    """A value as it is told of in an error: short, whatever it is."""
    if value is None:
        return "null"
    kind = {str: "text", bool: "a boolean", int: "an integer", float: "a number", list: "a list", dict: "an object"}[type(value)]
    if isinstance(value, list | dict):
        return f"{kind} of {len(value):,}"
    return f"{kind}, {_brief(value)}"


def _brief(value: str | float) -> str:
    """An integer of thousands of digits has no repr."""
    if isinstance(value, int) and value.bit_length() > 4 * MOST_SHOWN:
        return f"of {value.bit_length():,} bits"
    return cut(repr(value))


def cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _plain(values: Sequence[Any], place: Place, wanted: str) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, OverflowError):
        raise _refused(values, _fits, f"{wanted} of 64 bits", place) from None


def _numbers(values: Sequence[Any], place: Place, wanted: str) -> pa.Array:
    try:
        numbers = np.array(values, np.float64)  # None becomes NaN, which the encoding takes for missing, too
    except OverflowError:
        raise _refused(values, _finite, wanted, place) from None
    if not np.isfinite(numbers).all() and not all(map(_finite, values)):
        raise _refused(values, _finite, wanted, place)
    return pa.array(numbers, pa.float64(), from_pandas=True)


def _moments(values: Sequence[Any], place: Place, wanted: str) -> pa.Array:
    """One by one where they are not all of one form: some with an offset and some without."""
    moment = TYPES["timestamp"]
    whole = conformed(pa.array(values, pa.string()), "timestamp")
    if whole.type == moment:
        return whole
    each = [conformed(pa.array([value], pa.string()), "timestamp") for value in values]
    for i, made in enumerate(each):
        if made.type != moment:
            raise RefusedError(f"{place(i)}: got {shown(values[i])}, wanted {wanted}")
    return pa.concat_arrays(each)


def _lists(values: Sequence[Any], place: Place, _: str) -> pa.Array:
    present = [value for value in values if value is not None]
    if not set(map(type, chain.from_iterable(present))) <= _ITEMS:
        i, value = next((i, v) for i, v in enumerate(values) if v and not set(map(type, v)) <= _ITEMS)
        j = next(j for j, item in enumerate(value) if type(item) not in _ITEMS)
        raise RefusedError(f"{place(i)}[{j}]: got {shown(value[j])}, wanted text")
    if max(map(len, present), default=0) > MOST_ITEMS:
        raise _refused(values, lambda value: value is None or len(value) <= MOST_ITEMS, f"at most {MOST_ITEMS:,} items", place)
    return pa.array(values, TYPES["list"])


_MAKERS: dict[str, Callable[[Sequence[Any], Place, str], pa.Array]] = {
    "number": _numbers,
    "timestamp": _moments,
    "list": _lists,
}


def _refused(values: Sequence[Any], fits: Callable[[Any], bool], wanted: str, place: Place) -> RefusedError:
    i = next(i for i, value in enumerate(values) if not fits(value))
    return RefusedError(f"{place(i)}: got {shown(values[i])}, wanted {wanted}")


def _fits(value: Any) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def _finite(value: Any) -> bool:
    try:
        return value is None or isfinite(value)
    except OverflowError:
        return False
