"""The parts of the model while they learn. They share one residual, the derivative of the joint log loss: this is joint training
(Cheng et al. 2016, §3.3). A part owns its copies of the tensors and writes only the rows of the batch, and its layers.

`B` rows of a batch, `V` values, `C` crosses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from widedeep.data.contract import Ftrl, Training
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import Tensors
from widedeep.model.forward import wide_logits
from widedeep.training import kernels
from widedeep.training.embeddings import CompiledEmbeddings, Embeddings, TorchEmbeddings
from widedeep.training.layers import Layers
from widedeep.training.optimizers import FtrlTable, distinct

WIDE = ("wide.values", "wide.crosses")
STATES = ("", ".z", ".n")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class LearningPart(Protocol):
    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        """(B,) float32: this part's share of the logit."""
        ...

    def learn(self, residual: torch.Tensor) -> None:
        """Learn the batch that `logits` saw last; `residual` (B,) is the derivative of the summed loss by the logit."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights and the optimizer's state by their names in a bundle."""
        ...


def learning_parts(tensors: Tensors, training: Training, device: torch.device) -> list[LearningPart]:
    """The parts of the model that the tensors are of."""
    parts: list[LearningPart] = [Bias(tensors, training.ftrl, device)]
    compiled = device.type == "cpu"
    if WIDE[0] in tensors:
        parts.append(CompiledWide(tensors, training.ftrl) if compiled else TorchWide(tensors, training.ftrl, device))
    if "embedding" in tensors:
        adagrad, precision = training.adagrad, PRECISIONS[training.precision]
        layers = Layers(tensors, adagrad, device, precision)
        table = (
            CompiledEmbeddings(tensors, adagrad, precision) if compiled else TorchEmbeddings(tensors, adagrad, device, precision)
        )
        parts.append(Deep(table, layers))
    return parts


class Bias:
    """The joint bias, learnt by FTRL without L1."""

    def __init__(self, tensors: Tensors, ftrl: Ftrl, device: torch.device) -> None:
        self._table, self._ftrl = _joined(tensors, ("bias",), device), ftrl
        self._row = torch.zeros(1, dtype=torch.int64, device=device)

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        return self._table.weights.expand(len(batch))

    def learn(self, residual: torch.Tensor) -> None:
        self._table.step(self._row, residual.sum().reshape(1), self._ftrl, l1=0.0)

    def tensors(self) -> dict[str, torch.Tensor]:
        return _split([self._table.weights, self._table.z, self._table.n], ("bias",), [1])


class CompiledWide:
    """The sparse linear part, learnt by FTRL-Proximal with L1 on gradients summed over the batch; on the CPU, compiled."""

    def __init__(self, tensors: Tensors, ftrl: Ftrl) -> None:
        self._sizes = [len(tensors[name]) for name in WIDE]
        # A row's weight, z and n share a cache line: three tables would cost three misses an entry.
        self._table = np.zeros((sum(self._sizes), 4), np.float32)
        for column, state in enumerate(STATES):
            self._table[:, column] = np.concatenate([tensors[name + state].numpy() for name in WIDE])
        self._place = np.full(len(self._table), -1, np.int32)
        self._settings = tuple(np.float32(value) for value in (ftrl.alpha, ftrl.beta, ftrl.l1, ftrl.l2))

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        self._entries = batch.wide
        out = np.empty(len(batch), np.float32)
        kernels.add_up(self._table, batch.wide.flat, batch.wide.offsets, out)
        return torch.from_numpy(out)

    def learn(self, residual: torch.Tensor) -> None:
        entries = self._entries
        touched, gradient = np.empty(len(entries.flat), np.int32), np.empty(len(entries.flat), np.float32)
        kernels.ftrl_rows(
            self._table, entries.flat, entries.offsets, residual.numpy(), self._place, touched, gradient, self._settings
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        return _split([torch.from_numpy(self._table[:, column]) for column in range(3)], WIDE, self._sizes)


class TorchWide:
    """The same on any device, with torch's operators."""

    def __init__(self, tensors: Tensors, ftrl: Ftrl, device: torch.device) -> None:
        self._sizes = [len(tensors[name]) for name in WIDE]
        self._table, self._ftrl, self._device = _joined(tensors, WIDE, device), ftrl, device

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        self._flat = torch.from_numpy(batch.wide.flat).to(self._device)
        self._row_of = torch.from_numpy(batch.wide.row_of()).to(self._device)
        return wide_logits(self._table.weights, self._flat, self._row_of, len(batch))

    def learn(self, residual: torch.Tensor) -> None:
        rows, codes = distinct(self._flat)
        gradient = torch.zeros(len(rows), device=self._device).index_add_(0, codes, residual[self._row_of])
        self._table.step(rows, gradient, self._ftrl, l1=self._ftrl.l1)

    def tensors(self) -> dict[str, torch.Tensor]:
        return _split([self._table.weights, self._table.z, self._table.n], WIDE, self._sizes)


class Deep:
    """Embeddings and fully connected layers, learnt by AdaGrad on gradients averaged over the batch."""

    def __init__(self, embeddings: Embeddings, layers: Layers) -> None:
        self._embeddings, self._layers = embeddings, layers

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        x = self._embeddings.inputs(batch)
        self._embedded = x.shape[1] - batch.dense.shape[1]
        return self._layers.forward(x)

    def learn(self, residual: torch.Tensor) -> None:
        self._embeddings.learn(self._layers.backward(residual / len(residual), self._embedded))

    def tensors(self) -> dict[str, torch.Tensor]:
        return self._embeddings.tensors() | self._layers.tensors()


def _joined(tensors: Tensors, names: Sequence[str], device: torch.device) -> FtrlTable:
    """Own copies of the named tables, one after the other: a batch's entries are then one gather and one update."""
    return FtrlTable(*(torch.cat([tensors[name + state] for name in names]).to(device) for state in STATES))


def _split(states: Sequence[torch.Tensor], names: Sequence[str], sizes: list[int]) -> dict[str, torch.Tensor]:
    """The inverse of `_joined`: own memory for each tensor."""
    split = {state: tensor.cpu().split_with_sizes(sizes) for state, tensor in zip(STATES, states, strict=True)}
    return {
        name + state: parts[i].clone(memory_format=torch.contiguous_format)
        for state, parts in split.items()
        for i, name in enumerate(names)
    }
