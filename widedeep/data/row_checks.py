"""What each row of a span has to keep, by itself or beside its likes. A row that breaks a rule can be taken out and named.

`B` rows of the span. Texts and items of lists are looked at once for each different one, however many rows have it.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from widedeep.data.checks import Check, Places, Subject, listed, of_rows, shown
from widedeep.data.clock import shift_told
from widedeep.data.contract import Column, Contract
from widedeep.data.facts import sound_columns
from widedeep.data.late import earliest, late
from widedeep.data.limits import Skew
from widedeep.data.tables import MOMENT
from widedeep.data.twice import repeated, unequal

LARGEST_WEIGHT = 3.4e38  # weights are learnt as 32-bit numbers; above this they are infinite
LONGEST_TEXT = 1000  # characters, where the contract says nothing; longer titles and identifiers are other fields, or whole files
CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x{9F}]"  # all but tab and line ends; the upper ones come from a wrong encoding
MOJIBAKE = r"\x{FFFD}|[ÂÃ][\x{80}-\x{BF}]|â€|Ð[\x{80}-\x{BF}]"  # U+FFFD, or UTF-8 that was read as Latin-1 or Windows-1252
FORMULA = r"^\s*(?:=|[+\-@].*[(|])"  # what a spreadsheet may run; -5 and @name are as harmless as they look


def row_subjects(table: pa.Table, contract: Contract, span: date, again: NDArray[np.bool_] | None = None) -> Iterator[Subject]:
    """One after the other, so that only one of them takes memory. `again` (B,) marks rows that an earlier day has brought."""
    yield _presence(table, contract)
    sound = sound_columns(table, contract)
    for name in sound:
        yield from _column(table, contract, name, span)
    if contract.key and set(contract.key) <= set(sound):
        yield _key(table, contract.key)
    for skew in contract.checks.skew:
        if set(skew.of) <= set(sound):
            yield _skew(table, skew)
    if again is not None and again.any():
        said, share = "came with an earlier day, too", contract.late.share
        yield _marked_rows(
            "late", contract.time, "rows that came before", again, said, "rows", tolerance=share, title="late rows"
        )


def _presence(table: pa.Table, contract: Contract) -> Subject:
    """Which columns are there, and where they have no value."""
    low, high = contract.checks.rows
    said = f"the span has {table.num_rows:,} rows, wanted {low:,} to {high:,}"
    checks = [Check("rows", None, "ExpectTableRowCountToBeBetween", {"min_value": low, "max_value": high}, said)]
    for name, spec in contract.columns.items():
        missing = f"column {name!r}: is missing, wanted among the delivered ({listed(table.column_names)})"
        checks.append(Check("present", name, "ExpectColumnToExist", {"column": name}, missing))
        if name in table.column_names and not spec.nullable:
            checks.append(of_rows("nulls", name, "ExpectColumnValuesToNotBeNull", "are null, wanted none"))
    there = {name: _marked(table[name]) for name in contract.columns if name in table.column_names}
    return Subject(pa.table(there or {"rows": pa.nulls(table.num_rows)}), tuple(checks))


def _marked(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """(B,) 1 or null, in two bytes a row."""
    return pc.if_else(pc.is_valid(column), pa.scalar(1.0, pa.float16()), None)


def _column(table: pa.Table, contract: Contract, name: str, span: date) -> Iterator[Subject]:
    spec, column = contract.columns[name], table[name].combine_chunks()
    if spec.type == "string":
        yield _different(name, column, np.arange(len(column)), len(column), tuple(_text_checks(name, spec, _OF_TEXTS)))
    elif spec.type == "list":
        owners = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        null_items = of_rows("items", name, "ExpectColumnValuesToNotBeNull", "hold a null item")
        checks = (null_items, *_text_checks(name, spec, _OF_ITEMS))
        yield _different(name, column.flatten(), owners, len(column), checks)
        yield from _sizes(name, spec, column)
    elif name == contract.time:
        yield from _times(table[name], contract, span)
    elif checks := tuple(_number_checks(contract, name, spec)):
        yield _known(name, column, checks)


def _known(name: str, column: pa.Array, checks: tuple[Check, ...]) -> Subject:
    """The values that are there."""
    if not column.null_count:
        return Subject(pa.table({name: column}), checks)
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    return Subject(pa.table({name: column.drop_null()}), checks, lambda places: rows[places])


def _different(name: str, values: pa.Array, owners: Places, count: int, checks: tuple[Check, ...]) -> Subject:
    """The different values; `owners` are the rows of all of them. A null that is an item is a value, too."""
    encoded = values.dictionary_encode("encode")

    def rows_of(places: Places) -> Places:
        found: NDArray[np.bool_] = np.zeros(len(encoded.dictionary), bool)
        found[places] = True
        rows: NDArray[np.bool_] = np.zeros(count, bool)
        rows[owners[found[encoded.indices.to_numpy()]]] = True
        return np.flatnonzero(rows)

    return Subject(pa.table({name: encoded.dictionary}), checks, rows_of, one_row_each=False)


_OF_TEXTS = ("are", "do", "hold")
_OF_ITEMS = ("hold an item that is", "hold an item that does", "hold an item with")


def _text_checks(name: str, spec: Column, verbs: tuple[str, str, str]) -> Iterator[Check]:
    are, do, hold = verbs
    if spec.allowed is not None:
        among = f"{are} not among {listed(spec.allowed)}"
        yield of_rows("allowed", name, "ExpectColumnValuesToBeInSet", among, value_set=list(spec.allowed))
    if spec.regex is not None:
        matching = f"{do} not match {spec.regex}"
        yield of_rows(
            "regex", name, "ExpectColumnValuesToMatchRegex", matching, regex=rf"^(?:{spec.regex})\Z"
        )  # $ would match before a line end, too
    longest = spec.max_length or LONGEST_TEXT
    too_long = f"{are} longer than {longest:,} characters"
    yield of_rows("length", name, "ExpectColumnValueLengthsToBeBetween", too_long, max_value=longest)
    yield of_rows("control", name, "ExpectColumnValuesToNotMatchRegex", f"{hold} control characters", regex=CONTROL)
    garbled = f"{hold} characters of a wrong encoding (mojibake)"
    yield of_rows("encoding", name, "ExpectColumnValuesToNotMatchRegex", garbled, regex=MOJIBAKE)
    formula = f"{are} what a spreadsheet may run as a formula; here it is text, but mind where you open it"
    arguments = {"column": name, "regex": FORMULA}
    yield Check("formula", name, "ExpectColumnValuesToNotMatchRegex", arguments, formula, "warning", "values")


def _sizes(name: str, spec: Column, column: pa.Array) -> Iterator[Subject]:
    if spec.items is not None:
        low, high = spec.items
        said = f"have fewer than {low:,} or more than {high:,} items"
        measure = f"items in {name}"
        between = {"column": measure, "min_value": low, "max_value": high}
        check = Check("items", name, "ExpectColumnValuesToBeBetween", between, said, "rows", "values")
        yield _known(measure, pc.list_value_length(column).cast(pa.int64()), (check,))


def _number_checks(contract: Contract, name: str, spec: Column) -> Iterator[Check]:
    expectation = "ExpectColumnValuesToBeBetween"
    if spec.range is not None:
        low, high = spec.range
        yield of_rows("range", name, expectation, f"lie outside {low:g}..{high:g}", min_value=low, max_value=high)
    elif spec.type == "number" and spec.role != "weight":
        finite = {"min_value": -sys.float_info.max, "max_value": sys.float_info.max}
        yield of_rows("range", name, expectation, "are infinite", **finite)
    if spec.role == "weight":
        said = "are negative or infinite, as no weight may be"
        yield of_rows("weight", name, expectation, said, min_value=0, max_value=LARGEST_WEIGHT)
    if name == contract.label.column and spec.type != "boolean" and contract.label.at_least is None:
        yield of_rows("label", name, "ExpectColumnValuesToBeInSet", "are neither 0 nor 1, as a label is", value_set=[0, 1])


def _times(times: pa.ChunkedArray, contract: Contract, span: date) -> Iterator[Subject]:
    """Late rows are looked at apart, as they come on good days, too; not where one shift explains all times: a clock is wrong."""
    next_day = datetime.combine(span + timedelta(days=1), time(), UTC)
    start, end = earliest(contract, span), next_day + contract.checks.clock_skew
    shift, name = shift_told(times, start, end), contract.time
    apart = late(times, contract, span) & (shift is None and contract.late.rows != "keep")
    outside = f"lie outside the span {span} (UTC)"
    if apart.any():
        measure = f"late by {name}"
        said = (
            f"{outside}: they are late by up to {contract.late.days} d, wanted in at most {contract.late.share:.1%} of the rows"
        )
        yield _marked_rows("late", name, measure, apart, said, "values", tolerance=contract.late.share)
    others = np.flatnonzero(pc.is_valid(times).to_numpy() & ~apart)
    own = times.take(pa.array(others))
    wrong = own.filter(pc.or_(pc.less(own, pa.scalar(start, MOMENT)), pc.greater_equal(own, pa.scalar(end, MOMENT))))
    said = outside + (f": {shift}" if shift else "") + (f", e.g. {shown(wrong[0])}" if len(wrong) else "")
    inside = {"column": name, "min_value": start, "max_value": end, "strict_max": True}
    check = Check("time", name, "ExpectColumnValuesToBeBetween", inside, said, "rows", "values", example=False)
    yield Subject(pa.table({name: _of_python(own)}), (check,), lambda places: others[places])


def _of_python(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times that Great Expectations can write down: for what lies before the year 1 or after 9999, the first or last moment."""
    first, last = (pa.scalar(end.replace(tzinfo=UTC), MOMENT) for end in (datetime.min, datetime.max))
    return pc.if_else(pc.less(times, first), first, pc.if_else(pc.greater(times, last), last, times))


