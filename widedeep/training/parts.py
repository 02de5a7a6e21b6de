"""The parts of the model while they learn. They share one residual, the derivative of the joint log loss: this is joint training
(Cheng et al. 2016, §3.3). A part owns its tensors and writes only the rows of the batch, and its layers.

`B` rows of a batch, `V` values, `C` crosses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional

from widedeep.data.contract import Ftrl, Training
from widedeep.features.bags import Bag
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


Entries = Callable[[EncodedBatch], Bag]


def wide_entries(batch: EncodedBatch) -> Bag:
    return batch.wide


def one_each(batch: EncodedBatch) -> Bag:
    """The bias as a table of one row that every example names once."""
    return Bag(np.zeros(len(batch), np.int32), np.arange(len(batch) + 1))


class LearningPart(Protocol):
    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        """(B,) float32: this part's share of the logit."""
        ...

    def learn(self, residual: torch.Tensor, rows: int, /) -> None:
        """Learn the batch that `logits` saw last; `residual` (B,) is the derivative of the summed loss by the logit.

        `rows` has the whole batch, of which B may be this process's share.
        """
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights and the optimizer's state by their names in a bundle."""
        ...


def learning_parts(tensors: Tensors, training: Training, device: torch.device) -> list[LearningPart]:
    """The parts of the model that the tensors are of."""
    compiled = device.type == "cpu"

    def linear(names: Sequence[str], entries: Entries, ftrl: Ftrl) -> LearningPart:
        own = tensors, names, entries, ftrl
        return CompiledLinear(*own) if compiled else TorchLinear(*own, device)

    # The joint bias is learnt by FTRL without L1.
    parts = [linear(("bias",), one_each, training.ftrl.model_copy(update={"l1": 0.0}))]
    if WIDE[0] in tensors:
        parts.append(linear(WIDE, wide_entries, training.ftrl))
    if "embedding" in tensors:
        adagrad, precision = training.adagrad, PRECISIONS[training.precision]
        layers = Layers(tensors, adagrad, device, precision)
        table = (
            CompiledEmbeddings(tensors, adagrad, precision) if compiled else TorchEmbeddings(tensors, adagrad, device, precision)
        )
        parts.append(Deep(table, layers))
    return parts


def learn_batch(parts: Sequence[LearningPart], batch: EncodedBatch, rows: int, training: Training, device: torch.device) -> float:
    """Predict a batch, then learn it; returns the sum of its log losses before. `rows` as in `LearningPart.learn`."""
    # Trained on a sample of the negatives, the logit of the sample is that of all rows plus this (King & Zeng 2001, §4.1).
    # Added here, and only here, it leaves the model's own logit right for all rows.
    offset = -math.log(training.negative_rate)
    labels = torch.from_numpy(batch.labels).to(device)
    weights = torch.ones(len(batch), device=device) if batch.weights is None else torch.from_numpy(batch.weights).to(device)
    logits = torch.stack([part.logits(batch) for part in parts]).sum(0) + offset
    residual = (torch.sigmoid(logits) - labels) * weights
    for part in parts:
        part.learn(residual, rows)
    return float(functional.binary_cross_entropy_with_logits(logits, labels, weights, reduction="sum"))


class CompiledLinear:
    """A sparse linear part, learnt by FTRL-Proximal on gradients summed over the batch; on the CPU, compiled."""

    def __init__(self, tensors: Tensors, names: Sequence[str], entries: Entries, ftrl: Ftrl) -> None:
        self._names, self._entries_of = names, entries
        self._sizes = [len(tensors[name]) for name in names]
        # A row's weight, z and n share a cache line: three tables would cost three misses an entry.
        self._table = np.zeros((sum(self._sizes), 4), np.float32)
        for column, state in enumerate(STATES):
            self._table[:, column] = np.concatenate([tensors[name + state].numpy() for name in names])
        self._place = np.full(len(self._table), -1, np.int32)
        self._settings = tuple(np.float32(value) for value in (ftrl.alpha, ftrl.beta, ftrl.l1, ftrl.l2))

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        self._entries = self._entries_of(batch)
        out = np.empty(len(batch), np.float32)
        kernels.add_up(self._table, self._entries.flat, self._entries.offsets, out)
        return torch.from_numpy(out)

    def learn(self, residual: torch.Tensor, _rows: int, /) -> None:
        flat, offsets = self._entries.flat, self._entries.offsets
        touched, gradient = np.empty(len(flat), np.int32), np.empty(len(flat), np.float32)
        kernels.ftrl_rows(self._table, flat, offsets, residual.numpy(), self._place, touched, gradient, self._settings)

    def tensors(self) -> dict[str, torch.Tensor]:
        return _split([torch.from_numpy(self._table[:, column]) for column in range(3)], self._names, self._sizes)


class TorchLinear:
    """The same on any device, with torch's operators."""

    def __init__(self, tensors: Tensors, names: Sequence[str], entries: Entries, ftrl: Ftrl, device: torch.device) -> None:
        self._names, self._entries_of, self._ftrl, self._device = names, entries, ftrl, device
        self._sizes = [len(tensors[name]) for name in names]
        self._table = FtrlTable(*(torch.cat([tensors[name + state] for name in names]).to(device) for state in STATES))

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        entries = self._entries_of(batch)
        self._flat = torch.from_numpy(entries.flat).to(self._device)
        self._row_of = torch.from_numpy(entries.row_of()).to(self._device)
        return wide_logits(self._table.weights, self._flat, self._row_of, len(batch))

    def learn(self, residual: torch.Tensor, _rows: int, /) -> None:
        touched, codes = distinct(self._flat)
        gradient = torch.zeros(len(touched), device=self._device).index_add_(0, codes, residual[self._row_of])
        self._table.step(touched, gradient, self._ftrl, l1=self._ftrl.l1)

    def tensors(self) -> dict[str, torch.Tensor]:
        return _split([self._table.weights, self._table.z, self._table.n], self._names, self._sizes)


class Deep:
    """Embeddings and fully connected layers, learnt by AdaGrad on gradients averaged over the batch."""

    def __init__(self, embeddings: Embeddings, layers: Layers) -> None:
        self._embeddings, self._layers = embeddings, layers

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        x = self._embeddings.inputs(batch)
        return self._layers.forward(x)

    def learn(self, residual: torch.Tensor, rows: int, /) -> None:
        self._embeddings.learn(self._layers.backward(residual / rows))

    def tensors(self) -> dict[str, torch.Tensor]:
        return self._embeddings.tensors() | self._layers.tensors()


def _split(states: Sequence[torch.Tensor], names: Sequence[str], sizes: list[int]) -> dict[str, torch.Tensor]:
    """Weights, z and n of all rows as the tensors of a bundle, each with memory of its own."""
    split = {state: tensor.cpu().split_with_sizes(sizes) for state, tensor in zip(STATES, states, strict=True)}
    return {
        name + state: parts[i].clone(memory_format=torch.contiguous_format)
        for state, parts in split.items()
        for i, name in enumerate(names)
    }
