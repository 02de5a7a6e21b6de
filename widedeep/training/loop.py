"""One pass over the rows: every row is predicted before it is learnt.

The result depends on the bundle, the rows and their order, the settings, the seeds and the numeric profile, on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from widedeep.data.contract import Training
from widedeep.errors import IntegrityError, UsageError
from widedeep.features.bags import Int64s
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import Bundle, Tensors
from widedeep.model.determinism import deterministic
from widedeep.model.forward import require_own
from widedeep.training.device import training_device
from widedeep.training.distributed.machines import ALONE, Machines
from widedeep.training.parts import learn_batch, learning_parts

OnBatch = Callable[[int, float], None]


@dataclass(frozen=True)
class Chunk:
    """Rows that are shuffled together, by `seed`, and then learnt once."""

    encoded: EncodedBatch
    seed: int

    def order(self) -> Int64s:
        """(N,) in which its rows are learnt."""
        return np.random.default_rng(self.seed).permutation(len(self.encoded))


def retrain(bundle: Bundle, encoded: EncodedBatch, training: Training, seed: int, on_batch: OnBatch) -> Bundle:
    """`retrain_chunks` of one chunk, from a copy of the bundle."""
    weights, optimizer = ({n: t.clone() for n, t in own.items()} for own in (bundle.weights, bundle.optimizer or {}))
    copied = replace(bundle, weights=weights, optimizer=None if bundle.optimizer is None else optimizer)
    return retrain_chunks(copied, [Chunk(encoded, seed)], training, on_batch)


def retrain_chunks(
    bundle: Bundle, chunks: Iterable[Chunk], training: Training, on_batch: OnBatch, machines: Machines = ALONE
) -> Bundle:
    """A bundle that has learnt the rows once, chunk after chunk. The given one is used up: its tables are learnt in place.

    `on_batch(rows, log_loss)` hears of each batch: how many rows, and the sum of their log losses before they were learnt.
    An engine of several processes runs them on these `machines`.

    Raises:
        IntegrityError: rows were encoded by other vocabularies than the bundle's, or have no labels.
        UsageError: the bundle was loaded to score, without its optimizer's state; or there is no such device or engine.
        TrainingError: the engine has several processes, and they died more often than they are started again.
    """
    if bundle.optimizer is None:
        raise UsageError(
            "bundle was loaded to score, without its optimizer's state; load it with optimizer=True to train it further"
        )
    checked = (_learnable(bundle, chunk) for chunk in chunks)
    if training.engine == "torchrec":
        from widedeep.training.distributed.coordinator import learn_in_processes  # noqa: PLC0415 (an engine costs those who use it)

        learnt = learn_in_processes(bundle, checked, training, on_batch, machines)
    else:
        learnt = _learn_here({**bundle.weights, **bundle.optimizer}, checked, training, on_batch)
    weights = {name: learnt[name] for name in bundle.weights}
    return replace(bundle, weights=weights, optimizer={name: learnt[name] for name in bundle.optimizer})


def _learn_here(tensors: Tensors, chunks: Iterable[Chunk], training: Training, on_batch: OnBatch) -> Tensors:
    device = training_device(training.device)
    with deterministic(training.threads), torch.no_grad():
        parts = learning_parts(tensors, training, device)
        for chunk in chunks:
            order = chunk.order()
            for start in range(0, len(order), training.batch_size):
                batch = chunk.encoded.take(order[start : start + training.batch_size])
                on_batch(len(batch), learn_batch(parts, batch, len(batch), training, device))
        return {name: tensor for part in parts for name, tensor in part.tensors().items()}


def _learnable(bundle: Bundle, chunk: Chunk) -> Chunk:
    require_own(bundle, chunk.encoded)
    if chunk.encoded.labels is None:
        raise IntegrityError("rows to learn have no labels; wanted the contract's label column in every training row")
    return chunk
