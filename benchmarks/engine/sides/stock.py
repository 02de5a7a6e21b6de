"""Wide & Deep as one writes it with torch alone: one embedding table for all columns, one AdaGrad, gradients by autograd.

`stock` gets its batches from a DataLoader and its embedding gradients dense; `stock-sparse` slices its tensors and has
sparse ones. bfloat16 is autocast's.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.engine.arrays import Data, Rows
from benchmarks.engine.settings import HIDDEN, LEARNING_RATE, SEED, WIDTH

Batch = tuple[torch.Tensor, ...]


def layers(inputs: int) -> nn.Sequential:
    """The deep part behind its embeddings."""
    widths = [inputs, *HIDDEN]
    hidden = [part for a, b in zip(widths, HIDDEN, strict=False) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(widths[-1], 1))


class WideDeep(nn.Module):
    def __init__(self, data: Data, *, sparse: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sum(data.sizes), WIDTH, sparse=sparse)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)  # as ours; torch's own is 20 times wider and learns badly
        self.wide = nn.Embedding(sum(data.sizes) + sum(data.cross_sizes), 1, sparse=sparse)
        nn.init.zeros_(self.wide.weight)
        self.deep = layers(WIDTH * len(data.sizes) + data.learnt.dense.shape[1])

    def forward(self, ids: torch.Tensor, linear: torch.Tensor, dense: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.embedding(ids).flatten(1), dense], 1)
        return (self.deep(x) + self.wide(linear).sum(1)).squeeze(1)


class Stock:
    def __init__(self, data: Data, precision: str, batch: int, *, sparse: bool) -> None:
        torch.manual_seed(SEED)
        self._data, self._batch, self._sparse, self._bfloat16 = data, batch, sparse, precision == "bfloat16"
        self._model = WideDeep(data, sparse=sparse)
        self._optimizer = torch.optim.Adagrad(self._model.parameters(), lr=LEARNING_RATE)

    def learn(self, start: int, stop: int) -> None:
        for *inputs, labels in self._batches(tensors(self._data.learnt.slice(start, stop), self._data)):
            self._optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
                logits = self._model(*inputs)
            functional.binary_cross_entropy_with_logits(logits.float(), labels).backward()
            self._optimizer.step()

    def scores(self) -> NDArray[np.float64]:
        with torch.inference_mode():
            logits = [self._model(*inputs) for *inputs, _ in slices(tensors(self._data.held_out, self._data), 4096)]
        return torch.cat(logits).double().sigmoid().numpy()

    def _batches(self, rows: Batch) -> Iterable[Batch]:
        return slices(rows, self._batch) if self._sparse else DataLoader(TensorDataset(*rows), batch_size=self._batch)


def tensors(rows: Rows, data: Data) -> Batch:
    """(N, F) ids, (N, F + X) rows of the wide table, (N, K) numbers, (N,) labels."""
    linear = rows.linear(data.sizes, data.cross_sizes)
    arrays = (rows.fused(data.sizes), linear, np.array(rows.dense), np.array(rows.labels))
    return tuple(torch.from_numpy(values) for values in arrays)


def slices(rows: Batch, batch: int) -> Iterator[Batch]:
    """One batch after the other, as views."""
    return zip(*(tensor.split(batch) for tensor in rows), strict=True)


def make(folder: Path, precision: str, batch: int) -> Stock:
    return Stock(Data.load(folder / "peers"), precision, batch, sparse=False)