def _key(table: pa.Table, key: tuple[str, ...]) -> Subject:
    again, names = repeated(table.select(key)), ", ".join(map(repr, key))
    example = [shown(column[int(np.argmax(again))]) for column in table.select(key).columns if again.any()]
    said = f"repeat the key of an earlier row, e.g. {', '.join(example)}"
    return _marked_rows("key", key[0], f"seen before: {', '.join(key)}", again, said, "rows", title=f"key {names}")


def _skew(table: pa.Table, skew: Skew) -> Subject:
    one, other = skew.of
    apart = unequal(table[one], table[other], skew.tolerance)
    examples = [shown(column[int(np.argmax(apart))]) for column in (table[one], table[other]) if apart.any()]
    said = f"differ from {other!r}, e.g. {' and '.join(examples)}"
    return _marked_rows("skew", one, f"{one} differs from {other}", apart, said, "values")


def _marked_rows(
    kind: str, column: str, measure: str, marked: NDArray[np.bool_], said: str, counted: Literal["values", "rows"], **how: Any
) -> Subject:
    """A rule that the marked rows (B,) break."""
    arguments = {"column": measure, "max_value": 0}
    check = Check(kind, column, "ExpectColumnValuesToBeBetween", arguments, said, "rows", counted, example=False, **how)
    return Subject(pa.table({measure: marked.astype(np.int64)}), (check,))
