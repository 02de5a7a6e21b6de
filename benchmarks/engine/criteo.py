"""Rows in the shape of the Criteo display advertising challenge, with labels from a planted model. Equal seeds give equal rows.

13 skewed numbers, 26 categorical columns with the challenge's cardinalities, cut at 1M; an id's frequency falls as
rank ** -1.075. The planted logit has an effect of each id, two-way products of ids' hidden traits, smooth effects of the
numbers, and memorised pairs.

`N` rows.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# The challenge's own cardinalities, in its order of columns; the five largest are cut.
CARDINALITIES = (
    *(1460, 583, 1_000_000, 1_000_000, 305, 24, 12_517, 633, 3, 93_145, 5683, 1_000_000, 3194),
    *(27, 14_992, 1_000_000, 10, 5652, 2173, 4, 1_000_000, 18, 15, 286_181, 105, 142_572),
)
NUMBERS = tuple(f"number_{i:02}" for i in range(13))
CATEGORIES = tuple(f"category_{i:02}" for i in range(26))
# Pairs with a few thousand to a few ten thousand values: enough to memorise, few enough to be seen again.
CROSSES = (("category_00", "category_05"), ("category_01", "category_22"), ("category_04", "category_24"))
LABEL = "clicked"

_TRAITS = 4


def rows(count: int, seed: int) -> pa.Table:
    """(N,) rows: the columns named above and the label, 0 or 1."""
    random = np.random.default_rng(seed)
    ids = {name: _ids(random, size, count) for name, size in zip(CATEGORIES, CARDINALITIES, strict=True)}
    numbers = {name: random.lognormal(0, 1 + i % 3, count) for i, name in enumerate(NUMBERS)}
    logit = _effects(random, ids) + _smooth(random, numbers) + _memorised(random, ids) - 1.2
    clicked = random.random(count) < 1 / (1 + np.exp(-logit))
    return pa.table({**numbers, **ids, LABEL: clicked.astype(np.int8)})


def _ids(random: np.random.Generator, size: int, count: int) -> NDArray[np.int64]:
    """(N,) ids below `size`, the id r with a probability in proportion to (r + 1) ** -1.075."""
    cumulated = np.cumsum(np.arange(1, size + 1) ** -1.075)
    return np.searchsorted(cumulated, random.random(count) * cumulated[-1]).astype(np.int64)


def _effects(random: np.random.Generator, ids: dict[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """(N,) effects of the ids, and products of the traits of each two neighbouring columns."""
    total, before = 0.0, None
    for name, size in zip(CATEGORIES, CARDINALITIES, strict=True):
        drawn = random.normal(0, 0.22, size)[ids[name]]
        traits = random.normal(0, 0.35, (size, _TRAITS)).astype(np.float32)[ids[name]]
        total = total + drawn + (0 if before is None else (before * traits).sum(1))
        before = traits
    return np.asarray(total)


def _smooth(random: np.random.Generator, numbers: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """(N,) waves over the logarithms of the numbers."""
    waves = [np.sin(random.uniform(0.5, 1.5) * np.log(values) + random.uniform(0, 6)) for values in numbers.values()]
    return np.asarray(0.2 * np.sum(waves, axis=0))


def _memorised(random: np.random.Generator, ids: dict[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """(N,) effects of pairs of ids that nothing else tells of."""
    sizes = dict(zip(CATEGORIES, CARDINALITIES, strict=True))
    tables = [(random.normal(0, 0.4, (sizes[a], sizes[b])), a, b) for a, b in CROSSES]
    return np.asarray(sum(table[ids[a], ids[b]] for table, a, b in tables))
