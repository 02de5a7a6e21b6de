"""One pass over the rows: every row is predicted before it is learnt, and the parent's tensors are never written to.

The result depends on the bundle, the rows and their order, the settings, the seed and the numeric profile, on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from widedeep.data.contract import Training
from widedeep.errors import IntegrityError, UsageError
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import Bundle
from widedeep.model.determinism import deterministic
from widedeep.model.forward import require_own
from widedeep.training.parts import Bias, Deep, LearningPart, Wide

OnBatch = Callable[[int, float], None]


def retrain(bundle: Bundle, encoded: EncodedBatch, training: Training, seed: int, on_batch: OnBatch) -> Bundle:
    """A new bundle that has learnt the rows once, in an order shuffled by `seed`.

    `on_batch(rows, log_loss)` hears of each batch: how many rows, and the sum of their log losses before they were learnt.

    Raises:
        IntegrityError: the rows were encoded by other vocabularies than the bundle's, or have no labels.
        UsageError: the bundle was loaded to score, without its optimizer's state.
    """
    require_own(bundle, encoded)
    shuffled = encoded.take(np.random.default_rng(seed).permutation(len(encoded)))
    with deterministic(training.threads):
        parts = _parts(bundle, training)
        for start in range(0, len(shuffled), training.batch_size):
            batch = shuffled.slice(start, min(start + training.batch_size, len(shuffled)))
            labels = _labels(batch)
            logits = torch.stack([part.logits(batch) for part in parts]).sum(0)
            for part in parts:
                part.learn(torch.sigmoid(logits) - labels)
            on_batch(len(batch), float(functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")))
    learnt = {name: tensor for part in parts for name, tensor in part.tensors().items()}
    return _with_tensors(bundle, learnt)


def _parts(bundle: Bundle, training: Training) -> list[LearningPart]:
    if bundle.optimizer is None:
        raise UsageError(
            "bundle was loaded to score, without its optimizer's state; load it with optimizer=True to train it further"
        )
    tensors = {**bundle.weights, **bundle.optimizer}
    parts: list[LearningPart] = [Bias(tensors, training.ftrl)]
    if "wide" in bundle.specification.parts:
        parts.append(Wide(tensors, training.ftrl))
    if "deep" in bundle.specification.parts:
        parts.append(Deep(tensors, training.adagrad))
    return parts


def _labels(batch: EncodedBatch) -> torch.Tensor:
    if batch.labels is None:
        raise IntegrityError("rows to learn have no labels; wanted the contract's label column in every training row")
    return torch.from_numpy(batch.labels)


def _with_tensors(bundle: Bundle, tensors: dict[str, torch.Tensor]) -> Bundle:
    weights = {name: tensors[name] for name in bundle.weights}
    return replace(bundle, weights=weights, optimizer={name: tensors[name] for name in bundle.optimizer or {}})
