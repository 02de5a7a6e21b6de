"""Metrics against independent computations, and the coverage of the interval."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from widedeep.evaluation.metrics import auc, measure, paired_difference, row_losses

INTERVALS = ("ne_interval", "auc_interval", "calibration_interval")


def test_auc_is_the_share_of_pairs_in_the_right_order_with_ties_as_half():
    labels = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    scores = np.array([0.9, 0.1, 0.4, 0.4, 0.2])
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    assert auc(labels, scores) == pytest.approx(sum(pairs) / len(pairs))


@st.composite
def holdouts(draw):
    """Labels, scores with ties, users and whole weights from 1 on, of both classes."""
    size = draw(st.integers(2, 25))
    column = lambda values: np.array(draw(st.lists(values, min_size=size, max_size=size)), float)  # noqa: E731
    labels = np.concatenate([[0.0, 1.0], column(st.integers(0, 1))[2:]])
    return labels, column(st.sampled_from([0.1, 0.3, 0.5, 0.9])), column(st.integers(0, 4)).astype(int), column(st.integers(1, 5))


def close(one, other):
    return one == other if one is None or other is None else one == pytest.approx(other, rel=1e-9, abs=1e-12)


@given(holdouts())
def test_a_weight_is_that_many_equal_rows(holdout):
    labels, scores, users, weights = holdout
    often = weights.astype(int)
    weighted = measure(labels, scores, users, weights).model_dump(exclude={"rows"})
    repeated = measure(*(np.repeat(x, often) for x in (labels, scores, users))).model_dump(exclude={"rows"})
    assert all(close(weighted[name], repeated[name]) for name in weighted)
    losses, base = row_losses(labels, scores), row_losses(labels, np.full_like(scores, 0.4))
    weighted = paired_difference(losses, base, users, 0.95, weights).model_dump()
    repeated = paired_difference(*(np.repeat(x, often) for x in (losses, base, users)), level=0.95).model_dump()
    assert all(close(weighted[name], repeated[name]) for name in weighted)


@given(holdouts())
def test_auc_of_weighted_rows_is_the_weighted_share_of_pairs_in_the_right_order(holdout):
    labels, scores, _, weights = holdout
    weights = weights / 7
    ordered, pairs = 0.0, 0.0
    for i in np.flatnonzero(labels == 1):
        for j in np.flatnonzero(labels == 0):
            pairs += weights[i] * weights[j]
            ordered += weights[i] * weights[j] * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
    assert auc(labels, scores, weights) == pytest.approx(ordered / pairs)


def test_weighted_metrics_of_a_hand_computed_holdout():
    labels, scores, weights = np.array([1.0, 0.0, 1.0]), np.array([0.8, 0.4, 0.5]), np.array([0.5, 2.0, 1.5])
    report = measure(labels, scores, np.array([1, 1, 2]), weights)
    loss = -(0.5 * math.log(0.8) + 2 * math.log(0.6) + 1.5 * math.log(0.5)) / 4
    assert report.log_loss == pytest.approx(loss)
    assert report.ne == pytest.approx(loss / math.log(2))  # the weighted label rate is one half
    assert (report.rows, report.users, report.label_rate) == (3, 2, 0.5)
    assert report.calibration == pytest.approx((0.4 + 0.8 + 0.75) / 2)


@given(holdouts())
def test_intervals_are_those_of_the_jackknife_that_measures_anew_without_each_user(holdout):
    labels, scores, users, weights = holdout
    told = measure(labels, scores, users, weights, level=0.9)
    there = [users != user for user in np.unique(users)]
    alone = [(labels[kept], scores[kept], users[kept], weights[kept]) for kept in there]
    nothing = len(there) == 1 or any(len(set(rest[0])) < 2 for rest in alone)
    for name in ("ne", "auc", "calibration"):
        interval = getattr(told, f"{name}_interval")
        if nothing:
            # A calibration needs positives only.
            assert interval is None or name == "calibration"
            continue
        left_out = np.array([getattr(measure(*rest), name) for rest in alone])
        error = math.sqrt((len(there) - 1) / len(there) * np.square(left_out - left_out.mean()).sum())
        mass = np.array([weights[~kept].sum() for kept in there])
        freedom = max(1.0, mass.sum() ** 2 / np.square(mass).sum() - 1)
        assert interval.estimate == pytest.approx(getattr(told, name))
        assert interval.upper - interval.lower == pytest.approx(2 * stats.t.ppf(0.95, freedom) * error, rel=1e-6, abs=1e-9)
    assert told.model_copy(update=dict.fromkeys(INTERVALS)) == measure(labels, scores, users, weights)


def test_the_interval_of_auc_holds_the_truth_although_users_differ_in_taste():
    rng, covered, trials, truth = np.random.default_rng(11), 0, 300, 0.7602
    for _ in range(trials):
        users = np.repeat(np.arange(60), 20)
        labels = (rng.random(1200) < 1 / (1 + np.exp(-np.repeat(rng.normal(0, 1, 60), 20)))).astype(float)
        interval = measure(labels, labels + rng.normal(0, 1, 1200), users, level=0.95).auc_interval
        covered += interval.lower <= truth <= interval.upper
    assert covered / trials == pytest.approx(0.95, abs=0.04)


def test_of_one_user_or_of_one_class_no_interval_is_told():
    one = measure(np.array([0.0, 1.0]), np.array([0.2, 0.7]), np.array([3, 3]), level=0.95)
    same = measure(np.zeros(3), np.full(3, 0.2), np.arange(3), level=0.95)
    assert [getattr(report, name) for report in (one, same) for name in INTERVALS] == [None] * 6


def test_a_weight_of_zero_is_refused_in_words():
    some, users, weights = np.array([0.0, 1.0]), np.array([0, 1]), np.array([1.0, 0.0])
    for measured in (lambda: measure(some, some, users, weights), lambda: paired_difference(some, some, users, 0.95, weights)):
        with pytest.raises(ValueError, match=r"got a weight of 0\.0, wanted positive ones"):
            measured()


def test_metrics_of_a_hand_computed_holdout():
    labels, scores = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.8, 0.4, 0.1, 0.5])
    report = measure(labels, scores, np.array([1, 1, 2, 3]))
    loss = -(math.log(0.8) + math.log(0.6) + math.log(0.9) + math.log(0.5)) / 4
    assert report.log_loss == pytest.approx(loss)
    assert report.ne == pytest.approx(loss / math.log(2))
    assert (report.rows, report.users, report.label_rate) == (4, 3, 0.5)
    assert report.calibration == pytest.approx(1.8 / 2)


def test_one_class_has_no_auc_and_no_normalised_entropy():
    report = measure(np.zeros(3), np.full(3, 0.2), np.arange(3))
    assert report.auc is None
    assert report.ne is None
    assert report.calibration is None


def test_a_holdout_without_rows_is_refused_in_words():
    none = np.array([])
    for measured in (lambda: measure(none, none, none), lambda: paired_difference(none, none, none, level=0.95)):
        with pytest.raises(ValueError, match="got no rows to measure on"):
            measured()


def test_a_certain_mistake_costs_a_finite_loss():
    assert np.isfinite(row_losses(np.array([1.0, 0.0]), np.array([0.0, 1.0]))).all()


def test_interval_covers_the_truth_although_the_rows_of_a_user_move_together():
    rng, covered, trials, truth = np.random.default_rng(7), 0, 400, 0.01
    for _ in range(trials):
        users = np.repeat(np.arange(40), 10)
        difference = truth + np.repeat(rng.normal(0, 0.1, 40), 10) + rng.normal(0, 0.05, 400)
        interval = paired_difference(difference, np.zeros(400), users, level=0.95)
        covered += interval.lower <= truth <= interval.upper
    # 400 trials at 95 %: three standard errors are 3.3 points; an interval over rows instead of users covers about 50 %.
    assert covered / trials >= 0.91


def test_interval_covers_the_truth_where_users_differ_in_weight_and_in_quality():
    """The heavy users are the better ones, so an unweighted mean is off by more than its interval."""
    rng, covered, trials = np.random.default_rng(11), 0, 400
    for _ in range(trials):
        users, heavy = np.repeat(np.arange(60), 5), np.repeat(rng.random(60) < 0.5, 5)
        weights = np.where(heavy, 4.0, 1.0) * rng.uniform(0.5, 1.5, 300)
        difference = np.where(heavy, -0.1, 0.1) + np.repeat(rng.normal(0, 0.1, 60), 5)
        interval = paired_difference(difference, np.zeros(300), users, 0.95, weights)
        covered += interval.lower <= (0.1 - 0.4) / 5 <= interval.upper
    assert covered / trials >= 0.91  # as above


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_one_user_alone_decides_nothing(differences):
    interval = paired_difference(np.array(differences), np.zeros(len(differences)), np.zeros(len(differences), int), level=0.95)
    assert interval.lower < -1e8
    assert interval.upper > 1e8
