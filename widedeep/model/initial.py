"""Where weights start. An embedding row depends on (seed, feature, value) alone, not on when or beside whom it was admitted.

`U` chosen rows, `D` embedding width.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from widedeep.artifacts import sha256
from widedeep.features.bags import Int64s
from widedeep.features.vocabulary import Vocabulary

Uint64s = NDArray[np.uint64]

EMBEDDING_RANGE = 0.05
OUTPUT_SHARE = 0.1


def initial(name: str, shape: tuple[int, ...], values: Vocabulary, seed: int, *, rows: Int64s | None = None) -> torch.Tensor:
    """Initial values of one tensor, float32; of a table only these `rows` (U,), in their order, unless None.

    Hidden layers by He et al. 2015 (uniform), a small output layer so that training starts near the base rate, zeros elsewhere.
    """
    if name == "embedding":
        return _embedding_rows(values.rows if rows is None else values.rows.take(rows), shape[1], seed)
    if name.endswith(".weight"):
        bound = math.sqrt(6 / shape[1]) * (OUTPUT_SHARE if name.startswith("output.") else 1)
        # A generator per tensor: adding a layer must not change how another one starts.
        generator = torch.Generator().manual_seed(int(sha256(f"{seed}/{name}".encode())[:15], 16))
        return (2 * torch.rand(shape, generator=generator, dtype=torch.float32) - 1) * bound
    return torch.zeros(shape if rows is None else (len(rows), *shape[1:]), dtype=torch.float32)


def _embedding_rows(rows: pa.Table, width: int, seed: int) -> torch.Tensor:
    """(U, D) uniform in ±EMBEDDING_RANGE."""
    identity = _hash(rows, seed)
    stream = np.arange(1, width + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    uniform = (_mix(identity[:, None] + stream[None, :]) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    return torch.from_numpy((2 * uniform - 1) * np.float32(EMBEDDING_RANGE))


def _hash(rows: pa.Table, seed: int) -> Uint64s:
    kind = pc.if_else(rows["oov"], "oov", pc.if_else(pc.is_null(rows["key"]), "missing", "value"))
    text = pc.binary_join_element_wise(pc.fill_null(rows["feature"], ""), kind, pc.fill_null(rows["key"], ""), "\x1f")
    hashed = pd.util.hash_array(text.to_numpy(), categorize=False)
    return _mix(hashed ^ _mix(np.array([seed], np.uint64)))


def _mix(x: Uint64s) -> Uint64s:
    """The finaliser of splitmix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
