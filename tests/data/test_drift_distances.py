"""Effect sizes: 0 for the same, 1 for the disjoint, no larger for being seen in more rows; and what chance does to them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from widedeep.data.clusters import clusters
from widedeep.data.distances import between_gaps, between_ranks, between_shares, cumulated, unknown
from widedeep.data.ranks import POINTS, ranks_of
from widedeep.data.shares import shares_of

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1)
WHOLE = st.lists(st.integers(0, 60), min_size=1, max_size=200)
FLOATS = st.lists(st.floats(-100, 100), min_size=1, max_size=400)


def _alone(rows):
    return clusters(pa.chunked_array([pa.array(range(rows))]))


def _shares(values, users=None):
    column = pa.chunked_array([pa.array(values, pa.string())])
    return shares_of(
        column, clusters(pa.chunked_array([pa.array(users)])) if users is not None else _alone(len(values)), personal=False
    )


def _ranks(values, users=None):
    column = pa.chunked_array([pa.array(values, pa.float64())])
    return ranks_of(column, clusters(pa.chunked_array([pa.array(users)])) if users is not None else _alone(len(values)))


def _rows(counts):
    return [value for value, count in counts.items() for _ in range(count)]


@given(COUNTS, COUNTS, COUNTS)
def test_the_distance_of_shares_is_scipys_to_the_spans_together(one, other, another):
    both = [other.get(v, 0) + another.get(v, 0) for v in "abcdef"]
    wanted = jensenshannon([one.get(v, 0) for v in "abcdef"], both, base=2)
    found = between_shares(_shares(_rows(one)), [_shares(_rows(other)), _shares(_rows(another))])
    assert found.effect == pytest.approx(wanted, abs=1e-7)


@given(WHOLE, WHOLE)
def test_the_distance_of_numbers_is_scipys_where_values_repeat(one, other):
    assert between_ranks(_ranks(one), [_ranks(other)]).effect == pytest.approx(ks_2samp(one, other).statistic, abs=1e-12)


@given(FLOATS, FLOATS)
def test_the_distance_of_numbers_is_scipys_but_for_what_lies_between_the_points(one, other):
    found = between_ranks(_ranks(one), [_ranks(other)]).effect
    assert found == pytest.approx(ks_2samp(one, other).statistic, abs=2 / POINTS)


def test_nulls_count_on_both_kinds():
    half = _ranks([1.0, 2.0, None, None])
    assert between_ranks(half, [_ranks([1.0, 1.0, 2.0, 2.0])]).effect == 0.5
    assert cumulated(half, [half])[1][0] == 0.5
    assert between_shares(_shares([None] * 5), [_shares(["a"] * 5)]).effect == 1


def test_nulls_and_empty_lists_are_told_from_all_else_however_the_items_move():
    def lists(prefix, empty, null):
        column = pa.chunked_array([pa.array([[]] * empty + [None] * null + [[f"{prefix}{i}" for i in range(9)]] * 100)])
        return shares_of(column, _alone(len(column)), personal=False)

    before = lists("a", 5, 5)
    assert between_gaps(lists("z", 5, 5), [before, before]).effect == 0
    assert between_shares(lists("z", 5, 5), [before, before]).effect > 0.9
    found = between_gaps(lists("a", 50, 5), [before]).effect
    assert found == pytest.approx(jensenshannon([55, 900], [10, 900], base=2))
    assert between_gaps(lists("a", 5, 50), [before]).effect == pytest.approx(found)


def test_more_of_the_same_rows_are_no_more_drift_but_less_chance():
    one, other = ["a"] * 6 + ["b"] * 4, ["a"] * 5 + ["b"] * 5
    few, many = (between_shares(_shares(one * n), [_shares(other * n)]) for n in (10, 100))
    assert few.effect == pytest.approx(many.effect)
    assert few.chance == pytest.approx(10 * many.chance, rel=0.1)


def test_recoded_values_are_unknown_and_known_ones_are_not():
    before = [_shares([f"item-{i}" for i in range(day, day + 3000)]) for day in (0, 1000)]
    assert unknown(_shares([f"item-{i}" for i in range(4000)]), before).effect == 0
    assert unknown(_shares([f"ITEM-{i}" for i in range(4000)]), before).effect == 1
    new = [f"item-{i}" for i in range(2000)] + [f"new-{i}" for i in range(2000)]
    assert unknown(_shares(new), before).effect == pytest.approx(0.5, abs=0.1)


def _values(rng, users):
    """Of users with ten rows each: theirs are alike, but for one in three."""
    own = np.repeat(rng.normal(size=users), 10)
    return np.where(rng.random(10 * users) < 0.33, rng.normal(size=10 * users), own)


@pytest.mark.parametrize(
    ("kind", "between", "as_value"), [(_shares, between_shares, lambda x: f"{x:.0f}"), (_ranks, between_ranks, float)]
)
def test_chance_is_what_two_spans_of_the_same_store_differ_by_though_rows_cluster(kind, between, as_value):
    rng, users = np.random.default_rng(5), np.repeat(np.arange(200), 10)
    spans = [kind([as_value(v) for v in _values(rng, 200)], users) for _ in range(200)]
    found = [between(one, [other]) for one, other in zip(spans[::2], spans[1::2], strict=True)]
    assert np.mean([d.effect**2 for d in found]) == pytest.approx(np.mean([d.chance for d in found]), rel=0.25)
    alone = kind([as_value(v) for v in _values(rng, 200)], np.arange(2000))
    assert found[0].chance > 3 * between(alone, [alone]).chance
