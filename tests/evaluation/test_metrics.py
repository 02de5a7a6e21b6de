"""Metrics against independent computations, and the coverage of the interval."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.evaluation.metrics import auc, measure, paired_difference, row_losses


def test_auc_is_the_share_of_pairs_in_the_right_order_with_ties_as_half():
    labels = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    scores = np.array([0.9, 0.1, 0.4, 0.4, 0.2])
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    assert auc(labels, scores) == pytest.approx(sum(pairs) / len(pairs))


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


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_one_user_alone_decides_nothing(differences):
    interval = paired_difference(np.array(differences), np.zeros(len(differences)), np.zeros(len(differences), int), level=0.95)
    assert interval.lower < -1e8
    assert interval.upper > 1e8
