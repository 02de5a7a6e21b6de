"""FBGEMM's table-batched embedding on the CPU, with AdaGrad fused into its backward pass, before plain torch layers.

Its rows are of at least four numbers, so the wide part is torch's own sparse embedding. Tables are float32; bfloat16 is
autocast's, in the layers.
"""

from pathlib import Path

import fbgemm_gpu  # noqa: F401  registers the operators
import numpy as np
import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation, PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, SplitTableBatchedEmbeddingBagsCodegen
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from benchmarks.engine.arrays import Data
from benchmarks.engine.settings import LEARNING_RATE, SEED, WIDTH
from benchmarks.engine.sides.stock import layers, slices, tensors


class Fbgemm:
    def __init__(self, data: Data, precision: str, batch: int) -> None:
        torch.manual_seed(SEED)
        self._data, self._batch, self._bfloat16 = data, batch, precision == "bfloat16"
        self._embedding = SplitTableBatchedEmbeddingBagsCodegen(
            [(size, WIDTH, EmbeddingLocation.HOST, ComputeDevice.CPU) for size in data.sizes],
            optimizer=EmbOptimType.EXACT_ADAGRAD,
            learning_rate=LEARNING_RATE,
            pooling_mode=PoolingMode.SUM,
        )
        self._embedding.init_embedding_weights_uniform(-0.05, 0.05)
        self._wide = nn.Embedding(sum(data.sizes) + sum(data.cross_sizes), 1, sparse=True)
        nn.init.zeros_(self._wide.weight)
        self._deep = layers(WIDTH * len(data.sizes) + data.learnt.dense.shape[1])
        self._optimizer = torch.optim.Adagrad([*self._deep.parameters(), *self._wide.parameters()], lr=LEARNING_RATE)

    def learn(self, start: int, stop: int) -> None:
        rows = self._data.learnt.slice(start, stop)
        for *inputs, labels in slices((torch.from_numpy(np.array(rows.ids)), *tensors(rows, self._data)[1:]), self._batch):
            self._optimizer.zero_grad()
            functional.binary_cross_entropy_with_logits(self._logits(*inputs), labels).backward()
            self._optimizer.step()

    def scores(self) -> NDArray[np.float64]:
        rows = self._data.held_out
        batches = slices((torch.from_numpy(np.array(rows.ids)), *tensors(rows, self._data)[1:]), 4096)
        with torch.no_grad():
            logits = [self._logits(*inputs) for *inputs, _ in batches]
        return torch.cat(logits).double().sigmoid().numpy()

    def _logits(self, ids: torch.Tensor, linear: torch.Tensor, dense: torch.Tensor) -> torch.Tensor:
        # Column after column, each with one id a row.
        embedded = self._embedding(ids.t().reshape(-1), torch.arange(ids.numel() + 1))
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            deep = self._deep(torch.cat([embedded, dense], 1))
        return (deep.float() + self._wide(linear).sum(1)).squeeze(1)


def make(folder: Path, precision: str, batch: int) -> Fbgemm:
    return Fbgemm(Data.load(folder / "peers"), precision, batch)
