"""How good scores are, per row and per user. Rows of one user are not independent, so every interval here counts users, not rows.

B rows; C users (clusters). Scores are probabilities in [0, 1], not logits.
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


def auc(labels: Floats, scores: Floats) -> float | None:
    """Area under the ROC curve by the rank sum (Hanley & McNeil 1982); ties count half. None with only one class."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return None
    rank_sum = float(stats.rankdata(scores)[labels > 0].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def measure(labels: Floats, scores: Floats, users: NDArray[np.int64]) -> MetricReport:
    """Metrics of one model on one holdout of B > 0 rows; `users` (B,) numbers the user of each row.

    `ne` is the log loss divided by that of always predicting the label rate (He et al. 2014, §2); `calibration` is Σp/Σy.

    Raises:
        ValueError: there are no rows.
    """
    _require_rows(labels)
    rate = float(labels.mean())
    entropy = float(row_losses(labels, np.full_like(labels, rate)).mean())
    one_class = rate in (0.0, 1.0)
    loss = float(row_losses(labels, scores).mean())
    return MetricReport(
        rows=len(labels),
        users=len(np.unique(users)),
        label_rate=rate,
        log_loss=loss,
        ne=None if one_class else loss / entropy,
        auc=auc(labels, scores),
        calibration=float(scores.sum() / labels.sum()) if rate > 0 else None,
    )


def paired_difference(candidate_losses: Floats, champion_losses: Floats, users: NDArray[np.int64], level: float) -> Interval:
    """Mean of candidate − champion loss per row, with an interval that lets the rows of a user move together.

    The ratio estimator's linearised variance over users (Cochran 1977, §6.3) with Student's t on C − 1 degrees of freedom.
    Fewer than two users give an infinite interval: nothing can be said.

    Raises:
        ValueError: there are no rows.
    """
    _require_rows(candidate_losses)
    difference = candidate_losses - champion_losses
    estimate = float(difference.mean())
    _, cluster = np.unique(users, return_inverse=True)
    clusters = int(cluster.max()) + 1
    if clusters == 1:
        return Interval(estimate=estimate, lower=-1e9, upper=1e9, level=level)
    residuals = np.bincount(cluster, weights=difference - estimate)
    error = float(np.sqrt(clusters / (clusters - 1) * np.square(residuals).sum())) / len(difference)
    reach = float(stats.t.ppf((1 + level) / 2, clusters - 1)) * error
    return Interval(estimate=estimate, lower=estimate - reach, upper=estimate + reach, level=level)


def _require_rows(values: Floats) -> None:
    if not len(values):
        raise ValueError(
            "holdout: got no rows to measure on, wanted at least one. Hold out more users, or judge without metrics."
        )
