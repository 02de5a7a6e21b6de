"""Slices are the largest groups of a holdout: by users, not by rows, of each column in turn."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.data.contract import Column, Contract, Gate, SliceLimit
from widedeep.evaluation import slices as module
from widedeep.evaluation.slices import MOST, slices
from widedeep.features.growth import Vocabularies, grow

COLUMNS = {
    "user": Column(type="string", role="categorical", of="user"),
    "at": Column(type="timestamp"),
    "item": Column(type="string", role="categorical", of="item"),
    "country": Column(type="string", role="categorical", of="user", nullable=True),
    "genres": Column(type="list", role="multivalent", of="item"),
    "y": Column(type="integer"),
}
CONTRACT = Contract(
    name="small",
    user="user",
    time="at",
    item="item",
    label={"column": "y"},
    columns=COLUMNS,
    split={"salt": "s"},
    gate={"margin": 0.01},
)
USERS = np.array([0, 0, 0, 1, 2, 3])
ROWS = pa.table(
    {
        "user": [f"u{u}" for u in USERS],
        "item": list("abcdef"),
        "country": ["DE", "DE", "DE", "FR", "FR", None],
        "genres": [["comedy"], [], ["comedy", "drama"], ["drama"], ["drama", "drama"], ["noir"]],
    }
)


def test_a_slice_has_the_rows_with_a_value_that_several_users_have_and_names_are_no_kinds():
    found = {part.name: part.inside.tolist() for part in slices(ROWS, USERS, CONTRACT)}
    assert found == {
        "country = FR": [False, False, False, True, True, False],  # DE has three rows of one user
        "genres = drama": [False, False, True, True, True, False],
    }


def test_missing_values_are_a_group_and_a_column_of_one_value_is_none():
    rows = ROWS.set_column(2, "country", pa.array([None] * 5 + ["DE"])).set_column(3, "genres", pa.array([["x"]] * 6))
    assert [part.name for part in slices(rows, USERS, CONTRACT)] == ["country = (missing)"]


def test_there_are_never_more_than_so_many_and_each_column_has_its_share(monkeypatch):
    countries = [f"c{i % 30}" for i in range(120)]
    rows = pa.table({"country": countries, "genres": [[f"g{i % 40}", "all"] for i in range(120)]})
    names = [part.name for part in slices(rows, np.arange(120), CONTRACT)]
    assert len(names) == MOST
    assert sum(name.startswith("country") for name in names) == MOST // 2
    assert "genres = all" in names
    monkeypatch.setattr(module, "MOST_VALUES", 29)
    assert slices(rows, np.arange(120), CONTRACT) == ()


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", "c"])), min_size=1, max_size=20), st.randoms())
def test_the_order_of_rows_changes_no_slice(pairs, random):
    def found(rows):
        table = pa.table({"country": [country for _, country in rows]})
        users = np.array([user for user, _ in rows])
        return {part.name: sorted(rows[i] for i in np.flatnonzero(part.inside)) for part in slices(table, users, CONTRACT)}

    shuffled = random.sample(pairs, len(pairs))
    assert found(pairs) == found(shuffled)


@pytest.mark.parametrize("count", [1, 2])
def test_who_is_alone_is_no_slice(count):
    rows = pa.table({"country": ["DE", "DE", "FR", "FR"]})
    users = np.array([0, 1, 2, 2 + count - 1])
    assert [part.name for part in slices(rows, users, CONTRACT)] == ["country = DE", "country = FR"][:count]


def judged_by(*limits):
    return CONTRACT.model_copy(update={"gate": Gate(margin=0.01, slices=tuple(SliceLimit(**limit) for limit in limits))})


def test_a_contract_names_columns_each_with_its_largest_values_and_their_limit():
    contract = judged_by({"of": "genres", "top": 1, "margin": 0.02})
    first, *others = slices(ROWS, USERS, contract)
    assert (first.name, first.limit.margin) == ("genres = drama", 0.02)
    assert [(part.name, part.limit) for part in others] == [("country = FR", None)]  # shown, as before


def test_new_users_and_items_are_those_that_the_champion_has_no_row_for():
    known = grow(Vocabularies.empty(), ROWS.slice(0, 4), judged_by(), date(2026, 1, 1))
    found = {
        part.name: part.inside.tolist()
        for part in slices(ROWS, USERS, judged_by({"of": "new users"}, {"of": "new items"}), known)
    }
    assert found["new users"] == found["new items"] == [False] * 4 + [True] * 2
    assert "new users" not in {part.name for part in slices(ROWS, USERS, judged_by({"of": "new users"}))}


def test_a_new_user_alone_is_no_slice():
    known = grow(Vocabularies.empty(), ROWS.slice(0, 5), judged_by(), date(2026, 1, 1))
    assert "new users" not in {part.name for part in slices(ROWS, USERS, judged_by({"of": "new users"}), known)}
