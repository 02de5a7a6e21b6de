"""A user's rows are alike, so a span says less than as many independent rows would: by how much is estimated from whole users.

An estimate takes the rows of some users only, picked by a hash of who they are: the same ones for every column of a span, and the
same in every order of its rows. `S` sampled rows, `U` their users, `K` cells, such as the values of a column.

Sources: Rao and Scott 1981 (design effects of shares), Satterthwaite 1946 (a sum of unequal chi-squares as a single one).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SAMPLE_ROWS, SAMPLE_USERS = 20_000, 1_000  # as many users as have so many rows, but never fewer users than this, if there are

Int64s = NDArray[np.int64]
Float64s = NDArray[np.float64]
Uint64s = NDArray[np.uint64]


@dataclass(frozen=True)
class Clusters:
    """`rows` (S,) are places in the span and `users` (S,) the numbers, below `count`, of whose they are.

    `per_user` (all users of the span,) counts everybody's rows.
    """

    rows: Int64s
    users: Int64s
    count: int
    per_user: Int64s


def hashes(values: pa.Array) -> Uint64s:
    """(V,) of texts: the same in every process and on every machine, as pandas' key for them is fixed."""
    return pd.util.hash_array(values.to_numpy(zero_copy_only=False).astype(object), categorize=False)


def clusters(users: pa.ChunkedArray) -> Clusters:
    """Everybody's rows, and a sample of users; rows of nobody are those of one user."""
    encoded = pc.fill_null(users.cast(pa.string()), "").combine_chunks().dictionary_encode()
    codes, names = encoded.indices.to_numpy().astype(np.int64), encoded.dictionary
    wanted = max(SAMPLE_USERS, SAMPLE_ROWS * len(names) // max(1, len(codes)))
    chosen = np.argsort(hashes(names), kind="stable")[:wanted]
    number = np.full(len(names), -1)
    number[chosen] = np.arange(len(chosen))
    rows = np.flatnonzero(number[codes] >= 0)
    return Clusters(rows, number[codes[rows]], len(chosen), np.bincount(codes, minlength=len(names)))


def spread_of_shares(cells: Int64s, users: Int64s, count: int, number: int) -> tuple[float, float]:
    """(spread, degrees of freedom) of the shares of K = `number` cells, from each row's cell (S,) and user (S,).

    The spread over the number of rows is what Σ (estimated share - share)² / share is expected to be; without clusters it is
    K - 1. Rao and Scott's mean design effect is spread / (K - 1). Of one user alone nothing can be estimated: he counts once.
    """
    totals = np.bincount(users * number + cells, minlength=count * number).reshape(count, number).astype(np.float64)
    shares = totals.sum(0) / max(1.0, totals.sum())
    totals, shares = totals[:, shares > 0], shares[shares > 0]
    if count < 2 or len(shares) < 2:  # noqa: PLR2004
        return (0.0 if len(shares) < 2 else float(totals.sum() * (len(shares) - 1))), 1.0  # noqa: PLR2004
    apart = (totals - totals.sum(1, keepdims=True) * shares) / np.sqrt(shares)
    gram = apart.T @ apart * (count / (count - 1) / totals.sum())
    spread = float(np.trace(gram))
    return spread, (max(1.0, spread**2 / float((gram**2).sum())) if spread else 1.0)


def spread_of_ranks(cells: Int64s, users: Int64s, count: int, number: int) -> float:
    """Design effect of a cumulative distribution over K = `number` ordered cells: 1 for independent rows with a median.

    It is four times the largest variance of a cumulated share, times the rows: a quarter is the most that independent rows have.
    """
    if count < 2:  # noqa: PLR2004
        return float(len(cells))
    totals = np.bincount(users * number + cells, minlength=count * number).reshape(count, number).astype(np.float64)
    rows = totals.sum()
    apart = np.cumsum(totals - totals.sum(1, keepdims=True) * (totals.sum(0) / rows), axis=1)
    return float(4 * (apart**2).sum(0).max() * count / (count - 1) / rows)
