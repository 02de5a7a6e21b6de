"""What one column tells of another: whose property it is, and whether it gives the label away. `N` rows of the sample."""

import numpy as np
from numpy.typing import NDArray

from widedeep.data.guess.seen import Seen

Codes = NDArray[np.int64]
TELLS = 0.97
"""From here on a column is another's property: a name that is written in two ways now and then does not hide that."""
FEW_ROWS = 50  # that share a value with another row: fewer tell nothing
BINS = 20
GIVES_AWAY = 0.2
"""Normalised entropy of the label, given one column alone: whole models of clicks are at .8 to .9 (He et al. 2014)."""


def tells(key: Codes, other: Codes) -> float | None:
    """How surely two rows of one key agree in the other column, beyond chance: 1 always, 0 as any two rows. None: can't be told.

    Cohen's kappa over pairs of rows that have both.
    """
    known = (key >= 0) & (other >= 0)
    key, other = key[known], other[known]
    together = _pairs(np.bincount(key)).sum()
    if together < FEW_ROWS:
        return None
    same = _pairs(np.unique(key * (other.max() + 1) + other, return_counts=True)[1]).sum() / together
    chance = float(np.square(np.bincount(other) / len(other)).sum())
    return None if chance > TELLS else float((same - chance) / (1 - chance))


def label_entropy(seen: Seen, positive: NDArray[np.float64]) -> float | None:
    """Normalised entropy of the label when only this column is known: 1 tells nothing, 0 all. (N,) `positive`: 0, 1 or NaN.

    Rates are counted on every other row and tried on the rest, so that rare values don't seem to know. None: can't be told.
    """
    bins = _binned(seen)
    labelled = np.isfinite(positive)
    if bins is None or not 0 < positive[labelled].mean() < 1:
        return None
    learnt, tried = labelled & (np.arange(len(bins)) % 2 == 0), labelled & (np.arange(len(bins)) % 2 == 1)
    base = positive[learnt].mean()
    sums = np.bincount(bins[learnt], positive[learnt], minlength=bins.max() + 1)
    rate = (sums + base) / (np.bincount(bins[learnt], minlength=bins.max() + 1) + 1)
    return float(_loss(positive[tried], rate[bins[tried]]) / _loss(positive[tried], np.full(tried.sum(), base)))


def _binned(seen: Seen) -> Codes | None:
    """(N,) a number from 0 for each row: 0 is null; numbers of many values are cut at their quantiles."""
    if seen.kind in {"number", "integer"} and seen.different > BINS:
        numbers = seen.labels.to_numpy(zero_copy_only=False).astype(np.float64)
        edges = np.unique(np.quantile(seen.numbers, np.linspace(0, 1, BINS + 1)[1:-1])) if len(seen.numbers) else np.zeros(0)
        return np.where(seen.codes >= 0, np.searchsorted(edges, numbers[seen.codes]) + 1, 0)
    return seen.codes + 1 if seen.different <= max(BINS, len(seen.codes) // 10) else None


def _pairs(counts: Codes) -> Codes:
    return counts * (counts - 1)


def _loss(label: NDArray[np.float64], chance: NDArray[np.float64]) -> float:
    chance = np.clip(chance, 1e-6, 1 - 1e-6)
    return float(-np.mean(label * np.log(chance) + (1 - label) * np.log(1 - chance)))
