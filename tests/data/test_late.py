"""A late row goes where the contract says, and no row is lost."""

from datetime import UTC, date, datetime, time, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.data.contract import Contract
from widedeep.data.late import earliest, late_rows, own_rows
from widedeep.data.tables import MOMENT, content_digest, without

SPAN = date(2026, 3, 10)
START = datetime.combine(SPAN, time(), UTC)


def contract(**late) -> Contract:
    columns = {"user": {"type": "string", "role": "categorical"}, "at": {"type": "timestamp"}, "y": {"type": "boolean"}}
    rest = {"label": {"column": "y"}, "split": {"salt": "s"}, "gate": {"margin": 0.1}}
    return Contract.model_validate({"name": "n", "user": "user", "time": "at", "columns": columns, "late": late, **rest})


def table(hours: list[float | None]) -> pa.Table:
    times = [None if h is None else START + timedelta(hours=h) for h in hours]
    return pa.table({"user": [f"u{i}" for i in range(len(hours))], "at": pa.array(times, MOMENT)})


@given(st.lists(st.none() | st.floats(-400, 60), max_size=40), st.integers(1, 10), st.booleans())
def test_each_row_stays_or_goes_to_its_own_day_and_none_is_lost(hours: list[float | None], days: int, takes: bool) -> None:
    rows, rule = table(hours), contract(rows="re-version", days=days)
    own, late = late_rows(rows, rule, SPAN)
    assert all(SPAN - timedelta(days=days) <= day < SPAN for day in late)
    assert all(at.date() == day for day, found in late.items() for at in found["at"].to_pylist())
    whole = pa.concat_tables([own, *late.values()])
    assert content_digest(whole) == content_digest(rows)
    left = own_rows(rows, rule, SPAN, lambda *_: takes)
    assert left.num_rows == (own.num_rows if takes else rows.num_rows)


@pytest.mark.parametrize("rule", ["reject", "keep"])
def test_rows_make_a_new_version_of_their_day_only_if_the_contract_says_so(rule: str) -> None:
    rows = table([-30, 1])
    assert late_rows(rows, contract(rows=rule), SPAN) == (rows, {})


def test_late_rows_count_as_inside_only_where_they_are_kept() -> None:
    assert earliest(contract(rows="reject"), SPAN) == START
    assert earliest(contract(rows="re-version"), SPAN) == START
    assert earliest(contract(rows="keep", days=3), SPAN) == START - timedelta(days=3)


@given(st.lists(st.tuples(st.sampled_from("ab") | st.none(), st.integers(0, 2) | st.none()), max_size=12), st.data())
def test_rows_without_the_known_ones_are_those_that_are_equal_to_none(rows: list[tuple[str | None, int | None]], data) -> None:
    known = data.draw(st.lists(st.sampled_from(rows), max_size=4)) if rows else []

    def made(found):
        return pa.table({"a": pa.array([a for a, _ in found], pa.string()), "b": pa.array([b for _, b in found], pa.int64())})

    left = without(made(rows), made(known))
    assert left.to_pylist() == [{"a": a, "b": b} for a, b in rows if (a, b) not in known]
