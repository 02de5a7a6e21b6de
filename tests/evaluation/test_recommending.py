"""Metrics of lists against hand-made cases, independent computations and the order of ties."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from widedeep.evaluation.recommending import coverage, hit_rate, list_hits, matches, mean, ndcg, popularity_bias


def array(*values):
    return np.array(values, float)


def test_ndcg_of_a_hand_computed_list():
    # Positives at places 2 and 4 of four: 1/log2(3) + 1/log2(5), of at best 1 + 1/log2(3).
    found = ndcg(np.zeros(4, int), array(0, 1, 0, 1), array(0.9, 0.8, 0.7, 0.6), k=10)
    assert found == pytest.approx([(1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3))])
    assert ndcg(np.zeros(4, int), array(0, 1, 0, 1), array(0.9, 0.8, 0.7, 0.6), k=1) == pytest.approx([0.0])


def test_users_without_both_classes_are_left_out_of_the_mean():
    users, labels, scores = np.array([0, 0, 1, 1, 2, 2]), array(1, 0, 1, 1, 0, 0), array(0.9, 0.1, 0.5, 0.4, 0.5, 0.4)
    for metric in (ndcg, hit_rate):
        found = metric(users, labels, scores, 1)
        assert np.isnan(found).tolist() == [False, True, True]
        assert mean(found) == 1.0
    assert mean(np.array([np.nan])) is None


rows_of_one_user = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.5, 0.9])), min_size=2, max_size=5).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@given(rows_of_one_user, st.integers(1, 6))
def test_ties_give_the_mean_over_all_their_orders(rows, k):
    hits, gains = [], []
    for order in permutations(rows):
        ranked = sorted(order, key=lambda row: -row[1])
        hits.append(any(label for label, _ in ranked[:k]))
        gains.append(sum(label / np.log2(i + 2) for i, (label, _) in enumerate(ranked[:k])))
    best = sum(1 / np.log2(i + 2) for i in range(min(k, sum(label for label, _ in rows))))
    labels, scores = array(*(label for label, _ in rows)), array(*(score for _, score in rows))
    users = np.zeros(len(rows), int)
    assert hit_rate(users, labels, scores, k) == pytest.approx([np.mean(hits)], abs=1e-9)
    assert ndcg(users, labels, scores, k) == pytest.approx([np.mean(gains) / best])


@given(st.lists(rows_of_one_user, min_size=1, max_size=4), st.integers(1, 6), st.randoms())
def test_users_and_the_order_of_rows_do_not_touch_each_other(lists, k, random):
    rows = [(user, label, score) for user, own in enumerate(lists) for label, score in own]
    random.shuffle(rows)
    users, labels, scores = (
        np.array(column, kind) for column, kind in zip(zip(*rows, strict=True), (int, float, float), strict=True)
    )
    for metric in (ndcg, hit_rate):
        together = metric(users, labels, scores, k)
        alone = [metric(np.zeros(len(own), int), *map(np.array, zip(*own, strict=True)), k)[0] for own in lists]
        assert together == pytest.approx(alone, abs=1e-9)


@given(st.lists(rows_of_one_user, min_size=1, max_size=3), st.integers(1, 6))
def test_raising_a_positive_score_never_lowers_a_users_figures(lists, k):
    users = np.repeat(np.arange(len(lists)), [len(own) for own in lists])
    labels, scores = (np.array(column, float) for column in zip(*(row for own in lists for row in own), strict=True))
    raised = scores.copy()
    raised[int(np.flatnonzero(labels)[0])] += 0.3
    for metric in (ndcg, hit_rate):
        assert (metric(users, labels, raised, k) >= metric(users, labels, scores, k) - 1e-9).all()


LISTS = np.array([[0, 1], [0, 2], [0, 1]])


def test_a_list_hits_if_it_holds_what_its_own_user_took():
    hits = list_hits(LISTS, (np.array([0, 1, 1]), np.array([2, 3, 2])))
    assert hits[:2].tolist() == [0.0, 1.0]
    assert np.isnan(hits[2])


def test_coverage_is_the_share_of_the_catalogue_that_anybody_is_recommended():
    assert coverage(LISTS, items=6) == pytest.approx(3 / 6)
    assert coverage(LISTS[:0], items=6) is None


def test_lists_as_popular_as_what_is_taken_have_no_bias_and_best_sellers_for_all_have_one():
    taken = np.array([0, 0, 0, 1])
    as_taken = taken.reshape(-1, 1)
    assert popularity_bias(as_taken, taken, items=3) == pytest.approx(1.0)
    assert popularity_bias(np.zeros((4, 1), int), taken, items=3) == pytest.approx(0.75 / (0.75**2 + 0.25**2))
    assert popularity_bias(np.full((4, 1), 2), taken, items=3) == 0.0
    assert popularity_bias(as_taken, taken[:0], items=3) is None


def test_an_item_matches_if_it_shares_a_value_with_anything_the_user_had():
    history = sparse.csr_array(np.array([[0, 0, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]]))
    # Items 0 and 1 are games, 2 is a book, 3 is a book and music.
    properties = sparse.csr_array(np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1]]))
    found = matches(np.array([[0, 2], [0, 1], [0, 1]]), history, properties)
    assert found[:2].tolist() == [[0.0, 1.0], [1.0, 1.0]]
    assert np.isnan(found[2]).all()
    assert 1 - mean(found) == pytest.approx(0.25)
