"""One pass over the rows: every row is predicted before it is learnt.

The result depends on the bundle, the rows and their order, the settings, the seeds and the numeric profile, on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from widedeep.data.contract import Training
from widedeep.errors import IntegrityError, UsageError
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import Bundle
from widedeep.model.determinism import deterministic
from widedeep.model.forward import require_own
from widedeep.training.device import training_device
from widedeep.training.parts import learning_parts

OnBatch = Callable[[int, float], None]


@dataclass(frozen=True)
class Chunk:
    """Rows that are shuffled together, by `seed`, and then learnt once."""

    encoded: EncodedBatch
    seed: int


def retrain(bundle: Bundle, encoded: EncodedBatch, training: Training, seed: int, on_batch: OnBatch) -> Bundle:
    """`retrain_chunks` of one chunk, from a copy of the bundle."""
    weights, optimizer = ({n: t.clone() for n, t in own.items()} for own in (bundle.weights, bundle.optimizer or {}))
    copied = replace(bundle, weights=weights, optimizer=None if bundle.optimizer is None else optimizer)
    return retrain_chunks(copied, [Chunk(encoded, seed)], training, on_batch)


def retrain_chunks(bundle: Bundle, chunks: Iterable[Chunk], training: Training, on_batch: OnBatch) -> Bundle:
    """A bundle that has learnt the rows once, chunk after chunk. The given one is used up: its tables are learnt in place.

    `on_batch(rows, log_loss)` hears of each batch: how many rows, and the sum of their log losses before they were learnt.

    Raises:
        IntegrityError: rows were encoded by other vocabularies than the bundle's, or have no labels.
        UsageError: the bundle was loaded to score, without its optimizer's state; or there is no such device.
    """
    device = training_device(training.device)
    # Trained on a sample of the negatives, the logit of the sample is that of all rows plus this (King & Zeng 2001, §4.1).
    # Added here, and only here, it leaves the model's own logit right for all rows.
    offset = -math.log(training.negative_rate)
    with deterministic(training.threads), torch.no_grad():
        parts = learning_parts(_tensors(bundle), training, device)
        for chunk in chunks:
            require_own(bundle, chunk.encoded)
            order = np.random.default_rng(chunk.seed).permutation(len(chunk.encoded))
            for start in range(0, len(order), training.batch_size):
                batch = chunk.encoded.take(order[start : start + training.batch_size])
                labels, weights = _labels(batch).to(device), _weights(batch).to(device)
                logits = torch.stack([part.logits(batch) for part in parts]).sum(0) + offset
                for part in parts:
                    part.learn((torch.sigmoid(logits) - labels) * weights)
                losses = functional.binary_cross_entropy_with_logits(logits, labels, weights, reduction="sum")
                on_batch(len(batch), float(losses))
        learnt = {name: tensor for part in parts for name, tensor in part.tensors().items()}
    return _with_tensors(bundle, learnt)


def _tensors(bundle: Bundle) -> dict[str, torch.Tensor]:
    if bundle.optimizer is None:
        raise UsageError(
            "bundle was loaded to score, without its optimizer's state; load it with optimizer=True to train it further"
        )
    return {**bundle.weights, **bundle.optimizer}


def _labels(batch: EncodedBatch) -> torch.Tensor:
    if batch.labels is None:
        raise IntegrityError("rows to learn have no labels; wanted the contract's label column in every training row")
    return torch.from_numpy(batch.labels)


def _weights(batch: EncodedBatch) -> torch.Tensor:
    return torch.ones(len(batch)) if batch.weights is None else torch.from_numpy(batch.weights)


def _with_tensors(bundle: Bundle, tensors: dict[str, torch.Tensor]) -> Bundle:
    weights = {name: tensors[name] for name in bundle.weights}
    return replace(bundle, weights=weights, optimizer={name: tensors[name] for name in bundle.optimizer or {}})
