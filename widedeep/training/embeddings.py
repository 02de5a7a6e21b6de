"""The embedding table while it learns. Only the rows that a batch names are written; every other row stays bit-identical.

Two implementations of one thing: compiled loops for the CPU, torch's operators for any device.
`B` rows of a batch, `F` categorical and `M` multivalent features, `D` embedding width, `I` = (F + M)·D, dense inputs and padding.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch.nn import functional

from widedeep.data.contract import AdaGrad
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import Tensors
from widedeep.training import kernels
from widedeep.training.optimizers import adagrad_row_step, distinct


class Embeddings(Protocol):
    def inputs(self, batch: EncodedBatch) -> torch.Tensor:
        """(B, I): embeddings of the categorical features, means of the bags, dense inputs, zeros up to `padded`."""
        ...

    def learn(self, upstream: torch.Tensor) -> None:
        """AdaGrad on the rows of the batch that `inputs` saw last; upstream (B, I) is the loss's derivative by them."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]: ...


class CompiledEmbeddings:
    """On the CPU, with compiled loops; it learns in the tensors that it is given."""

    def __init__(self, tensors: Tensors, adagrad: AdaGrad, precision: torch.dtype) -> None:
        self._weights, self._accumulator = tensors["embedding"].numpy(), tensors["embedding.accumulator"].numpy()
        self._place = np.full(len(self._weights), -1, np.int32)
        self._adagrad, self._precision = adagrad, precision

    def inputs(self, batch: EncodedBatch) -> torch.Tensor:
        self._batch = batch
        width, univalent = self._weights.shape[1], batch.rows.shape[1]
        embedded = (univalent + len(batch.bags)) * width
        dense = batch.dense.shape[1]
        out = np.empty((len(batch), padded(embedded + dense)), BITS[self._precision])
        kernels.take_rows(self._weights, batch.rows, out)
        for m, bag in enumerate(batch.bags):
            kernels.take_means(self._weights, bag.flat, bag.offsets, out, (univalent + m) * width)
        x = torch.from_numpy(out).view(self._precision)
        x[:, embedded : embedded + dense] = torch.from_numpy(batch.dense)
        x[:, embedded + dense :] = 0
        return x

    def learn(self, upstream: torch.Tensor) -> None:
        batch, width, flowing = self._batch, self._weights.shape[1], bits(upstream)
        entries = batch.rows.size + sum(len(bag.flat) for bag in batch.bags)
        touched, codes = np.empty(entries, np.int32), np.empty(entries, np.int32)
        known, start = 0, 0
        for flat in [batch.rows.reshape(-1), *(bag.flat for bag in batch.bags)]:
            known = kernels.number_rows(flat, self._place, codes[start : start + len(flat)], touched, known)
            start += len(flat)
        gradient = np.zeros((known, width), np.float32)
        kernels.add_rows(gradient, codes[: batch.rows.size].reshape(batch.rows.shape), flowing)
        start = batch.rows.size
        for m, bag in enumerate(batch.bags):
            own = codes[start : start + len(bag.flat)]
            kernels.add_means(gradient, own, bag.offsets, flowing, (batch.rows.shape[1] + m) * width)
            start += len(bag.flat)
        rate, epsilon = np.float32(self._adagrad.embedding_learning_rate), np.float32(self._adagrad.epsilon)
        kernels.adagrad_rows(self._weights, self._accumulator, self._place, touched[:known], gradient, rate, epsilon)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"embedding": torch.from_numpy(self._weights), "embedding.accumulator": torch.from_numpy(self._accumulator)}


class TorchEmbeddings:
    """On any device, with torch's operators."""

    def __init__(self, tensors: Tensors, adagrad: AdaGrad, device: torch.device, precision: torch.dtype) -> None:
        self._weights = tensors["embedding"].to(device, copy=True)
        self._accumulator = tensors["embedding.accumulator"].to(device, copy=True)
        self._adagrad, self._precision = adagrad, precision

    def inputs(self, batch: EncodedBatch) -> torch.Tensor:
        self._rows = self._moved(batch.rows)
        self._bags = [(self._moved(bag.flat), self._moved(bag.offsets)) for bag in batch.bags]
        univalent = functional.embedding(self._rows, self._weights).flatten(1)
        pooled = [_means(self._weights, flat, offsets) for flat, offsets in self._bags]
        dense = self._moved(batch.dense)
        x = torch.cat([univalent, *pooled, dense], dim=1)
        return functional.pad(x, (0, padded(x.shape[1]) - x.shape[1])).to(self._precision)

    def learn(self, upstream: torch.Tensor) -> None:
        width = self._weights.shape[1]
        widths = [self._rows.shape[1] * width] + [width] * len(self._bags)
        univalent, *pooled = upstream[:, : sum(widths)].float().split_with_sizes(widths, dim=1)
        flowing = [univalent.reshape(-1, width)]
        for (_, offsets), mean in zip(self._bags, pooled, strict=True):
            lengths = offsets.diff()
            flowing.append((mean / lengths.clamp(min=1).unsqueeze(1)).repeat_interleave(lengths, dim=0))
        entries = torch.cat([self._rows.reshape(-1), *(flat for flat, _ in self._bags)])
        rows, codes = distinct(entries)
        gradient = torch.zeros((len(rows), width), device=rows.device).index_add_(0, codes, torch.cat(flowing))
        adagrad_row_step(self._weights, self._accumulator, rows, gradient, self._adagrad)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"embedding": self._weights.cpu(), "embedding.accumulator": self._accumulator.cpu()}

    def _moved(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self._weights.device)


def padded(width: int) -> int:
    """The width of a matrix whose rows fill whole cache lines: products with 864 columns are a tenth faster than with 858."""
    return -(-width // 16) * 16


def _means(table: torch.Tensor, flat: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    return functional.embedding_bag(flat, table, offsets.to(flat.dtype), mode="mean", include_last_offset=True)


BITS = {torch.float32: np.float32, torch.bfloat16: np.uint16}


def bits(tensor: torch.Tensor) -> np.ndarray:
    """The tensor's memory, bfloat16 as uint16."""
    bits: np.ndarray = (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return bits
