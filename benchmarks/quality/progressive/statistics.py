"""How two sides differ, with an interval for both that is random here: the users that happened to be scored, and the seeds.

`S` seeds, `B` rows. AUC is that of each week, weighted by its rows: a chain scores a week with one model. Log loss is per row.

The interval of a mean difference over seeds has two parts, added as variances: that over users, by a bootstrap of whole users
(a user's rows of all weeks move together, both sides see the same users), and that over seeds, the variance of the S
differences over S. Its t has Satterthwaite's degrees of freedom. It is wider than the interval over seeds alone, which tells of
these very rows only and is given beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from widedeep.evaluation.metrics import row_losses

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Rows:
    """The scored rows: label (B,), week (B,), user (B,) numbered from 0."""

    label: Floats
    week: Ints
    user: Ints

    def where(self, chosen: NDArray[np.bool_]) -> Rows:
        return Rows(self.label[chosen], self.week[chosen], np.unique(self.user[chosen], return_inverse=True)[1])


Metric = Callable[[Floats], float]  # of (B,) row weights


def weekly_auc(rows: Rows, scores: Floats) -> Metric:
    """AUC of each week, weighted by its rows, as a function of row weights. Ties count half."""
    prepared = [_sorted(rows.label[own], scores[own], np.flatnonzero(own)) for own in _weeks(rows)]

    def value(weights: Floats) -> float:
        parts = [(_auc(ends, positive, weights[order]), float(weights[order].sum())) for order, positive, ends in prepared]
        told = [(auc, weight) for auc, weight in parts if not np.isnan(auc)]
        return float(np.average([a for a, _ in told], weights=[w for _, w in told]))

    return value


def log_loss(rows: Rows, scores: Floats) -> Metric:
    """Mean log loss in nats, as a function of row weights."""
    losses = row_losses(rows.label, scores)
    return lambda weights: float(np.average(losses, weights=weights))


METRICS = {"auc": weekly_auc, "log_loss": log_loss}


def measured(rows: Rows, scores: list[Floats]) -> dict[str, Any]:
    """Mean over seeds of both metrics and of Σp/Σy, and the standard deviation over seeds of the two."""
    ones = np.ones(len(rows.label))
    told: dict[str, Any] = {}
    for name, metric in METRICS.items():
        values = [metric(rows, s)(ones) for s in scores]
        told |= {name: round(float(np.mean(values)), 5), f"{name}_sd_over_seeds": round(float(np.std(values, ddof=1)), 5)}
    return told | {"calibration": round(float(np.mean([s.sum() / rows.label.sum() for s in scores])), 4)}


def difference(rows: Rows, ours: list[Floats], theirs: list[Floats]) -> dict[str, Any]:
    """Ours minus theirs for both metrics: estimate and intervals. Above 0 is good for AUC, below 0 for log loss."""
    return {name: _difference(metric, rows, ours, theirs) for name, metric in METRICS.items()}


def deciles(rows: Rows, scores: list[Floats]) -> list[dict[str, float]]:
    """Calibration by tenths of the score, rows of all seeds pooled."""
    pooled, label = np.concatenate(scores), np.tile(rows.label, len(scores))
    tenth = stats.rankdata(pooled, method="ordinal") * 10 // (len(pooled) + 1)
    told = [(pooled[tenth == d], label[tenth == d]) for d in range(10)]
    return [{"mean_score": round(float(p.mean()), 4), "calibration": round(float(p.sum() / y.sum()), 4)} for p, y in told]


def _difference(metric: Callable[[Rows, Floats], Metric], rows: Rows, ours: list[Floats], theirs: list[Floats]) -> dict[str, Any]:
    pairs = [(metric(rows, a), metric(rows, b)) for a, b in zip(ours, theirs, strict=True)]
    ones = np.ones(len(rows.label))
    by_seed = np.array([a(ones) - b(ones) for a, b in pairs])
    over_users = float(np.std([np.mean([a(w) - b(w) for a, b in pairs]) for w in _resamples(rows)], ddof=1)) ** 2
    over_seeds = float(by_seed.var(ddof=1)) / len(by_seed)
    mean = float(by_seed.mean())
    return {
        "estimate": round(mean, 5),
        "interval": _interval(mean, [(over_users, int(rows.user.max())), (over_seeds, len(pairs) - 1)]),
        "interval_over_seeds_alone": _interval(mean, [(over_seeds, len(pairs) - 1)]),
    }


def _interval(mean: float, variances: list[tuple[float, int]]) -> list[float]:
    """From (variance, its degrees of freedom); these are Satterthwaite's for the sum."""
    total = sum(variance for variance, _ in variances)
    freedom = total**2 / sum(variance**2 / own for variance, own in variances) if total else 1.0
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * total**0.5
    return [round(mean - reach, 5), round(mean + reach, 5)]


def _resamples(rows: Rows) -> list[Floats]:
    """Row weights: how often each row's user was drawn."""
    rng, users = np.random.default_rng(0), int(rows.user.max()) + 1
    draws = (np.bincount(rng.integers(users, size=users), minlength=users) for _ in range(RESAMPLES))
    return [counts.astype(np.float64)[rows.user] for counts in draws]


def _weeks(rows: Rows) -> list[NDArray[np.bool_]]:
    return [rows.week == week for week in np.unique(rows.week)]


def _sorted(label: Floats, scores: Floats, places: Ints) -> tuple[Ints, Floats, Ints]:
    """Places in order of score, their labels, and the last position of each run of equal scores."""
    order = np.argsort(scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.inf) != 0)
    return places[order], label[order], ends


def _auc(ends: Ints, positive: Floats, weights: Floats) -> float:
    ups, downs = np.cumsum(weights * positive)[ends], np.cumsum(weights * (1 - positive))[ends]
    if not ups[-1] or not downs[-1]:
        return float("nan")
    run_ups, run_downs = np.diff(ups, prepend=0.0), np.diff(downs, prepend=0.0)
    return float((run_ups * (downs - run_downs / 2)).sum() / (ups[-1] * downs[-1]))
