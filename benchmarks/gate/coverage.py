"""How often the gate's 95 % interval holds the truth, by number of users, and how it agrees with a bootstrap over users.

Users are drawn with replacement from those of a real comparison, whose own difference is the truth; once as they are, once with
few users who have most rows.
"""

from typing import Any

import numpy as np

from benchmarks.gate.worlds import Floats
from widedeep.evaluation.metrics import over_users

USERS, DRAWS, COMPARED, RESAMPLES = (20, 100, 5_000), 2_000, 20, 1_000
LEVEL = 0.95


def coverage(differences: Floats, users: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """`differences` (B,) are candidate − champion losses of rows, `users` (B,) theirs."""
    rows, sums = np.bincount(users).astype(float), np.bincount(users, differences)
    heavy = np.ceil(np.minimum(1 + rng.pareto(1.2, len(rows)) * 5, 500))
    populations = {"as they are": (rows, sums), "few have most rows": (heavy, sums / rows * heavy)}
    return {
        name: {
            "largest_user_of_100_has": round(float(np.mean([_largest(weights, rng) for _ in range(200)])), 3),
            **{f"{count:,} users": _covered(weights, totals, count, rng) for count in USERS},
        }
        for name, (weights, totals) in populations.items()
    }


def _largest(weights: Floats, rng: np.random.Generator) -> float:
    drawn = rng.choice(weights, 100)
    return float(drawn.max() / drawn.sum())


def _covered(weights: Floats, totals: Floats, count: int, rng: np.random.Generator) -> dict[str, float]:
    truth, held, wide = totals.sum() / weights.sum(), 0, []
    for draw in range(DRAWS):
        drawn = rng.integers(len(weights), size=count)
        w, d = weights[drawn], totals[drawn]
        interval = over_users(lambda d, w: d / w, np.arange(count), d, w).interval(LEVEL)
        held += interval.lower <= truth <= interval.upper
        if draw < COMPARED:
            low, high = _bootstrap(w, d, rng)
            wide.append((interval.upper - interval.lower) / (high - low))
    return {"holds_the_truth": round(held / DRAWS, 4), "width_to_bootstraps": round(float(np.median(wide)), 3)}


def _bootstrap(weights: Floats, totals: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """Percentiles of the difference over resampled users (Efron and Tibshirani 1993, §13.3)."""
    count = len(weights)
    found = []
    for _ in range(RESAMPLES):
        often = np.bincount(rng.integers(count, size=count), minlength=count)
        found.append((often @ totals) / (often @ weights))
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
