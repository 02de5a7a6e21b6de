"""Numeric values become their quantile in [0, 1] (Cheng et al. 2016, §4.1). Boundaries are fitted once and frozen for the chain:
moving them would shift every deep input under old weights.

`B` rows, `K` numeric features, `Q` quantiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from widedeep.artifacts import Value
from widedeep.features.columns import read_column
from widedeep.features.compiled import compiled

Float64s = NDArray[np.float64]


# On 50,000 values no quantile is off by more than 0.7 %, on 1,000 by 4.3 % (in 95 of 100 cases; Massart 1990).
ENOUGH = 50_000


class Quantiles(Value):
    """Q-1 non-decreasing boundaries of each fitted feature. A feature without any value so far has none yet.

    `fitted_on` tells on how many values each was fitted.
    """

    boundaries: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    fitted_on: dict[str, int] = Field(default_factory=dict)


def fit(quantiles: Quantiles, table: pa.Table, names: tuple[str, ...], count: int) -> Quantiles:
    """Fit the features that have no boundaries yet; the others stay as they are. `count` is Q."""
    fitted, fitted_on = dict(quantiles.boundaries), dict(quantiles.fitted_on)
    for name in names:
        values = _present(numbers(table, name))
        if name not in fitted and len(values):
            # inverted_cdf: boundaries are values that occur, so ties stay in one quantile.
            cuts = np.quantile(values, np.arange(1, count) / count, method="inverted_cdf")
            fitted[name], fitted_on[name] = tuple(float(cut) for cut in cuts), len(values)
    return Quantiles(boundaries=fitted, fitted_on=fitted_on)


def transform(quantiles: Quantiles, table: pa.Table, names: tuple[str, ...]) -> NDArray[np.float32]:
    """(B, 2K) float32: for each feature its quantile, and 1 where it is missing (null or NaN; the quantile is then 0)."""
    dense = np.empty((table.num_rows, 2 * len(names)), np.float32)
    for k, name in enumerate(names):
        _fill(dense, 2 * k, numbers(table, name), np.asarray(quantiles.boundaries.get(name, ()), np.float64))
    return dense


@compiled
def _fill(dense: Any, column: Any, values: Any, cuts: Any) -> Any:
    """The share of cuts at or below each value, and whether the value is missing, into two columns of `dense`."""
    for row in range(len(values)):
        value, below = values[row], 0
        # Counting all cuts runs on vector instructions: for 99 cuts seven times faster than a binary search, whose branches miss.
        for i in range(len(cuts)):
            below += cuts[i] <= value
        dense[row, column] = below / max(len(cuts), 1)
        dense[row, column + 1] = np.isnan(values[row])


def drift(quantiles: Quantiles, table: pa.Table, names: tuple[str, ...]) -> dict[str, float]:
    """How far each feature's quantiles are from uniform: the distribution function's largest distance from the frozen boundaries.

    0 on the rows that the boundaries were fitted on, ties or not; close to 1 where all values left the old range.
    """
    known = [name for name in names if name in quantiles.boundaries]
    return {name: _distance(np.asarray(quantiles.boundaries[name]), _present(numbers(table, name))) for name in known}


def numbers(table: pa.Table, name: str) -> Float64s:
    """(B,) float64 with NaN for missing; an integer beyond 2^53 is rounded: a quantile does not see the difference."""
    values: Float64s = read_column(table, name).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _present(values: Float64s) -> Float64s:
    return values[~np.isnan(values)]


def _distance(cuts: Float64s, values: Float64s) -> float:
    if not len(values):
        return 0.0
    ordered = np.sort(values)
    wanted = np.arange(1, len(cuts) + 1) / (len(cuts) + 1)
    up_to = np.searchsorted(ordered, cuts, side="right") / len(ordered)
    below = np.searchsorted(ordered, cuts, side="left") / len(ordered)
    return float(np.max(np.maximum(wanted - up_to, below - wanted), initial=0.0).round(6))
