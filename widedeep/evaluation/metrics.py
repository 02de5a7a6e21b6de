"""How good scores are, per row and per user. Rows of one user are not independent, so every interval here counts users, not rows.

A row of weight w counts as w equal rows of its user: every figure but the number of rows is what the repeated rows would give.

B rows; C users (clusters). Scores are probabilities in [0, 1], not logits. Weights are positive; None: each row counts once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from widedeep.artifacts import Interval, MetricReport

Floats = NDArray[np.float64]

FAR = 1e9
"""The ends of an interval about which nothing can be said: JSON knows no infinity."""

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
    weights = np.ones_like(scores) if weights is None else weights
    pairs = (weights * labels).sum() * (weights * (1 - labels)).sum()
    return float((weights * labels * _beaten(labels, scores, weights)).sum() / pairs) if pairs else None


def auc_over_users(labels: Floats, scores: Floats, users: NDArray[np.int64], weights: Floats | None = None) -> "Estimate | None":
    """The same with its error: the jackknife over users leaves out the pairs of each one with all others and with itself."""
    weights = np.ones_like(scores) if weights is None else weights
    value = auc(labels, scores, weights)
    if value is None:
        return None
    _, user = np.unique(users, return_inverse=True)
    own, _ = _own_pairs(labels, scores, user, weights)
    won = weights * labels * _beaten(labels, scores, weights)
    lost = weights * (1 - labels) * _beaten(1 - labels, -scores, weights)
    left_won = won.sum() - np.bincount(user, won) - np.bincount(user, lost) + own
    positives, negatives = (np.bincount(user, weights * side) for side in (labels, 1 - labels))
    with np.errstate(divide="ignore", invalid="ignore"):  # one user may have all rows of a class
        left_out = left_won / ((positives.sum() - positives) * (negatives.sum() - negatives))
    return _jackknife(value, left_out, np.bincount(user, weights))


def _beaten(labels: Floats, scores: Floats, weights: Floats) -> Floats:
    """(B,) the weight of the negatives below each row, and half of those beside it."""
    _, tie = np.unique(scores, return_inverse=True)
    negatives = np.bincount(tie, weights * (1 - labels))
    return np.asarray((np.cumsum(negatives) - negatives / 2)[tie], np.float64)


def user_auc(labels: Floats, scores: Floats, users: NDArray[np.int64], weights: Floats | None = None) -> float | None:
    """Mean over users of the AUC of each one's own rows, each user once; None where nobody has rows of both classes.

    It tells how well a model ranks what one user is shown: who takes much and who takes little moves it not at all.
    """
    weights = np.ones_like(scores) if weights is None else weights
    _, user = np.unique(users, return_inverse=True)
    won, pairs = _own_pairs(labels, scores, user, weights)
    return float((won[pairs > 0] / pairs[pairs > 0]).mean()) if (pairs > 0).any() else None


def _own_pairs(labels: Floats, scores: Floats, user: NDArray[np.int64], weights: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
    """(C,) how many of each user's own pairs of rows, a positive and a negative, are ranked right (ties as half), of how many."""
    order = np.lexsort((scores, user))
    first = (np.diff(user[order], prepend=-1) != 0) | (np.diff(scores[order], prepend=np.nan) != 0)
    tie, owner = np.cumsum(first) - 1, user[order][first]
    positives, negatives = (np.bincount(tie, (weights * side)[order]) for side in (labels, 1 - labels))
    all_positives, all_negatives = (np.bincount(owner, side) for side in (positives, negatives))
    below = np.cumsum(negatives) - negatives - (np.cumsum(all_negatives) - all_negatives)[owner]
    return np.bincount(owner, positives * (below + negatives / 2)), all_positives * all_negatives


def measure(
    labels: Floats, scores: Floats, users: NDArray[np.int64], weights: Floats | None = None, level: float | None = None
) -> MetricReport:
    """Metrics of one model on one holdout of B > 0 rows; `users` (B,) numbers the user of each row.

    Means are weighted: log loss Σwl/Σw, label rate Σwy/Σw. `ne` is the log loss divided by that of always predicting the label
    rate (He et al. 2014, §2); `calibration` is Σwp/Σwy. With a `level`, each has its interval.

    Raises:
        ValueError: there are no rows, or a weight is not positive.
    """
    weights = _required(labels, weights)
    rate = float(np.average(labels, weights=weights))
    entropy = float(np.average(row_losses(labels, np.full_like(labels, rate)), weights=weights))
    one_class = not 0 < labels.sum() < len(labels)
    losses = row_losses(labels, scores)
    loss = float(np.average(losses, weights=weights))
    told = intervals(labels, scores, losses, users, weights, level) if level and not one_class else {}
    return MetricReport(
        rows=len(labels),
        users=len(np.unique(users)),
        label_rate=rate,
        log_loss=loss,
        ne=None if one_class else loss / entropy,
        auc=auc(labels, scores, weights),
        calibration=float((weights * scores).sum() / (weights * labels).sum()) if rate > 0 else None,
        user_auc=user_auc(labels, scores, users, weights),
        **told,
    )


