"""MovieLens as every side reads it: one file of numbers, so that no peer needs our code, and all see the same features and spans.

`B` rows of all 31 weeks, in order of week. Id 0 is padding. Ids cover all weeks: the peers want fixed vocabulary sizes, so an id
has its slot from the start and stays untrained until its value occurs.

    week     (B,) 0 to 30            label    (B,) 0 or 1            user     (B,) number of the user
    cat      (B, F) ids by feature, 1 to cat_sizes[f]               dense    (B, 2K) quantiles and missing indicators
    <list>   (B, longest) ids        <cross>  (B, most pairs) ids    <name>_size the largest id of a list or cross
    wide     (B, ·) ids of all features, lists and crosses in one numbering, 1 to wide_size
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.quality.progressive.history import with_history
from widedeep.data import movielens
from widedeep.data.contract import Contract
from widedeep.features.bags import Bag
from widedeep.features.columns import Features, Keys, cross_name
from widedeep.features.encoding import labels
from widedeep.features.growth import keys_of, pairs_of
from widedeep.features.quantiles import Quantiles, fit, transform

Ids = NDArray[np.int64]
FIRST_SPAN = date(2026, 1, 1)
HISTORY = 8  # weeks that are learnt before the first one is predicted


def tables(sample: Path) -> list[tuple[date, pa.Table]]:
    """The 31 weekly spans, with their users' and items' history."""
    return with_history(list(movielens.deliveries(sample, FIRST_SPAN)))


def export(spans: Sequence[tuple[date, pa.Table]], contract: Contract, path: Path) -> None:
    """Write the file, unless it is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays(spans, contract))
    part.replace(path)


def arrays(spans: Sequence[tuple[date, pa.Table]], contract: Contract) -> dict[str, NDArray[np.generic]]:
    """What the module's docstring lists."""
    features = Features.of(contract)
    table = pa.concat_tables([rows for _, rows in spans])
    keys = keys_of(table, features)
    lists = {name: _padded(_from_one(keys[name])) for name in features.multivalent}
    crosses = {cross_name(sides): ids for sides, ids in _crosses(keys, features, contract).items()}
    cat = np.stack([keys[name].bag.flat + 1 for name in features.categorical], axis=1)
    history = pa.concat_tables([rows for _, rows in spans[:HISTORY]])
    quantiles = fit(Quantiles(), history, features.numeric, contract.model.quantiles)
    wide = _one_numbering([*cat.T[:, :, None], *lists.values(), *crosses.values()])
    return {
        "week": np.repeat(np.arange(len(spans)), [rows.num_rows for _, rows in spans]),
        "label": labels(table, contract),
        "user": table[contract.user].combine_chunks().dictionary_encode().indices.to_numpy(),
        "cat": cat,
        "cat_sizes": cat.max(axis=0),
        "cat_names": np.array(features.categorical),
        "list_names": np.array(list(lists)),
        "cross_names": np.array(list(crosses)),
        "dense": transform(quantiles, table, features.numeric),
        **lists,
        **crosses,
        **{f"{name}_size": np.array(ids.max()) for name, ids in (lists | crosses).items()},
        "wide": wide,
    }


def _from_one(keys: Keys) -> Bag:
    return Bag(keys.bag.flat + 1, keys.bag.offsets)


def _crosses(keys: dict[str, Keys], features: Features, contract: Contract) -> dict[tuple[str, str], Ids]:
    """Pairs that occur `min_count` times in all weeks: the peers have no admission, and the others would never have a row."""
    least = {cross.of: cross.min_count for cross in contract.crosses}
    pairs = pairs_of({name: k.bag for name, k in keys.items()}, features)
    return {sides: _padded(_admitted(bag, least[sides])) for sides, bag in pairs.items()}


def _admitted(bag: Bag, least: int) -> Bag:
    _, codes, counts = np.unique(bag.flat, return_inverse=True, return_counts=True)
    ids = np.where(counts >= least, np.cumsum(counts >= least), 0)
    return Bag(ids[codes], bag.offsets).where(ids[codes] > 0)


def _padded(bag: Bag) -> Ids:
    """(B, longest), filled up with 0."""
    lengths = bag.lengths()
    padded = np.zeros((len(lengths), int(lengths.max())), np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = bag.flat
    return padded


def _one_numbering(parts: Sequence[Ids]) -> Ids:
    starts = np.concatenate([[0], np.cumsum([part.max() for part in parts])])
    shifted = [np.where(part > 0, part + start, 0) for part, start in zip(parts, starts, strict=False)]
    return np.concatenate(shifted, axis=1)
