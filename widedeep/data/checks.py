"""The contract's checks of one span, as Great Expectations expectations. Each knows the sentence that it complains with.

Rows are checked in one batch; what a span is as a whole (its facts) is checked in a second batch of a single row. Values are
checked only in columns that have their type, so that no expectation meets values that it can't compare.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

import pyarrow as pa

from widedeep.data import facts
from widedeep.data.contract import Column, Contract
from widedeep.data.drift import Profile, largest_move

LARGEST_WEIGHT = 3.4e38  # weights are learnt as 32-bit numbers; above this they are infinite
DUPLICATES_TOLERATED = 0.01  # a file delivered twice makes a share of 0.5; a double click is rare

Severity = Literal["critical", "warning"]
Fact = tuple[str, Any]  # its name and its value


@dataclass(frozen=True)
class Check:
    """One expectation by the name of its class, and what is said if it fails.

    `complaint` is the whole sentence, or, with `counts`, its end: "column 'age': 12 of 1,150 values <complaint>, e.g. 410".
    """

    kind: str
    column: str | None
    expectation: str
    arguments: dict[str, Any]
    complaint: str
    severity: Severity = "critical"
    counts: bool = False


@dataclass(frozen=True)
class Batch:
    """Columns of equal length, and what is expected of them."""

    name: str
    columns: pa.Table
    checks: tuple[Check, ...] = field(default=())


def batches(table: pa.Table, contract: Contract, span: date, baseline: Profile | None) -> tuple[Batch, Batch]:
    """Everything that is checked of a span: its rows, and the span as a whole."""
    sound = facts.sound_columns(table, contract)
    lists = {n: facts.bad_items(table, n, contract.columns[n].allowed) for n in sound if contract.columns[n].type == "list"}
    delivered = table.select([n for n in contract.columns if n in table.column_names])
    for name, bad in lists.items():
        delivered = delivered.append_column(_bad_items(name), pa.array(bad))
    rows = [check for name in contract.columns for check in _column_checks(table, contract, name, name in sound)]
    rows.extend(_time_checks(contract, span) if contract.time in sound else ())
    whole = list(_facts(table, contract, baseline))
    values = {check.arguments["column"]: [value] for check, value in whole}
    return (
        Batch("rows", delivered, (_volume(table, contract), *rows)),
        Batch("span", pa.table(values), tuple(check for check, _ in whole)),
    )


def _volume(table: pa.Table, contract: Contract) -> Check:
    low, high = contract.checks.rows
    complaint = f"the span has {table.num_rows:,} rows, wanted {low:,} to {high:,}"
    return Check("rows", None, "ExpectTableRowCountToBeBetween", {"min_value": low, "max_value": high}, complaint)


def _column_checks(table: pa.Table, contract: Contract, name: str, sound: bool) -> Iterator[Check]:
    spec = contract.columns[name]
    missing = f"column {name!r}: is missing, wanted among the delivered ({', '.join(table.column_names)})"
    yield Check("present", name, "ExpectColumnToExist", {"column": name}, missing)
    if name in table.column_names and not spec.nullable:
        yield _values("nulls", name, "ExpectColumnValuesToNotBeNull", {}, "are null, wanted none")
    if sound:
        yield from _value_checks(table, contract, name, spec)


def _value_checks(table: pa.Table, contract: Contract, name: str, spec: Column) -> Iterator[Check]:
    if spec.type == "list":
        example = facts.example_item(table, name, spec.allowed) if spec.allowed else None
        wanted = f"hold an item that is null or not among {', '.join(spec.allowed)}" if spec.allowed else "hold a null item"
        complaint = f"{wanted}, e.g. {example!r}" if example else wanted
        yield _values("items", name, "ExpectColumnValuesToBeBetween", {"column": _bad_items(name), "max_value": 0}, complaint)
    elif spec.allowed is not None:
        wanted = f"are not among {', '.join(spec.allowed)}"
        yield _values("allowed", name, "ExpectColumnValuesToBeInSet", {"value_set": list(spec.allowed)}, wanted)
    elif spec.range is not None:
        low, high = spec.range
        yield _values(
            "range",
            name,
            "ExpectColumnValuesToBeBetween",
            {"min_value": low, "max_value": high},
            f"lie outside {low:g}..{high:g}",
        )
    elif spec.type == "number" and spec.role != "weight":
        finite = {"min_value": -sys.float_info.max, "max_value": sys.float_info.max}
        yield _values("range", name, "ExpectColumnValuesToBeBetween", finite, "are infinite")
    if spec.role == "weight":
        possible = {"min_value": 0, "max_value": LARGEST_WEIGHT}
        yield _values("weight", name, "ExpectColumnValuesToBeBetween", possible, "are negative or infinite, as no weight may be")
    if name == contract.label.column and spec.type != "boolean" and contract.label.at_least is None:
        yield _values("label", name, "ExpectColumnValuesToBeInSet", {"value_set": [0, 1]}, "are neither 0 nor 1, as a label is")


def _time_checks(contract: Contract, span: date) -> Iterator[Check]:
    start = datetime.combine(span, time(), UTC)
    inside = {"min_value": start, "max_value": start + timedelta(days=1), "strict_max": True}
    yield _values("time", contract.time, "ExpectColumnValuesToBeBetween", inside, f"lie outside the span {span} (UTC)")


def _facts(table: pa.Table, contract: Contract, baseline: Profile | None) -> Iterator[tuple[Check, Any]]:
    """Checks of the span as a whole, each with the fact that it looks at."""
    yield from _types(table, contract)
    yield from _label_rate(table, contract)
    for name, spec in contract.columns.items():
        if spec.nullable and name in table.column_names:
            share, limit = facts.null_share(table, name), contract.checks.max_null_share
            yield _limit(
                "nulls",
                name,
                (f"null share of {name}", share),
                (0, limit),
                f"column {name!r}: {share:.1%} null, wanted at most {limit:.1%}",
            )
    twice = facts.duplicate_share(table)
    said = f"{twice:.1%} of the rows equal another one, wanted at most {DUPLICATES_TOLERATED:.1%}; was a file delivered twice?"
    yield _limit("duplicates", None, ("share of duplicates", twice), (0, DUPLICATES_TOLERATED), said)
    unknown = [name for name in table.column_names if name not in contract.columns]
    said = f"columns {', '.join(unknown)}: not in the contract, so they are not learnt from; add them to it to use them"
    yield _limit("unknown", None, ("unknown columns", len(unknown)), (0, 0), said)
    yield from _drifts(table, contract, baseline)


def _types(table: pa.Table, contract: Contract) -> Iterator[tuple[Check, Any]]:
    for name, spec in contract.columns.items():
        if name in table.column_names:
            got, known = facts.type_name(table.schema.field(name).type), f"type of {name}"
            example = next((f", e.g. {value.as_py()!r:.40}" for value in table[name] if value.is_valid), "")
            said = f"column {name!r}: has type {got}, wanted {spec.type}{example}"
            yield Check("type", name, "ExpectColumnValuesToBeInSet", {"column": known, "value_set": [spec.type]}, said), got


def _label_rate(table: pa.Table, contract: Contract) -> Iterator[tuple[Check, Any]]:
    rate, (low, high), name = facts.label_rate(table, contract), contract.checks.label_rate, contract.label.column
    if rate is not None:
        got = "all rows are of one class: " if rate in (0, 1) else ""
        said = f"label {name!r}: {got}{rate:.4f} of the rows are positive, wanted {low:g}..{high:g}"
        yield _limit("label rate", name, ("label rate", rate), (low, high), said)


def _drifts(table: pa.Table, contract: Contract, baseline: Profile | None) -> Iterator[tuple[Check, Any]]:
    """Drift alone never stops a span: it warns."""
    if baseline is None:
        return
    for name, moved in facts.drift_of(table, contract, baseline).items():
        limit = contract.columns[name].drift_limit or 0.0
        value, before, now = largest_move(table, name, baseline)
        said = (
            f"column {name!r}: drifted by {moved:.3f} since span {baseline.span} (Jensen-Shannon distance), wanted at most "
            f"{limit:g}; most of all {value!r}, from {before:.1%} to {now:.1%}"
        )
        yield _limit("drift", name, (f"drift of {name}", moved), (0, limit), said)


def _values(kind: str, column: str, expectation: str, arguments: dict[str, Any], complaint: str) -> Check:
    return Check(kind, column, expectation, {"column": column} | arguments, complaint, counts=True)


def _limit(kind: str, column: str | None, fact: Fact, limits: tuple[float, float], said: str) -> tuple[Check, Any]:
    """Drift, duplicates and unknown columns are odd, not wrong: they warn."""
    arguments = {"column": fact[0], "min_value": limits[0], "max_value": limits[1]}
    severity: Severity = "warning" if kind in {"drift", "duplicates", "unknown"} else "critical"
    return Check(kind, column, "ExpectColumnValuesToBeBetween", arguments, said, severity), fact[1]


def _bad_items(name: str) -> str:
    return f"bad items in {name}"