def intervals(
    labels: Floats, scores: Floats, losses: Floats, users: NDArray[np.int64], weights: Floats, level: float
) -> dict[str, Interval]:
    """Those of `MetricReport`, of rows of both classes, where something can be said."""
    found = {
        "ne_interval": over_users(_normalised, users, weights * losses, weights * labels, weights),
        "auc_interval": auc_over_users(labels, scores, users, weights),
        "calibration_interval": over_users(lambda p, y, _: p / y, users, weights * scores, weights * labels, weights),
    }
    return {name: each.interval(level) for name, each in found.items() if each and np.isfinite(each.error)}


def _normalised(loss: Floats, positives: Floats, rows: Floats) -> Floats:
    rate = positives / rows
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
    return np.asarray(loss / rows / entropy, np.float64)


@dataclass(frozen=True)
class Estimate:
    """A figure with its standard error, and the degrees of freedom of the t distribution that their ratio follows.

    With fewer than two users the error is infinite: nothing can be said.
    """

    value: float
    error: float
    freedom: float

    def interval(self, level: float) -> Interval:
        """Two-sided."""
        if not np.isfinite(self.error):
            return Interval(estimate=self.value, lower=-FAR, upper=FAR, level=level)
        reach = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error
        return Interval(estimate=self.value, lower=self.value - reach, upper=self.value + reach, level=level)

    def chance(self, bound: float) -> float:
        """How likely so high a value is if the truth is `bound`, or below it: small, and it is shown to lie above."""
        if self.error == 0:
            return float(self.value <= bound)
        return float(stats.t.sf((self.value - bound) / self.error, self.freedom))


def paired(candidate_losses: Floats, other_losses: Floats, users: NDArray[np.int64], weights: Floats | None = None) -> Estimate:
    """Weighted mean of candidate − other loss per row; the rows of a user move together.

    Raises:
        ValueError: there are no rows, or a weight is not positive.
    """
    weights = _required(candidate_losses, weights)
    return over_users(lambda d, w: d / w, users, weights * (candidate_losses - other_losses), weights)


def paired_difference(
    candidate_losses: Floats, champion_losses: Floats, users: NDArray[np.int64], level: float, weights: Floats | None = None
) -> Interval:
    """The same, as an interval."""
    return paired(candidate_losses, champion_losses, users, weights).interval(level)


def over_users(statistic: Callable[..., Floats], users: NDArray[np.int64], *columns: Floats) -> Estimate:
    """A smooth function of columns' sums over all rows; each column is (B,), and the last one says what each row weighs.

    `users` (B,) numbers them from 0, which need not be without gaps.

    The error is that of the jackknife which leaves out one user at a time (Efron 1982, §3.4). A few heavy users decide more than
    many light ones, so the degrees of freedom count users by their weight, (Σw)² / Σw² − 1 (Kish 1965, §11.7). How often the
    intervals hold the truth: benchmarks/results/gate.json.
    """
    there = np.bincount(users) > 0
    sums = [np.bincount(users, column)[there] for column in columns]
    totals, weight = [float(each.sum()) for each in sums], sums[-1]
    value = float(statistic(*totals))
    with np.errstate(divide="ignore", invalid="ignore"):  # one user may have all there is of a column
        left_out = statistic(*(total - each for total, each in zip(totals, sums, strict=True)))
    return _jackknife(value, left_out, weight)


def _jackknife(value: float, left_out: Floats, weight: NDArray[Any]) -> Estimate:
    """By what each user's absence would make of it, (C,), and what each user weighs, (C,)."""
    clusters = len(left_out)
    if clusters == 1 or not np.isfinite(left_out).all():
        return Estimate(value, np.inf, 1)
    error = float(np.sqrt((clusters - 1) / clusters * np.square(left_out - left_out.mean()).sum()))
    effective = weight.sum() ** 2 / np.square(weight).sum()
    return Estimate(value, error, max(1.0, float(effective) - 1))


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
