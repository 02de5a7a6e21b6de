"""Effect sizes: 0 for the same, 1 for the disjoint, and no larger for being seen in more rows."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from tests.contracts.shop import shop_span
from widedeep.data.contract import load_contract
from widedeep.data.drift import KEPT_VALUES, Profile, distance, largest_move
from widedeep.data.facts import drift_of, profile_of

SPAN = date(2026, 1, 1)
COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 100), min_size=1)


@pytest.fixture(scope="module")
def contract(request):
    return load_contract(request.config.rootpath / "tests/contracts/shop.yaml")


def _shares(counts):
    return {value: count / sum(counts.values()) for value, count in counts.items()}


@given(COUNTS, COUNTS)
def test_the_distance_is_scipys(one, other):
    p, q = ([_shares(c).get(v, 0) for v in "abcdef"] for c in (one, other))
    assert distance(_shares(one), _shares(other)) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-7)


@given(COUNTS)
def test_the_distance_is_0_for_equal_and_1_for_disjoint_shares(counts):
    elsewhere = {value.upper(): share for value, share in _shares(counts).items()}
    assert distance(_shares(counts), _shares(counts)) == 0
    assert distance(_shares(counts), elsewhere) == pytest.approx(1)


def test_a_span_has_not_drifted_from_itself_and_a_profile_survives_storage(contract):
    table = shop_span(SPAN)
    profile = Profile.from_bytes(profile_of(table, contract, SPAN).to_bytes())
    assert profile == profile_of(table, contract, SPAN)
    assert drift_of(table, contract, profile) == dict.fromkeys(["country", "device", "price"], 0.0)


def test_more_of_the_same_rows_are_no_more_drift(contract):
    before, now = shop_span(SPAN), shop_span(date(2026, 1, 2))
    profile = profile_of(before, contract, SPAN)
    one, many = (drift_of(pa.concat_tables([now] * n), contract, profile) for n in (1, 10))
    assert one == pytest.approx(many, abs=1e-5)


def test_a_shift_of_one_column_is_seen_in_that_column_only(contract):
    table = shop_span(SPAN, rows=3000)
    profile = profile_of(table, contract, SPAN)
    moved = table.set_column(2, "device", pa.array(["mobile"] * 3000)).set_column(4, "price", pa.array(np.full(3000, 9.0)))
    drifts = drift_of(moved, contract, profile)
    assert drifts["country"] < 0.05
    assert drifts["device"] > 0.5
    assert drifts["price"] > 0.5
    value, before, now = largest_move(moved, "device", profile)
    assert (value, round(before, 1), now) == ("mobile", 0.3, 1.0)


def test_nulls_and_rare_values_count_too_and_a_profile_stays_small(contract):
    table = shop_span(SPAN, rows=600)
    profile = profile_of(table, contract, SPAN)
    nulled = table.set_column(1, "country", pa.nulls(600, pa.string()))
    assert drift_of(nulled, contract, profile)["country"] == pytest.approx(1)
    many = table.set_column(1, "country", pa.array([f"c{i}" for i in range(600)]))
    shares = profile_of(many, contract, SPAN).columns["country"].shares
    assert len(shares) == KEPT_VALUES + 1
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)


def test_an_empty_span_has_a_profile_and_no_drift(contract):
    table = shop_span(SPAN)
    empty = profile_of(table.slice(0, 0), contract, SPAN)
    assert (empty.rows, empty.label_rate, empty.columns) == (0, None, {})
    assert drift_of(table, contract, empty) == {}
    assert drift_of(table.slice(0, 0), contract, profile_of(table, contract, SPAN)) == {}
