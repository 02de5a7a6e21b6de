"""From scores to what a report shows of them. Both models are measured on the same rows, in the same bins, with the same users.

B rows; C users; U asked users; L items of a list; E edges of bins.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.artifacts import Interval
from widedeep.data.contract import Contract
from widedeep.evaluation import recommending
from widedeep.evaluation.audience import Audience
from widedeep.evaluation.metrics import paired_difference
from widedeep.evaluation.report.values import Bucket, ChangedItem, Recommendations
from widedeep.features.coverage import Known, count_known
from widedeep.features.encoding import encode
from widedeep.features.growth import Vocabularies
from widedeep.features.quantiles import Quantiles

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

K = 10
"""Length of a list: about as many as a screen shows."""

BUCKETS, BINS, CHANGED = 10, 40, 12
TAILS = 0.001
"""Share of the scores at either end that the first and the last bin hold, however far out they are."""


def calibration(labels: Floats, scores: Floats, users: Numbers, weights: Floats, level: float) -> tuple[Bucket, ...]:
    """Rows in `BUCKETS` groups of equal count by score, equal scores together; the interval of a rate counts users."""
    cuts = np.unique(np.quantile(scores, np.linspace(0, 1, BUCKETS + 1)[1:-1]))
    bucket = np.searchsorted(cuts, scores, side="right")
    return tuple(_bucket(labels[b], scores[b], users[b], weights[b], level) for b in (bucket == n for n in np.unique(bucket)))


def _bucket(labels: Floats, scores: Floats, users: Numbers, weights: Floats, level: float) -> Bucket:
    rate = paired_difference(labels, np.zeros_like(labels), users, level, weights)
    within = rate.model_copy(update={"lower": max(0.0, rate.lower), "upper": min(1.0, rate.upper)})
    return Bucket(score=float(np.average(scores, weights=weights)), rate=within, rows=len(labels))


def bin_edges(*scores: Floats) -> tuple[float, ...]:
    """(E,) probabilities between which bins of equal width in log-odds lie, over all but the tails of these scores."""
    odds = _log_odds(np.concatenate(scores))
    low, high = np.quantile(odds, [TAILS, 1 - TAILS])
    edges = np.linspace(low, max(high, low + 0.1), BINS + 1)
    return tuple(np.round(1 / (1 + np.exp(-edges)), 9).tolist())


def histogram(scores: Floats, edges: tuple[float, ...], weights: Floats) -> tuple[float, ...]:
    """(E − 1,) the share of the rows in each bin; what lies outside is in the first or the last."""
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(place, weights, minlength=len(edges) - 1)
    return tuple(np.round(counts / counts.sum(), 6).tolist())


def _log_odds(scores: Floats) -> Floats:
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)
    odds: Floats = np.log(clipped) - np.log1p(-clipped)
    return odds


def recommendations(
    labels: Floats,
    scores: Floats,
    users: Numbers,
    audience: Audience | None,
    lists: Numbers | None,
    unseen_crosses: float | None,
) -> Recommendations:
    """What a model that gave the held-out rows these scores, and the audience these lists, does with lists."""
    ndcg = recommending.ndcg(users, labels, scores, K)
    shown = Recommendations(
        k=K,
        ranked_users=int((~np.isnan(ndcg)).sum()),
        ndcg=recommending.mean(ndcg),
        hit_rate=recommending.mean(recommending.hit_rate(users, labels, scores, 1)),
    )
    if audience is None or lists is None:
        return shown
    matching = None
    if audience.history is not None and audience.properties is not None:
        matching = recommending.mean(recommending.matches(lists, audience.history, audience.properties))
    items = audience.items.num_rows
    of_lists = {
        "asked_users": len(lists),
        "items": items,
        "list_hit_rate": recommending.mean(recommending.list_hits(lists, audience.taken)),
        "coverage": recommending.coverage(lists, items),
        "popularity_bias": recommending.popularity_bias(lists, audience.taken[1], items),
        "unmatched": None if matching is None else 1 - matching,
        "unseen_crosses": unseen_crosses,
    }
    return shown.model_copy(update=of_lists)


def ndcg_difference(labels: Floats, scores: Floats, others: Floats, users: Numbers, level: float) -> Interval | None:
    """Mean over users of their NDCG by `scores` − that by `others`, paired; None where it is defined for nobody."""
    mine, theirs = (recommending.ndcg(users, labels, each, K) for each in (scores, others))
    defined = np.flatnonzero(~np.isnan(mine))
    return paired_difference(mine[defined], theirs[defined], defined, level) if len(defined) else None


def unseen_crosses(
    audience: Audience, lists: Numbers, vocabularies: Vocabularies, quantiles: Quantiles, contract: Contract
) -> float | None:
    """The share of the recommended rows' crosses that have no row in these vocabularies; None if they know of no cross.

    As in training (`widedeep.features.coverage`). Two models are compared by the vocabularies of one: the younger has more rows.
    """
    rows = audience.pairs(np.repeat(np.arange(len(lists)), lists.shape[1]), lists.ravel())
    known = Known.of(vocabularies, vocabularies)
    return (
        count_known(encode(rows, vocabularies, quantiles, contract), vocabularies.features, known).coverage().unseen_cross_share
    )


def changed(audience: Audience, lists: Numbers, others: Numbers, item: str, title: str | None) -> tuple[ChangedItem, ...]:
    """The `CHANGED` items whose number of asked users differs most between two models, the greatest gain first."""
    count = audience.items.num_rows
    mine, theirs = (np.bincount(each.ravel(), minlength=count) for each in (lists, others))
    most = np.argsort(-np.abs(mine - theirs), kind="stable")[:CHANGED]
    most = most[mine[most] != theirs[most]]
    ordered = most[np.argsort(theirs[most] - mine[most], kind="stable")]
    names = _names(audience.items, item, ordered)
    titles = _names(audience.items, title, ordered) if title else [None] * len(ordered)
    return tuple(
        ChangedItem(item=name or "(missing)", title=told, candidate=int(mine[i]), champion=int(theirs[i]))
        for i, name, told in zip(ordered, names, titles, strict=True)
    )


def _names(items: pa.Table, column: str, places: Numbers) -> list[str | None]:
    found: list[str | None] = items[column].take(pa.array(places)).cast(pa.string()).to_pylist()
    return found
