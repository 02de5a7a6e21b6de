"""Features that know the answer: how well each of them alone tells the label of rows that it was not fitted on.

`B` rows, at most `SAMPLE` of them, from all over the span.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import rankdata

from widedeep.data import facts
from widedeep.data.contract import Contract
from widedeep.data.tables import is_list

SAMPLE = 50_000
LEAK = 0.95  # AUC of one column alone; whole models of what people click reach .7 to .85
ENOUGH = 50  # rows of each class
SHRUNK = 5.0  # a value's rate counts as if it had so many more rows, with the span's rate


def aucs(table: pa.Table, contract: Contract) -> dict[str, float]:
    """AUC of each feature alone, by name; none where a class has too few rows. An AUC below .5 is turned around."""
    sample = table.take(pa.array(np.linspace(0, table.num_rows - 1, min(SAMPLE, table.num_rows)).astype(np.int64)))
    known = facts.positive(sample, contract)
    sample = sample.filter(pc.is_valid(known))
    positive = known.drop_null().combine_chunks().to_numpy(zero_copy_only=False).astype(bool)
    if min(positive.sum(), (~positive).sum()) < ENOUGH:
        return {}
    features = [n for n in facts.sound_columns(sample, contract) if contract.columns[n].role not in (None, "weight")]
    return {n: _auc(sample[n].combine_chunks(), positive, numeric=contract.columns[n].role == "numeric") for n in features}


def _auc(column: pa.Array, positive: NDArray[np.bool_], *, numeric: bool) -> float:
    if not numeric:
        return _auc_of_values(column, positive)
    missing = column.is_null().to_numpy(zero_copy_only=False)
    numbers = np.nan_to_num(pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False))
    found = _of_scores(numbers[~missing], positive[~missing])
    return max(found, 1 - found, _either_way(missing.astype(float), positive))


def _auc_of_values(column: pa.Array, positive: NDArray[np.bool_]) -> float:
    """A row's score is the rate of its value, or its items' mean rate, among the rows of the other half."""
    odd = np.arange(len(column)) % 2 == 1
    codes, owners = _codes(column)
    found = [_of_scores(_rates(codes, owners, positive, scored)[scored], positive[scored]) for scored in (odd, ~odd)]
    return float(np.mean(found))


def _codes(column: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A number for each value or item, and whose row it is."""
    rows = np.arange(len(column))
    items, owners = (column.flatten(), pc.list_parent_indices(column).to_numpy()) if is_list(column.type) else (column, rows)
    return items.dictionary_encode("encode").indices.to_numpy().astype(np.int64), owners


def _rates(
    codes: NDArray[np.int64], owners: NDArray[np.int64], positive: NDArray[np.bool_], scored: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(B,) mean rate of each row's values, as the rows that are not scored have them."""
    learnt = ~scored[owners]
    size = int(codes.max(initial=-1)) + 1
    seen = np.bincount(codes[learnt], minlength=size)
    rate = (np.bincount(codes[learnt], positive[owners][learnt], size) + SHRUNK * positive.mean()) / (seen + SHRUNK)
    sums = np.bincount(owners, rate[codes], len(positive))
    return np.asarray(sums / np.maximum(1, np.bincount(owners, minlength=len(positive))))


def _either_way(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    found = _of_scores(scores, positive)
    return max(found, 1 - found)


def _of_scores(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Mann and Whitney's statistic; .5 without both classes."""
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return 0.5
    return float((rankdata(scores)[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
