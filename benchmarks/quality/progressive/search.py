"""What each side may choose, and how: random search, the same number of trials and about as many settings for each side.

A choice is a tuple of values; a range (low, high) is drawn log-uniformly. What a library lacks it can't choose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Range:
    low: float
    high: float


Space = dict[str, tuple[Any, ...] | Range]

_SHAPE: Space = {
    "batch": (64, 128, 256),
    "embedding": (8, 16, 32, 64),
    "hidden": ([64], [128, 64], [256, 128], [512, 256]),
}
_PEER: Space = {
    **_SHAPE,
    "optimizer": ("Adam", "Adagrad"),
    "learning_rate": Range(1e-4, 1e-2),
    "dropout": (0.0, 0.1, 0.3, 0.5),
    "embedding_std": (1e-4, 1e-2, 5e-2),
    "passes": (1, 1, 2, 3),
}

SPACES: dict[str, Space] = {
    "ours": {
        **_SHAPE,
        "hidden": ([128, 64], [256, 128], [512, 256], [1024, 512]),
        "learning_rate": Range(5e-4, 6e-3),
        "embedding_learning_rate": Range(1e-2, 1e-1),
        "alpha": Range(3e-3, 3e-2),
        "l1": Range(1e-2, 1.0),
        "l2": Range(1.0, 30.0),
        "cross_min_count": (2, 3, 5),
    },
    "plain-torch": {**_PEER, "wide_learning_rate": Range(1e-4, 1e-2), "l2": Range(1e-7, 1e-3)},
    "pytorch-widedeep": {
        **_PEER,
        "wide_learning_rate": Range(1e-4, 1e-2),
        "l2": Range(1e-7, 1e-3),
        "wide_from_zero": (True, False),
    },
    "deepctr-torch": {**_PEER, "l2_linear": Range(1e-6, 1e-1), "l2_embedding": Range(1e-6, 1e-1)},
    "fuxictr": {**_PEER, "l2_embedding": Range(1e-8, 1e-3), "l2_net": Range(1e-8, 1e-3)},
}


def draw(side: str, trials: int, seed: int) -> list[dict[str, Any]]:
    """The trials of one side: equal arguments, equal trials."""
    rng = np.random.default_rng([seed, *side.encode()])
    return [_scaled({name: _value(choices, rng) for name, choices in SPACES[side].items()}) for _ in range(trials)]


def _scaled(settings: dict[str, Any]) -> dict[str, Any]:
    """AdaGrad divides by the sum of all squared gradients, where Adam has a running mean: its rates are ten times Adam's."""
    if settings.get("optimizer") != "Adagrad":
        return settings
    return settings | {name: round(10 * value, 6) for name, value in settings.items() if name.endswith("learning_rate")}


def _value(choices: tuple[Any, ...] | Range, rng: np.random.Generator) -> Any:
    if isinstance(choices, Range):
        return float(f"{math.exp(rng.uniform(math.log(choices.low), math.log(choices.high))):.3g}")
    return choices[rng.integers(len(choices))]
