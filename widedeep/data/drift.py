"""How far a span's columns have moved from an earlier span's, as effect sizes: numbers that don't grow with the number of rows.

The effect size is the Jensen-Shannon distance with logarithms to base 2 (Lin 1991; Endres and Schindelin 2003): 0 for equal
shares, 1 for disjoint ones. A profile keeps what the comparison needs and no row.
"""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from widedeep.artifacts import Value
from widedeep.data.contract import Contract
from widedeep.data.tables import is_list

KEPT_VALUES = 50  # the shares of a column's 50 most frequent values; the rest count together
DECILES = np.linspace(0.1, 0.9, 9)
REST, NULL = "(other values)", "(null)"


class Shares(Value):
    """Shares of a column's values, or of the ranges that `edges` cut a number's line into; they add up to 1."""

    shares: dict[str, float]
    edges: tuple[float, ...] | None = None


class Profile(Value):
    """A span in small: rows, share of positive labels, and the shares of the columns that have a drift limit."""

    span: date
    rows: int
    label_rate: float | None
    columns: dict[str, Shares]


def profile_columns(table: pa.Table, contract: Contract) -> dict[str, Shares]:
    """Shares of the columns that have a drift limit, each with boundaries of its own."""
    return {name: _shares(table[name], None) for name in _watched(table, contract)}


def drifts(table: pa.Table, contract: Contract, baseline: Profile) -> dict[str, float]:
    """Effect size of each watched column that the baseline knows, over the baseline's values and ranges."""
    known = {name: baseline.columns[name] for name in _watched(table, contract) if name in baseline.columns}
    return {name: distance(_shares(table[name], before).shares, before.shares) for name, before in known.items()}


def distance(one: dict[str, float], other: dict[str, float]) -> float:
    """Jensen-Shannon distance in [0, 1] of two distributions over named values."""
    values = sorted(one.keys() | other.keys())
    p, q = (np.array([shares.get(value, 0.0) for value in values]) for shares in (one, other))
    return float(np.sqrt(max(0.0, (_divergence(p, (p + q) / 2) + _divergence(q, (p + q) / 2)) / 2)))


def largest_move(table: pa.Table, name: str, baseline: Profile) -> tuple[str, float, float]:
    """(value, share before, share now) of the value or range whose share moved most since the baseline."""
    before = baseline.columns[name]
    now = _shares(table[name], before).shares
    value = max(sorted(now.keys() | before.shares.keys()), key=lambda v: abs(now.get(v, 0.0) - before.shares.get(v, 0.0)))
    return value, before.shares.get(value, 0.0), now.get(value, 0.0)


def _watched(table: pa.Table, contract: Contract) -> list[str]:
    return [name for name, spec in contract.columns.items() if spec.drift_limit and name in table.column_names and table.num_rows]


def _shares(column: pa.ChunkedArray, like: Shares | None) -> Shares:
    values = pc.list_flatten(column) if is_list(column.type) else column
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return _shares_of_numbers(values, like.edges if like else None)
    return _shares_of_values(values, like)


def _shares_of_numbers(values: pa.ChunkedArray, edges: tuple[float, ...] | None) -> Shares:
    numbers = values.drop_null().cast(pa.float64(), safe=False).to_numpy()
    cuts = (
        np.unique(np.quantile(numbers, DECILES, method="inverted_cdf"))
        if edges is None and len(numbers)
        else np.array(edges or ())
    )
    counts = np.bincount(np.searchsorted(cuts, numbers), minlength=len(cuts) + 1)
    bounds = [f"{cut:g}" for cut in cuts]
    names = [f"{low} to {high}" for low, high in zip(["lowest", *bounds], [*bounds, "highest"], strict=True)]
    return Shares(
        shares=_normalised(dict(zip(names, counts.tolist(), strict=True)), values.null_count), edges=tuple(cuts.tolist())
    )


def _shares_of_values(values: pa.ChunkedArray, like: Shares | None) -> Shares:
    counted = values.drop_null().cast(pa.string()).value_counts()
    counts = dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
    kept = like.shares.keys() if like else set(sorted(counts, key=lambda value: (-counts[value], value))[:KEPT_VALUES])
    named = {value: count for value, count in counts.items() if value in kept}
    return Shares(shares=_normalised(named | {REST: sum(counts.values()) - sum(named.values())}, values.null_count))


def _normalised(counts: dict[str, int], nulls: int) -> dict[str, float]:
    whole = counts | {NULL: nulls}
    total = sum(whole.values()) or 1
    return {value: round(count / total, 6) for value, count in sorted(whole.items()) if count}


def _divergence(p: np.ndarray, middle: np.ndarray) -> float:
    """Kullback-Leibler divergence in bits; 0 log 0 is 0."""
    some = p > 0
    return float(np.sum(p[some] * np.log2(p[some] / middle[some])))
