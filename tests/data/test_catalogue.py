"""The catalogue describes each item as it was newest seen, in whatever order the rows come."""

from datetime import UTC, datetime

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from widedeep.data.catalogue import extend_catalogue
from widedeep.data.contract import Column, Contract, Gate, Label, SplitRule

SETTINGS = {
    "name": "films",
    "user": "who",
    "time": "at",
    "label": Label(column="liked"),
    "columns": {
        "who": Column(type="string", role="categorical", of="user"),
        "film": Column(type="string", role="categorical", of="item"),
        "name": Column(type="string", of="item"),
        "at": Column(type="timestamp"),
        "liked": Column(type="boolean"),
    },
    "split": SplitRule(salt="s"),
    "gate": Gate(margin=0.01),
}
CONTRACT = Contract(**SETTINGS, item="film", title="name")


def seen(*events: tuple[int, str, str]) -> pa.Table:
    days, films, names = zip(*events, strict=True)
    at = pa.array([datetime(2026, 1, day, tzinfo=UTC) for day in days], pa.timestamp("us", tz="UTC"))
    return pa.table({"who": ["ann"] * len(events), "film": films, "name": names, "at": at, "liked": [True] * len(events)})


def names(catalogue: pa.Table) -> dict[str, str]:
    return dict(zip(catalogue["film"].to_pylist(), catalogue["name"].to_pylist(), strict=True))


def test_held_out_rows_of_an_older_span_leave_the_newer_description_alone():
    known = extend_catalogue(None, seen((5, "a", "new"), (5, "b", "b")), CONTRACT)
    assert names(extend_catalogue(known, seen((3, "a", "old"), (3, "c", "c"), (6, "b", "B")), CONTRACT)) == {
        "a": "new",
        "b": "B",
        "c": "c",
    }


@given(st.lists(st.tuples(st.integers(1, 28), st.sampled_from("ab"), st.text("xyz", max_size=2)), min_size=2, max_size=12))
def test_learning_in_two_goes_gives_the_catalogue_of_one(events):
    for cut in range(1, len(events)):
        first = extend_catalogue(None, seen(*events[:cut]), CONTRACT)
        assert extend_catalogue(first, seen(*events[cut:]), CONTRACT).equals(extend_catalogue(None, seen(*events), CONTRACT))


def test_a_catalogue_without_times_counts_as_old():
    known = extend_catalogue(None, seen((5, "a", "a"), (5, "b", "b")), CONTRACT).drop_columns("at")
    assert names(extend_catalogue(known, seen((3, "a", "A")), CONTRACT)) == {"a": "A", "b": "b"}


def test_without_an_item_column_there_is_no_catalogue():
    assert extend_catalogue(None, seen((5, "a", "a")), Contract(**SETTINGS)) is None
