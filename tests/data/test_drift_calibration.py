"""A limit is rarely exceeded by a span that is like the past ones, and wider the less is known."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from widedeep.data.calibration import ENOUGH, by_chance, calibrated
from widedeep.data.distances import BRIDGE_FREEDOM, BRIDGE_SQUARED, Distance

PAST = st.lists(st.floats(0.001, 0.5), min_size=ENOUGH, max_size=40)


@pytest.mark.parametrize("false_alarms", [1e-2, 1e-3, 1e-4, 1e-5])
def test_a_bridges_supremum_is_taken_for_a_chi_square_within_a_few_percent(false_alarms):
    exact = np.sqrt(np.log(2 / false_alarms) / 2)
    assert by_chance(Distance(0, BRIDGE_SQUARED, BRIDGE_FREEDOM), false_alarms) == pytest.approx(exact, rel=0.03)


def test_chance_alone_passes_its_limit_as_rarely_as_wanted():
    draws = np.sqrt(0.01 * np.random.default_rng(0).chisquare(5, 20_000) / 5)
    assert np.mean(draws > by_chance(Distance(0, 0.01, 5), 0.01)) == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize("count", [ENOUGH, 20, 50])
def test_a_span_like_the_past_ones_passes_its_limit_no_more_often_than_wanted(count):
    rng, wanted = np.random.default_rng(count), 0.01
    effects = np.sqrt(0.01 * rng.chisquare(8, (2000, count + 1)) / 8)
    over = [row[-1] > calibrated(Distance(row[-1], 1e-6), [Distance(e, 1e-6) for e in row[:-1]], wanted, inf) for row in effects]
    assert np.mean(over) <= 1.5 * wanted


@pytest.mark.parametrize("count", [8, 50])
def test_a_store_where_some_days_are_wilder_than_others_passes_its_limit_as_rarely(count):
    """A new item that everybody sees moves a column by half as much again, on one day in thirty."""
    rng, wanted = np.random.default_rng(count), 0.002
    wild = np.where(rng.random((6000, count + 1)) < 1 / 30, 1.5, 1)
    effects = wild * np.sqrt(0.01 * rng.chisquare(8, (6000, count + 1)) / 8)
    over = [row[-1] > calibrated(Distance(row[-1], 1e-6), [Distance(e, 1e-6) for e in row[:-1]], wanted, inf) for row in effects]
    assert np.mean(over) <= wanted


def test_the_limit_follows_what_moves_slowly():
    slow = [Distance(e, 1e-6) for e in np.linspace(0.02, 0.06, 30)]
    assert calibrated(slow[-1], slow, 1e-3, inf) > calibrated(slow[-1], slow[::-1], 1e-3, inf)


@given(PAST, st.floats(1e-8, 1e-2))
def test_no_limit_is_below_what_a_past_span_did_or_what_chance_does(effects, chance):
    past = [Distance(effect, chance) for effect in effects]
    limit = calibrated(Distance(0.1, chance), past, 1e-3, inf)
    assert limit >= max(effects) * (1 - 1e-9)
    assert limit >= np.sqrt(chance * chi2.isf(1e-3, 1)) * (1 - 1e-9)


@given(PAST)
def test_a_smaller_span_than_the_past_ones_has_a_wider_limit(effects):
    past = [Distance(effect, 1e-4) for effect in effects]
    assert calibrated(Distance(0, 1e-2), past, 1e-3, inf) >= calibrated(Distance(0, 1e-4), past, 1e-3, inf)


def test_whatever_is_all_new_is_told_unless_that_is_usual():
    wild = [Distance(e, 1e-6) for e in (0.1, 0.6, 0.2, 0.7, 0.1, 0.5)]
    assert calibrated(Distance(1, 1e-6), wild, 1e-4, inf) > 1
    assert calibrated(Distance(1, 1e-6), wild, 1e-4, 1) == pytest.approx(0.85)
    assert calibrated(Distance(1, 1e-6), [Distance(1, 1e-6)] * ENOUGH, 1e-4, 1) == pytest.approx(1)
