"""How good lists are: of the rows that users were shown, and of what a model would recommend to them from the catalogue.

Each user counts once, whatever their rows weigh: a list is read by a person. Where a figure is not defined for a user (NaN) the
user is left out of its mean; where it is defined for nobody it is None, never 0. Rows with equal scores share what their places
are worth, so no order among them is good luck.

Offline, a wide model beat a deep one, .726 to .722 AUC, and lost to it by 2.9 % of acquisitions online (Cheng et al. 2016,
table 1): these figures stand beside the AUC.

B rows; U users; K items of the catalogue; L items of a list; V values of items' properties; T items that were taken.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import gammaln

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def ndcg(users: Numbers, labels: Floats, scores: Floats, k: int) -> Floats:
    """(U,) NDCG@k of each user's rows in order of score (Järvelin & Kekäläinen 2002): 1 if all positives stand before all others.

    A positive at place i (from 1) gains 1 / log2(i + 1), none beyond k; rows with equal scores gain the mean of their places
    (McSherry & Najork 2008). NaN for a user without a positive or without a negative: every order is as good then.
    `users` (B,) numbers them from 0; `labels` (B,) in {0, 1}; `scores` (B,).
    """
    ranked = _Ranked(users, labels, scores)
    worth = 1 / np.log2(np.arange(ranked.most_rows) + 2)
    worth[k:] = 0
    mean_worth = np.bincount(ranked.tie, worth[ranked.place]) / np.bincount(ranked.tie)
    gained = np.bincount(ranked.users, ranked.labels * mean_worth[ranked.tie])
    ideal = np.append(0, np.cumsum(worth))[ranked.positives]
    found: Floats = np.divide(gained, ideal, out=np.full(len(ideal), np.nan), where=ranked.defined)
    return found


def hit_rate(users: Numbers, labels: Floats, scores: Floats, k: int) -> Floats:
    """(U,) how likely the k rows with a user's highest scores hold a positive one, rows with equal scores in random order.

    Without ties it is 0 or 1, and its mean the share of users with a hit. NaN as in `ndcg`.
    """
    ranked = _Ranked(users, labels, scores)
    size, positives = np.bincount(ranked.tie).astype(np.float64), np.bincount(ranked.tie, ranked.labels)
    first = np.flatnonzero(np.diff(ranked.tie, prepend=-1))
    drawn: Floats = np.clip(k - ranked.place[first], 0, size).astype(np.float64)
    missed = _log_choose(size - positives, drawn) - _log_choose(size, drawn)
    hits = 1 - np.exp(np.bincount(ranked.users[first], missed))
    return np.where(ranked.defined, hits, np.nan)


def list_hits(lists: Numbers, taken: tuple[Numbers, Numbers]) -> Floats:
    """(U,) 1 if a user's list holds an item that the user took in the held-out rows, else 0; NaN for who took none.

    lists: (U, L) numbers of items. taken: (T,) users and (T,) items of the positive rows. Where the candidates are a sample of
    the catalogue, it tells only models of unlike quality apart (Krichene & Rendle 2020), and only items in it count as taken.
    """
    stride = int(max(lists.max(initial=0), taken[1].max(initial=0))) + 1
    offered = np.arange(len(lists))[:, None] * stride + lists
    hits = np.isin(offered, taken[0] * stride + taken[1]).any(axis=1).astype(np.float64)
    return np.where(np.bincount(taken[0], minlength=len(lists)) > 0, hits, np.nan)


def coverage(lists: Numbers, items: int) -> float | None:
    """Share of the K candidate items that are in anybody's list (Ge et al. 2010, §3.1); at most UL / K. None without lists."""
    return len(np.unique(lists)) / items if lists.size else None


def popularity_bias(lists: Numbers, taken: Numbers, items: int) -> float | None:
    """How popular the recommended items are, on average, over how popular those are that users took by themselves.

    The popularity of an item is its share of the T taken ones. 1: as popular as what is taken; above: what all take is pushed
    further (the group average popularity of Abdollahpouri et al. 2019, §3, with all users as the group and as a ratio).
    None without lists or if nothing was taken.
    """
    if not (lists.size and len(taken)):
        return None
    popularity = np.bincount(taken, minlength=items) / len(taken)
    return float(popularity[lists].mean() / np.square(popularity).sum())


def matches(lists: Numbers, history: sparse.csr_array, properties: sparse.csr_array) -> Floats:
    """(U, L) 1 where an item shares a property's value with one of the user's history, else 0; NaN for who has no history.

    history: (U, K) which items of the catalogue the user had before. properties: (K, V) which values each item has. The paper's
    over-generalisation (Cheng et al. 2016, §1): embeddings also recommend what has nothing to do with a user of few, special
    interests. 1 − the mean is the share of recommended items that match nothing.
    """
    interests = (history @ properties).sign()
    owner = np.repeat(np.arange(len(lists)), lists.shape[1])
    shared = (interests[owner] * properties[lists.ravel()]).sum(axis=1).reshape(lists.shape)
    return np.where((np.diff(history.indptr) > 0)[:, None], (shared > 0).astype(np.float64), np.nan)


def mean(values: Floats) -> float | None:
    """The mean of what is defined; None if nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None


class _Ranked:
    """Rows by user, then by falling score. `tie` numbers groups of equal scores, `place` counts a user's rows from 0."""

    def __init__(self, users: Numbers, labels: Floats, scores: Floats) -> None:
        order = np.lexsort((-scores, users))
        self.users, self.labels = users[order], labels[order]
        rows = np.bincount(users)
        self.place = np.arange(len(users)) - np.repeat(np.cumsum(rows) - rows, rows)
        self.tie = np.cumsum((np.diff(scores[order], prepend=np.nan) != 0) | (self.place == 0)) - 1
        self.positives = np.bincount(users, labels).astype(np.int64)
        self.defined = (self.positives > 0) & (self.positives < rows)
        self.most_rows = int(rows.max(initial=1))


def _log_choose(n: Floats, k: Floats) -> Floats:
    """Natural log of how many ways there are to draw k of n; -inf where k > n."""
    left = np.maximum(n - k, 0)
    ways: Floats = np.where(k > n, -np.inf, gammaln(n + 1) - gammaln(k + 1) - gammaln(left + 1))
    return ways
