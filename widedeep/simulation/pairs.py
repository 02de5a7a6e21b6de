"""Planted pairs: AND(installed=x, shown=y) moves the logit up or down, by hash of (seed, x, y), with no pattern to generalise.

Half of the planted pairs attract and half repel. `X` installed apps, `Y` shown apps, both by number.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from widedeep.simulation.population import Float64s, Int64s
from widedeep.simulation.settings import SimulationSettings

Uint64s = NDArray[np.uint64]


def pair_effects(settings: SimulationSettings, day: int, installed: Int64s, shown: Int64s) -> Float64s:
    """(X, Y) float64: what each pair adds to the logit on a day; 0 for most pairs.

    A drift fault has drawn the share `size` of all pairs anew.
    """
    drawn = _draw(settings.seed, 0, installed, shown)
    for generation, fault in enumerate(settings.faults, 1):
        if fault.kind == "drift" and fault.day <= day:
            changed = _uniform(_draw(settings.seed, -generation, installed, shown)) < (fault.size or 0)
            drawn = np.where(changed, _draw(settings.seed, generation, installed, shown), drawn)
    sign = np.where(drawn & np.uint64(1), 1.0, -1.0)
    return np.where(_uniform(drawn) < settings.pair_share, sign * settings.pair_effect, 0.0)


def _draw(seed: int, generation: int, installed: Int64s, shown: Int64s) -> Uint64s:
    start = _mix(np.array([seed], np.uint64) ^ _mix(np.array([generation], np.int64).view(np.uint64)))
    left = _mix(start ^ _mix(installed.view(np.uint64) + np.uint64(1)))
    return _mix(left[:, None] + _mix(shown.view(np.uint64) + np.uint64(0x9E3779B97F4A7C15))[None, :])


def _uniform(bits: Uint64s) -> Float64s:
    """In [0, 1), from the upper 53 bits: the lowest is the sign's."""
    return (bits >> np.uint64(11)).astype(np.float64) / 2**53


def _mix(x: Uint64s) -> Uint64s:
    """Pandas hashes 64-bit integers by the finaliser of splitmix64 (Steele et al. 2014)."""
    return pd.util.hash_array(x.ravel(), categorize=False).reshape(x.shape)
