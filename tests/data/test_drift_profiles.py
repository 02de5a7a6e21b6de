"""A profile keeps what comparisons need: counts that add up, of every value, and of no user's name."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contracts.shop import shop_span
from widedeep.data.clusters import clusters, spread_of_ranks, spread_of_shares
from widedeep.data.contract import load_contract
from widedeep.data.profiles import Profile, profile_of
from widedeep.data.ranks import POINTS, ranks_of
from widedeep.data.shares import BUCKETS, NAMED, SAMPLED, bucket_counts, sample_at, shares_of

SPAN = date(2026, 1, 1)
TEXTS = st.lists(st.none() | st.sampled_from([f"v{i}" for i in range(80)]), min_size=1, max_size=300)
FLOATS = st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=300)


@pytest.fixture(scope="module")
def contract(request):
    return load_contract(request.config.rootpath / "tests/contracts/shop.yaml")


def _alone(rows):
    """Every row is of a user of its own."""
    return clusters(pa.chunked_array([pa.array(range(rows))]))


def _shares(values, *, personal=False):
    column = pa.chunked_array([pa.array(values, None if isinstance(values, pa.Array) else pa.string())])
    return shares_of(column, _alone(len(column)), personal=personal)


@given(TEXTS)
def test_every_value_is_counted_by_name_or_in_a_bucket(values):
    column = _shares(values)
    assert column.total == len(values)
    assert column.nulls == values.count(None)
    assert bucket_counts(column).sum() == column.total - column.nulls
    if len({*values} - {None}) <= NAMED:
        assert column.values == {v: values.count(v) for v in sorted({*values} - {None})}


@given(TEXTS, TEXTS)
def test_buckets_of_two_spans_add_up_to_those_of_both(one, other):
    assert (bucket_counts(_shares(one)) + bucket_counts(_shares(other)) == bucket_counts(_shares(one + other))).all()


def test_the_sample_of_values_is_the_same_in_every_span_however_many_values_it_has():
    few, many = ([f"item-{i}" for i in range(n)] for n in (400, 20_000))
    one, other = _shares(few), _shares(many)
    assert (one.level, len(one.known)) == (0, 400)
    assert 0 < len(other.known) <= SAMPLED
    assert {*sample_at(one, other.level)} == {*sample_at(one, other.level)} & {*other.known}


def test_lists_are_counted_by_item_and_an_empty_or_null_list_is_one():
    lists = pa.chunked_array([pa.array([["a", "b"], [], None, ["a", None]], pa.list_(pa.string()))])
    column = shares_of(lists, _alone(4), personal=False)
    assert (column.total, column.values, column.nulls, column.empty) == (6, {"a": 2, "b": 1}, 2, 1)


@given(FLOATS)
def test_the_points_of_a_cumulative_distribution_are_exact_and_no_large_share_lies_between_two(values):
    column = ranks_of(pa.chunked_array([pa.array(values, pa.float64())]), _alone(len(values)))
    numbers = np.array([v for v in values if v is not None])
    assert list(column.below) == [(numbers < p).sum() for p in column.points]
    assert list(column.up_to) == [(numbers <= p).sum() for p in column.points]
    between = np.array(column.below[1:]) - np.array(column.up_to[:-1])
    assert (between <= len(numbers) / POINTS).all()


def test_infinite_numbers_become_the_largest_ones():
    values = pa.chunked_array([pa.array([1.0, float("inf"), -float("inf")])])
    assert ranks_of(values, _alone(3)).points == (-1e300, 1.0, 1e300)


def test_independent_rows_have_no_design_effect_and_equal_rows_of_a_user_have_that_of_their_number():
    rng = np.random.default_rng(3)
    users, rows = 4000, 5
    value = rng.integers(0, 4, users)
    alone = spread_of_shares(rng.integers(0, 4, users * rows), np.arange(users * rows), users * rows, 4)
    alike = spread_of_shares(np.repeat(value, rows), np.repeat(np.arange(users), rows), users, 4)
    assert alone == pytest.approx((3, 3), rel=0.05)
    assert alike == pytest.approx((3 * rows, 3), rel=0.05)
    assert spread_of_ranks(rng.integers(0, 16, users * rows), np.arange(users * rows), users * rows, 16) == pytest.approx(
        1, rel=0.05
    )
    assert spread_of_ranks(np.repeat(value, rows), np.repeat(np.arange(users), rows), users, 4) == pytest.approx(rows, rel=0.05)


def test_a_sample_is_of_whole_users_and_the_same_in_every_order_of_the_rows():
    users = np.repeat([f"u{i}" for i in range(5000)], 10)
    shuffled = np.random.default_rng(1).permutation(users)
    one, other = (clusters(pa.chunked_array([pa.array(u)])) for u in (users, shuffled))
    assert one.count == 2000
    assert (np.bincount(one.users) == 10).all()
    assert {*users[one.rows]} == {*shuffled[other.rows]}


def test_a_profile_survives_storage_stays_small_and_names_no_user(contract):
    table = shop_span(SPAN, rows=3000)
    profile = profile_of(table, contract, SPAN)
    data = profile.to_bytes()
    assert Profile.from_bytes(data) == profile
    assert len(data) < 20_000
    assert sum(profile.columns["customer"].buckets) == 3000
    assert len(profile.columns["customer"].buckets) == BUCKETS
    assert not any(f'"{user}"'.encode() in data for user in set(table["customer"].to_pylist()))


def test_a_span_without_rows_labels_or_users_has_a_profile(contract):
    table = shop_span(SPAN)
    assert profile_of(table.slice(0, 0), contract, SPAN).columns == {}
    bare = profile_of(table.drop_columns(["customer", "clicked"]), contract, SPAN)
    assert (bare.rows, bare.labelled, bare.users) == (600, 0, 600)
    nulls = table.set_column(4, "price", pa.nulls(600, pa.float64()))
    assert profile_of(nulls, contract, SPAN).columns["price"].nulls == 600


def test_a_column_of_one_value_is_constant(contract):
    table = shop_span(SPAN).set_column(1, "country", pa.array(["DE"] * 600)).set_column(4, "price", pa.array([9.0] * 600))
    assert profile_of(table, contract, SPAN).constant == {"country", "price"}
