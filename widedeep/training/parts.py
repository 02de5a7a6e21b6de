"""The parts of the model while they learn. They share one residual, the derivative of the joint log loss: this is joint training
(Cheng et al. 2016, §3.3). A part owns its copies of the tensors and writes only the rows of the batch, and its layers.

`B` rows of a batch, `U` distinct table rows of a batch, `D` embedding width, `V` values, `C` crosses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from widedeep.data.contract import AdaGrad, Ftrl
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import Tensors
from widedeep.model.forward import deep_layers, deep_logits, wide_logits
from widedeep.training.optimizers import FtrlTable, adagrad_row_step, adagrad_step

WIDE = ("wide.values", "wide.crosses")


class LearningPart(Protocol):
    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        """(B,) float32: this part's share of the logit."""
        ...

    def learn(self, residual: torch.Tensor) -> None:
        """Learn the batch that `logits` saw last; `residual` (B,) is probability minus label."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights and the optimizer's state by their names in a bundle."""
        ...


class Bias:
    """The joint bias, learnt by FTRL without L1."""

    def __init__(self, tensors: Tensors, ftrl: Ftrl) -> None:
        self._table, self._ftrl = _joined(tensors, ("bias",)), ftrl

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        return self._table.weights.expand(len(batch))

    def learn(self, residual: torch.Tensor) -> None:
        self._table.step(torch.zeros(1, dtype=torch.int64), residual.sum().reshape(1), self._ftrl, l1=0.0)

    def tensors(self) -> dict[str, torch.Tensor]:
        return _split(self._table, ("bias",), [1])


class Wide:
    """The sparse linear part, learnt by FTRL-Proximal with L1 on gradients summed over the batch."""

    def __init__(self, tensors: Tensors, ftrl: Ftrl) -> None:
        self._sizes = [len(tensors[name]) for name in WIDE]
        self._table, self._ftrl = _joined(tensors, WIDE), ftrl

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        self._entries = batch.wide
        return wide_logits(self._table.weights, batch.wide)

    def learn(self, residual: torch.Tensor) -> None:
        rows, codes = _distinct(self._entries.flat)
        per_entry = residual[torch.from_numpy(self._entries.row_of())]
        gradient = torch.zeros(len(rows)).index_add_(0, codes, per_entry)
        self._table.step(rows, gradient, self._ftrl, l1=self._ftrl.l1)

    def tensors(self) -> dict[str, torch.Tensor]:
        return _split(self._table, WIDE, self._sizes)


class Deep:
    """Embeddings and hidden layers, learnt by AdaGrad on gradients averaged over the batch."""

    def __init__(self, tensors: Tensors, adagrad: AdaGrad) -> None:
        names = ["embedding", *deep_layers(tensors)]
        self._own = {name + state: tensors[name + state].clone() for name in names for state in ("", ".accumulator")}
        self._layers = {name: self._own[name].requires_grad_() for name in names[1:]}
        self._adagrad = adagrad

    def logits(self, batch: EncodedBatch) -> torch.Tensor:
        entries = [batch.rows.ravel(), *(bag.flat for bag in batch.bags)]
        self._rows, codes = _distinct(np.concatenate(entries))
        self._touched = self._own["embedding"][self._rows].requires_grad_()
        univalent, *flats = codes.split_with_sizes([len(e) for e in entries])
        bags = [(flat, torch.from_numpy(bag.offsets)) for flat, bag in zip(flats, batch.bags, strict=True)]
        dense = torch.from_numpy(batch.dense)
        self._logits = deep_logits(self._touched, univalent.reshape(batch.rows.shape), bags, dense, self._layers)
        return self._logits.detach()

    def learn(self, residual: torch.Tensor) -> None:
        learnt = [self._touched, *self._layers.values()]
        touched, *layers = torch.autograd.grad(self._logits, learnt, residual / len(residual))
        with torch.no_grad():
            adagrad_row_step(self._own["embedding"], self._own["embedding.accumulator"], self._rows, touched, self._adagrad)
            for (name, layer), gradient in zip(self._layers.items(), layers, strict=True):
                accumulator = self._own[f"{name}.accumulator"]
                adagrad_step(layer, accumulator, gradient, self._adagrad, learning_rate=self._adagrad.learning_rate)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {name: tensor.detach() for name, tensor in self._own.items()}


def _joined(tensors: Tensors, names: Sequence[str]) -> FtrlTable:
    """Own copies of the named tables, one after the other: a batch's entries are then one gather and one update."""
    return FtrlTable(*(torch.cat([tensors[name + state] for name in names]) for state in ("", ".z", ".n")))


def _split(table: FtrlTable, names: Sequence[str], sizes: list[int]) -> dict[str, torch.Tensor]:
    """The inverse of `_joined`."""
    states = (("", table.weights), (".z", table.z), (".n", table.n))
    split = {state: tensor.split_with_sizes(sizes) for state, tensor in states}
    return {name + state: parts[i].clone() for state, parts in split.items() for i, name in enumerate(names)}


def _distinct(entries: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
    """The distinct table rows (U,), and each entry's place among them."""
    rows, codes = np.unique(entries, return_inverse=True)
    return torch.from_numpy(rows), torch.from_numpy(codes)
