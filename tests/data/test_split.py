"""Whole users are held out, by nothing but salt, span and user."""

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.data.contract import Contract, load_contract
from widedeep.data.split import split

SPAN = date(2026, 1, 1)
USERS = st.lists(st.integers(0, 40).map("u{}".format), max_size=60)


@pytest.fixture(scope="module")
def contract(request) -> Contract:
    return load_contract(request.config.rootpath / "tests/contracts/shop.yaml")


def _rows(users):
    return pa.table({"customer": pa.array(users, pa.string()), "row": pa.array(range(len(users)), pa.int64())})


def _salted(contract, salt):
    return contract.model_copy(update={"split": contract.split.model_copy(update={"salt": salt})})


@given(users=USERS)
def test_each_row_is_on_one_side_and_each_user_too(contract, users):
    parts = split(_rows(users), contract, SPAN)
    assert sorted(parts.train["row"].to_pylist() + parts.holdout["row"].to_pylist()) == list(range(len(users)))
    assert not set(parts.train["customer"].to_pylist()) & set(parts.holdout["customer"].to_pylist())


@given(users=USERS)
def test_each_side_has_a_user_if_there_are_two(contract, users):
    parts = split(_rows(users), contract, SPAN)
    assert (parts.holdout.num_rows > 0) == (len(set(users)) > 1)
    assert (parts.train.num_rows > 0) == (len(users) > 0)


@given(users=USERS, random=st.randoms(use_true_random=False))
def test_the_order_of_rows_decides_nothing(contract, users, random):
    shuffled = random.sample(users, len(users))
    sides = [set(split(_rows(x), contract, SPAN).holdout["customer"].to_pylist()) for x in (users, shuffled)]
    assert sides[0] == sides[1]


def test_the_share_of_held_out_users_is_the_contracts(contract):
    users = pc.binary_join_element_wise("u", pa.array(range(20_000)).cast(pa.string()), "")
    share = split(_rows(users), contract, SPAN).holdout.num_rows / 20_000
    assert abs(share - contract.split.holdout_share) < 0.015  # five standard errors


@pytest.mark.parametrize("change", ["salt", "span"])
def test_another_salt_or_span_holds_out_others(contract, change):
    rows = _rows([f"u{i}" for i in range(2000)])
    other = split(rows, _salted(contract, "other"), SPAN) if change == "salt" else split(rows, contract, date(2026, 1, 2))
    one, two = (set(s.holdout["customer"].to_pylist()) for s in (split(rows, contract, SPAN), other))
    assert abs(len(one & two) - 2000 * contract.split.holdout_share**2) < 50


def test_a_split_holds_for_good(contract):
    """Replays must split as the first run did: if this fails, every stored release has another holdout than its gate judged."""
    held_out = split(_rows([f"u{i}" for i in range(20)]), contract, SPAN).holdout["customer"].to_pylist()
    assert held_out == ["u1", "u8", "u12", "u16", "u17"]
