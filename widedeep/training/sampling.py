"""Negative sampling: all positives are learnt, and `training.negative_rate` of the negatives (He et al. 2014, §6.3).

A row of weight 0 is as good as not there: it is no sighting of its values and no number that quantiles are fitted on.

Whether a row is learnt depends on the seed, the part that it belongs to, its place there, its label and weight, and on no other
row: however the part is cut into chunks, the same rows are learnt. A smaller rate learns a subset of what a larger one learns.

`B` rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.artifacts import Part, canonical_json, sha256
from widedeep.data.contract import Contract
from widedeep.data.rows import Rows
from widedeep.features.encoding import labels, weights

BLOCK = 4  # numbers that Philox4x64 makes at once (Salmon et al. 2011)


def sampled(table: pa.Table, contract: Contract, part: Part, seed: int, start: int = 0) -> pa.Table:
    """The rows of a part that are learnt, in their order. `table` (B rows) begins with the part's row number `start`.

    The loss then adds -log(negative_rate) to the logit, so that the model's own logit stays that of all rows.

    Raises:
        ContractError: a label or a weight can't be learnt.
    """
    rate, counts = contract.training.negative_rate, weights(table, contract)
    kept = np.ones(table.num_rows, np.bool_) if counts is None else counts > 0
    if rate < 1:
        kept &= (labels(table, contract) > 0) | (_draws(part, seed, start, table.num_rows) < rate)
    return table if kept.all() else table.filter(pa.array(kept))


def sampled_rows(rows: Rows, contract: Contract, part: Part, seed: int) -> Rows:
    """The same of a part that is read group by group."""
    everything = contract.training.negative_rate == 1 and contract.weight is None
    return rows if everything else SampledRows(rows, contract, part, seed)


@dataclass(frozen=True)
class SampledRows:
    """The rows of a part that are learnt, group by group."""

    rows: Rows
    contract: Contract
    part: Part
    seed: int

    @property
    def num_rows(self) -> int:
        return int(self.starts[-1])

    @property
    def schema(self) -> pa.Schema:
        return self.rows.schema

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        sizes = [self.group(number, [self.contract.label.column]).num_rows for number in range(len(self.rows.starts) - 1)]
        return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    def group(self, number: int, columns: list[str] | None = None) -> pa.Table:
        deciding = [self.contract.label.column, *filter(None, [self.contract.weight])]
        wanted = None if columns is None else list({*columns, *deciding})
        start = int(self.rows.starts[number])
        table = sampled(self.rows.group(number, wanted), self.contract, self.part, self.seed, start)
        return table if columns is None else table.select([name for name in columns if name in table.column_names])


def _draws(part: Part, seed: int, start: int, count: int) -> NDArray[np.float64]:
    """(count,) uniform in [0, 1), of the part's rows from `start` on, by a generator that can begin anywhere in its stream."""
    # Not the version: a delivery of equal rows is the same part.
    key = int(sha256(canonical_json([seed, part.span.isoformat(), part.part, part.digest]))[:32], 16)
    generator = np.random.Generator(np.random.Philox(key=key).advance(start // BLOCK))
    return generator.random(start % BLOCK + count)[start % BLOCK :]
