"""Rows that break a rule are taken out exactly: an oracle in plain Python, which knows nothing of the checks, finds the same."""

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.data import validation
from widedeep.data.bad_rows import delivered_columns
from widedeep.data.contract import Contract
from widedeep.data.tables import canonical, content_digest
from widedeep.data.validation import Assessment, assess

SPAN = date(2026, 1, 5)
START = datetime(2026, 1, 5, tzinfo=UTC)
ROWS = 40


def contract_with(tolerance: float) -> Contract:
    return Contract.model_validate(
        {
            "name": "strict",
            "user": "user",
            "time": "at",
            "key": ["user", "shown"],
            "label": {"column": "clicked"},
            "columns": {
                "user": {"type": "string", "regex": "u[0-9]+"},
                "shown": {"type": "integer"},
                "at": {"type": "timestamp"},
                "country": {"type": "string", "role": "categorical", "allowed": ["DE", "FR"], "nullable": True},
                "title": {"type": "string", "max_length": 5},
                "tags": {"type": "list", "role": "multivalent", "items": [1, 3], "regex": "[a-z]+", "nullable": True},
                "price": {"type": "number", "role": "numeric", "range": [0, 10]},
                "served": {"type": "number", "nullable": True},
                "clicked": {"type": "integer"},
            },
            "split": {"salt": "s"},
            "gate": {"margin": 0.1},
            "late": {"share": 0.99},
            "checks": {
                "tolerance": tolerance,
                "duplicates": 1,
                "label_rate": [0, 1],
                "clock_skew": 60,
                "skew": [{"of": ["price", "served"], "tolerance": 0.5, "share": 1}],
            },
        }
    )


LENIENT, STRICT = contract_with(0.99), contract_with(0.0)
GOOD = {"country": "DE", "title": "abc", "tags": ["x", "y"], "price": 5.0, "served": 5.25, "clicked": 0}
BAD = [
    {"user": None},
    {"user": "v1"},
    {"user": "u1x"},
    {"user": "u1\n"},
    {"at": START - timedelta(seconds=61)},
    {"at": START + timedelta(days=1, seconds=60)},
    {"country": "XX"},
    {"country": ""},
    {"title": None},
    {"title": "abcdef"},
    {"title": "a\x00b"},
    {"title": "Ã©"},
    {"tags": []},
    {"tags": ["a", None]},
    {"tags": ["a", "b", "c", "d"]},
    {"tags": ["a", "B"]},
    {"price": -1.0, "served": -1.0},
    {"price": float("inf"), "served": float("inf")},
    {"price": None, "served": None},
    {"served": 5.75},
    {"served": None},
    {"clicked": 2},
]
FINE = [
    {},
    {"country": None},
    {"tags": None},
    {"tags": ["z"]},
    {"title": ""},
    {"title": "=1+1"},
    {"title": "ÄÖÜß\t"},
    {"at": START - timedelta(seconds=60)},
    {"at": START + timedelta(days=1, seconds=59)},
    {"price": 0.0, "served": -0.5},
    {"price": 10.0, "served": 10.5},
]


def breaks_a_rule(row: dict) -> bool:
    """The contract in plain Python, but for the key."""
    return (
        row["user"] is None
        or not re.fullmatch("u[0-9]+", row["user"])
        or not START - timedelta(seconds=60) <= row["at"] < START + timedelta(days=1, seconds=60)
        or row["country"] not in {"DE", "FR", None}
        or row["title"] is None
        or len(row["title"]) > 5
        or any(ord(c) < 32 and c not in "\t\r\n" for c in row["title"])
        or "Ã©" in row["title"]
        or (
            row["tags"] is not None
            and (not 1 <= len(row["tags"]) <= 3 or any(t is None or not re.fullmatch("[a-z]+", t) for t in row["tags"]))
        )
        or row["price"] is None
        or not 0 <= row["price"] <= 10
        or row["served"] is None
        or abs(row["price"] - row["served"]) > 0.5
        or row["clicked"] not in {0, 1}
    )


def table_of(changes: list[dict]) -> pa.Table:
    rows = [{"user": f"u{i}", "shown": i, "at": START + timedelta(minutes=i)} | GOOD | change for i, change in enumerate(changes)]
    types = {"at": pa.timestamp("us", tz="UTC"), "tags": pa.list_(pa.string()), "shown": pa.int64(), "clicked": pa.int64()}
    fields = {name: types.get(name, pa.float64() if name in {"price", "served"} else pa.string()) for name in rows[0]}
    return canonical(pa.Table.from_pylist(rows, pa.schema(fields)))


