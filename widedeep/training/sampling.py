"""Negative sampling: all positives are learnt, and `training.negative_rate` of the negatives (He et al. 2014, §6.3).

Whether a row is learnt depends on the seed, the part that it belongs to, its place there and its label, and on no other row:
however the part is cut into chunks, the same rows are learnt. A smaller rate learns a subset of what a larger one learns.

`B` rows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.artifacts import Part, canonical_json, sha256
from widedeep.data.contract import Contract
from widedeep.features.encoding import labels

BLOCK = 4  # numbers that Philox4x64 makes at once (Salmon et al. 2011)


def sampled(table: pa.Table, contract: Contract, part: Part, seed: int, start: int = 0) -> pa.Table:
    """The rows of a part that are learnt, in their order. `table` (B rows) begins with the part's row number `start`.

    The loss then adds -log(negative_rate) to the logit, so that the model's own logit stays that of all rows.

    Raises:
        ContractError: a label is missing.
    """
    rate = contract.training.negative_rate
    if rate == 1:
        return table
    kept = (labels(table, contract) > 0) | (_draws(part, seed, start, table.num_rows) < rate)
    return table.filter(pa.array(kept))


def _draws(part: Part, seed: int, start: int, count: int) -> NDArray[np.float64]:
    """(count,) uniform in [0, 1), of the part's rows from `start` on, by a generator that can begin anywhere in its stream."""
    # Not the version: a delivery of equal rows is the same part.
    key = int(sha256(canonical_json([seed, part.span.isoformat(), part.part, part.digest]))[:32], 16)
    generator = np.random.Generator(np.random.Philox(key=key).advance(start // BLOCK))
    return generator.random(start % BLOCK + count)[start % BLOCK :]
