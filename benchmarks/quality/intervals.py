"""Means over seeds, and paired differences with Student's t-interval over the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.95


def paired(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Mean of ours less theirs, seed by seed, with its interval."""
    difference = np.asarray(ours) - np.asarray(theirs)
    mean, n = float(difference.mean()), len(difference)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1) * difference.std(ddof=1) / np.sqrt(n))
    return {"estimate": round(mean, 5), "interval": [round(mean - reach, 5), round(mean + reach, 5)]}


def mean_by_day(runs: Sequence[dict[str, float]], first: int) -> dict[str, float]:
    """Of what was measured on each day from `first` on."""
    return {day: round(float(np.mean([run[day] for run in runs])), 5) for day in runs[0] if int(day) >= first}
