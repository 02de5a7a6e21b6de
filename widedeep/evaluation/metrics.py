"""How good scores are, per row and per user. Rows of one user are not independent, so every interval here counts users, not rows.

A row of weight w counts as w equal rows of its user: every figure but the number of rows is what the repeated rows would give.

B rows; C users (clusters). Scores are probabilities in [0, 1], not logits. Weights are positive; None: each row counts once.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from widedeep.artifacts import Interval, MetricReport

Floats = NDArray[np.float64]

SMALLEST = 1e-12
"""Scores are clipped to [SMALLEST, 1 - SMALLEST], so that a confident mistake costs 27.6 nats and not infinity."""


def row_losses(labels: Floats, scores: Floats) -> Floats:
    """Log loss of each row in nats: labels (B,) in {0, 1}, scores (B,) -> (B,)."""
    clipped = np.clip(scores, SMALLEST, 1 - SMALLEST)
    return -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))


def auc(labels: Floats, scores: Floats, weights: Floats | None = None) -> float | None:
    """Area under the ROC curve: how often a positive scores above a negative, ties as half (Hanley & McNeil 1982).

    A pair counts as the product of its weights. None with only one class.
    """
    _, level = np.unique(scores, return_inverse=True)
    weights = np.ones_like(scores) if weights is None else weights
    positives, negatives = (np.bincount(level, weights * side) for side in (labels, 1 - labels))
    pairs = positives.sum() * negatives.sum()
    if pairs == 0:
        return None
    negatives_below = np.cumsum(negatives) - negatives
    return float((positives * (negatives_below + negatives / 2)).sum() / pairs)


def measure(labels: Floats, scores: Floats, users: NDArray[np.int64], weights: Floats | None = None) -> MetricReport:
    """Metrics of one model on one holdout of B > 0 rows; `users` (B,) numbers the user of each row.

    Means are weighted: log loss Σwl/Σw, label rate Σwy/Σw. `ne` is the log loss divided by that of always predicting the label
    rate (He et al. 2014, §2); `calibration` is Σwp/Σwy.

    Raises:
        ValueError: there are no rows, or a weight is not positive.
    """
    weights = _required(labels, weights)
    rate = float(np.average(labels, weights=weights))
    entropy = float(np.average(row_losses(labels, np.full_like(labels, rate)), weights=weights))
    one_class = not 0 < labels.sum() < len(labels)
    loss = float(np.average(row_losses(labels, scores), weights=weights))
    return MetricReport(
        rows=len(labels),
        users=len(np.unique(users)),
        label_rate=rate,
        log_loss=loss,
        ne=None if one_class else loss / entropy,
        auc=auc(labels, scores, weights),
        calibration=float((weights * scores).sum() / (weights * labels).sum()) if rate > 0 else None,
    )


def paired_difference(
    candidate_losses: Floats, champion_losses: Floats, users: NDArray[np.int64], level: float, weights: Floats | None = None
) -> Interval:
    """Weighted mean of candidate − champion loss per row, with an interval that lets the rows of a user move together.

    The mean is a ratio of two sums over users, Σwd to Σw; its linearised variance is that of the ratio estimator (Cochran 1977,
    §6.3), with Student's t on C − 1 degrees of freedom. Fewer than two users give an infinite interval: nothing can be said.

    Raises:
        ValueError: there are no rows, or a weight is not positive.
    """
    weights = _required(candidate_losses, weights)
    difference = candidate_losses - champion_losses
    estimate = float(np.average(difference, weights=weights))
    _, cluster = np.unique(users, return_inverse=True)
    clusters = int(cluster.max()) + 1
    if clusters == 1:
        return Interval(estimate=estimate, lower=-1e9, upper=1e9, level=level)
    residuals = np.bincount(cluster, weights=weights * (difference - estimate))
    error = float(np.sqrt(clusters / (clusters - 1) * np.square(residuals).sum())) / float(weights.sum())
    reach = float(stats.t.ppf((1 + level) / 2, clusters - 1)) * error
    return Interval(estimate=estimate, lower=estimate - reach, upper=estimate + reach, level=level)


def _required(values: Floats, weights: Floats | None) -> Floats:
    """The weights, ones if there are none."""
    if not len(values):
        raise ValueError(
            "holdout: got no rows to measure on, wanted at least one. Hold out more users, or judge without metrics."
        )
    if weights is None:
        return np.ones(len(values))
    if not (weights > 0).all():
        raise ValueError(f"holdout: got a weight of {weights.min()}, wanted positive ones. Leave out rows that don't count.")
    return weights