def rows_of(table: pa.Table) -> Counter:
    return Counter(map(repr, table.to_pylist()))


def assessed(rows: pa.Table, contract: Contract) -> Assessment:
    """Without pages, which take a fifth of the time: each value is rendered once below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "_page", lambda *_: b"")
        return assess(rows, contract, SPAN)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(FINE + BAD), min_size=1, max_size=ROWS), st.data())
def test_clean_and_bad_rows_are_the_delivered_ones_and_no_clean_row_breaks_a_rule(changes, data):
    table = table_of([*changes, {}])
    copies = data.draw(st.lists(st.integers(0, table.num_rows - 1), max_size=3))
    delivered = canonical(pa.concat_tables([table, table.take(copies)])) if copies else table
    found = assessed(delivered, LENIENT)
    bad = found.bad if found.bad is not None else delivered.slice(0, 0).append_column("row", [[]]).append_column("reasons", [[]])
    assert rows_of(found.clean) + rows_of(delivered_columns(bad)) == rows_of(delivered)
    assert not any(breaks_a_rule(row) for row in found.clean.to_pylist())
    keys = [(row["user"], row["shown"]) for row in delivered.to_pylist()]
    wanted = [i for i, row in enumerate(delivered.to_pylist()) if breaks_a_rule(row) or (row["user"], row["shown"]) in keys[:i]]
    assert bad["row"].to_pylist() == wanted
    assert all(bad["reasons"].to_pylist())
    again = assessed(found.clean, STRICT)
    assert [f for f in again.findings if f.severity in {"rows", "critical"}] == []


@pytest.mark.parametrize("change", BAD, ids=str)
def test_each_bad_row_has_its_reason_and_its_values_as_they_came(change):
    delivered = table_of([{}] * 9 + [change] + [{}] * 9)
    found = assess(delivered, LENIENT, SPAN)
    assert found.bad is not None
    (row,) = delivered_columns(found.bad).to_pylist()
    assert row == {"user": "u9", "shown": 9, "at": START + timedelta(minutes=9)} | GOOD | change | {"shown": 9}
    (reasons,) = found.bad["reasons"].to_pylist()
    assert any(name in reason for name in change for reason in reasons)
    assert {f.severity for f in found.findings} == {"rows"}
    assert all(f"1 of {delivered.num_rows} " in f.message for f in found.findings)


@pytest.mark.parametrize("change", FINE, ids=str)
def test_what_keeps_the_rules_stays(change):
    found = assess(table_of([{}] * 9 + [change]), STRICT, SPAN)
    assert found.bad is None
    assert not any(f.severity in {"critical", "rows"} for f in found.findings)


def test_without_tolerance_one_bad_row_stops_the_span():
    found = assess(table_of([{}] * 99 + [{"country": "XX"}]), STRICT, SPAN)
    assert found.bad is None
    assert found.clean.num_rows == 100
    assert {(f.check, f.severity) for f in found.findings} == {("allowed", "critical"), ("tolerance", "critical")}


def test_the_tolerance_counts_rows_and_not_what_is_wrong_with_them():
    contract = contract_with(0.02)
    assert assess(table_of([{}] * 98 + [{"country": "XX", "title": None, "clicked": 2}] * 2), contract, SPAN).bad.num_rows == 2
    changes = [{"country": "XX"}, {"title": None}, {"clicked": 2}]
    assert assess(table_of([{}] * 97 + changes), contract, SPAN).bad is None


def test_facts_are_of_the_clean_rows():
    mostly = [{"clicked": 1}] * 10 + [{}] * 10
    delivered = table_of([*mostly, *[{"clicked": 1, "country": "XX"}] * 5])
    found = assess(delivered, LENIENT, SPAN)
    assert (found.profile.rows, found.profile.positive) == (20, 10)


def test_columns_of_the_table_of_bad_rows_never_stand_in_for_delivered_ones():
    delivered = (
        table_of([{}, {"country": "XX"}]).append_column("row", pa.array([7, 8])).append_column("reasons", pa.array(["a", "b"]))
    )
    bad = assess(canonical(delivered), LENIENT, SPAN).bad
    assert bad.column_names[-2:] == ["_row", "_reasons"]
    assert content_digest(delivered_columns(bad)) == content_digest(delivered.slice(1))
    assert bad["_row"].to_pylist() == [1]
