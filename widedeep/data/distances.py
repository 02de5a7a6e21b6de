"""How far a span lies from earlier ones, as effect sizes: numbers that don't grow with the number of rows.

- Values: the Jensen-Shannon distance with logarithms to base 2 (Lin 1991; Endres and Schindelin 2003), 0 for equal shares and 1
  for disjoint ones, of all values, and of nulls and empty lists against all others; and the share of rows with a value that no
  earlier span knew.
- Numbers: the Kolmogorov-Smirnov distance, the largest difference of two cumulative shares.
- Label rate: the difference in log odds. Volume: that of the logarithms.

Each comes with what its square is expected to be by chance alone, and the degrees of freedom of the chi-square that it is like.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from widedeep.data.clusters import Float64s
from widedeep.data.profiles import Profile
from widedeep.data.ranks import Ranks
from widedeep.data.shares import Shares, bucket_counts, sample_at

# The square of the supremum of a Brownian bridge has the mean π²/12, and from a tail of .01 down to 1e-5 it is, within 5 %, like
# that times chi-square with 4 degrees of freedom over 4 (Kolmogorov 1933; there P(D > x) is 2 exp(-2 x²)).
BRIDGE_SQUARED, BRIDGE_FREEDOM = np.pi**2 / 12, 4.0
JENSEN_SHANNON = 1 / (8 * log(2))  # of Σ (difference of shares)² / share, to leading order, in bits


@dataclass(frozen=True)
class Distance:
    """`chance` is the expected square of an effect that is nothing but chance; over its mean, it has `freedom`."""

    effect: float
    chance: float
    freedom: float = 1.0


def between_shares(one: Shares, others: Sequence[Shares]) -> Distance:
    now, before = counts(one, others)
    spread = one.spread / one.total + _pooled(others)
    freedom = min(one.freedom, float(np.mean([other.freedom for other in others])))
    return Distance(sqrt(jensen_shannon(now, before)), JENSEN_SHANNON * spread, freedom)


def between_gaps(one: Shares, others: Sequence[Shares]) -> Distance:
    """Nulls and empty lists against all else: beside many items they are few, and the items may move more."""
    cells = int(np.count_nonzero(counts(one, others)[0]))
    spread = (one.spread / one.total + _pooled(others)) / max(1, cells - 1)
    return Distance(sqrt(jensen_shannon(_gaps([one]), _gaps(others))), JENSEN_SHANNON * spread)


def _gaps(columns: Sequence[Shares]) -> Float64s:
    gaps = sum(column.nulls + column.empty for column in columns)
    return np.array([gaps, sum(column.total for column in columns) - gaps], np.float64)


def between_ranks(one: Ranks, others: Sequence[Ranks]) -> Distance:
    spread = one.spread / one.total + _pooled(others)
    _, now, before = cumulated(one, others)
    return Distance(float(np.abs(now - before).max()), BRIDGE_SQUARED * spread, BRIDGE_FREEDOM)


def unknown(one: Shares, others: Sequence[Shares]) -> Distance:
    """A value is known or not with all its rows, so values count as clusters."""
    level, known = known_values(one, others)
    values = sample_at(one, level)
    rows = np.array([*values.values()], np.float64)
    missed = sum(count for value, count in values.items() if value not in known) / max(1.0, rows.sum())
    return Distance(float(missed), missed * (1 - missed) * float((rows**2).sum()) / max(1.0, rows.sum()) ** 2)


def known_values(one: Shares, others: Sequence[Shares]) -> tuple[int, set[str]]:
    """The level at which all sides have a sample of their values, and the others' values in it."""
    level = max(column.level for column in (one, *others))
    return level, {value for other in others for value in sample_at(other, level)}


def between_label_rates(one: Profile, others: Sequence[Profile]) -> Distance:
    now, before = label_rate([one]), label_rate(others)
    spread = sum(o.labelled * o.label_spread for o in others) / sum(o.labelled for o in others)
    chance = _log_odds_variance([one]) * one.label_spread + _log_odds_variance(others) * spread
    return Distance(abs(log(now / (1 - now)) - log(before / (1 - before))), chance)


def label_rate(spans: Sequence[Profile]) -> float:
    """Of all spans together. Half a row of either class keeps its log odds finite (Haldane 1956)."""
    return (sum(s.positive for s in spans) + 0.5) / (sum(s.labelled for s in spans) + 1)


def _log_odds_variance(spans: Sequence[Profile]) -> float:
    """For independent rows."""
    rate = label_rate(spans)
    return 1 / (rate * (1 - rate) * (sum(s.labelled for s in spans) + 1))


def between_volumes(one: Profile, others: Sequence[Profile]) -> Distance:
    chance = one.user_rows / one.rows + sum(o.user_rows / o.rows for o in others) / len(others) ** 2
    return Distance(abs(log(one.rows / usual_rows(others))), chance)


def usual_rows(others: Sequence[Profile]) -> float:
    """The geometric mean: half and double are equally far from it."""
    return float(np.exp(np.mean([log(o.rows) for o in others])))


def _pooled(others: Sequence[Shares] | Sequence[Ranks]) -> float:
    return sum(other.total * other.spread for other in others) / sum(other.total for other in others) ** 2


def counts(one: Shares, others: Sequence[Shares]) -> tuple[Float64s, Float64s]:
    """How often each value occurs, in one and in all others together: by name if all values of all of them have one."""
    if all(column.buckets is None for column in (one, *others)):
        names = sorted({name for column in (one, *others) for name in column.values})
        tables = [np.array([column.values.get(name, 0) for name in names]) for column in (one, *others)]
    else:
        tables = [bucket_counts(column) for column in (one, *others)]
    rows = [np.append(table, (c.nulls, c.empty)) for table, c in zip(tables, (one, *others), strict=True)]
    return rows[0].astype(np.float64), np.sum(rows[1:], axis=0, dtype=np.float64)


def jensen_shannon(one: Float64s, other: Float64s) -> float:
    """The divergence in bits, which the distance is the root of, between two arrays of counts."""
    shares = [one / one.sum(), other / other.sum()]
    middle = (shares[0] + shares[1]) / 2
    terms = [np.sum(share[share > 0] * np.log2(share[share > 0] / middle[share > 0])) for share in shares]
    return max(0.0, float(np.sum(terms)) / 2)


def cumulated(one: Ranks, others: Sequence[Ranks]) -> tuple[Float64s, Float64s, Float64s]:
    """(P,) places, and cumulative shares (1 + 2 P,) in one and in all others together: of nulls, below each place, up to each."""
    places = np.unique(np.concatenate([column.points for column in (one, *others)]))
    before = np.sum([_cumulated(other, places) for other in others], axis=0) / sum(other.total for other in others)
    return places, _cumulated(one, places) / one.total, before


def _cumulated(column: Ranks, places: Float64s) -> Float64s:
    """How many are null, and, together with these, less than each place, and up to it; between two points in proportion."""
    points, below, up_to = (np.array(x, np.float64) for x in (column.points, column.below, column.up_to))
    if not len(points):
        return np.full(2 * len(places) + 1, float(column.nulls))
    after = np.searchsorted(points, places, "left")
    following, previous = after.clip(max=len(points) - 1), (after - 1).clip(0)
    met = points[following] == places
    step = np.where(following > previous, points[following] - points[previous], 1.0)
    between = up_to[previous] + (below[following] - up_to[previous]) * (places - points[previous]) / step
    between = np.where(after == 0, 0.0, np.where(after == len(points), up_to[-1], between))
    both = np.where(met, below[following], between), np.where(met, up_to[following], between)
    return column.nulls + np.concatenate([[0.0], *both])
