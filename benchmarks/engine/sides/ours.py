"""Our side, through its public functions: a loaded bundle, `retrain_chunks`, `scores`. The wide part learns by FTRL."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.engine.contract import load_encoded, training
from benchmarks.engine.settings import SEED
from widedeep.model.bundle import load_bundle
from widedeep.model.forward import scores
from widedeep.training.loop import Chunk, retrain_chunks


class Ours:
    """`steps_s`: what the batches alone took of the last `learn` by the clock, without what comes before and after them."""

    steps_s: float

    def __init__(
        self, folder: Path, precision: str, batch: int, device: str = "cpu", clock: Callable[[], float] = time.process_time
    ) -> None:
        self._folder, self._clock = folder, clock
        self._training = training(precision, batch, device)
        self._encoded = load_encoded(folder / "learnt")
        self._bundle = load_bundle(folder, optimizer=True)

    def learn(self, start: int, stop: int) -> None:
        ends: list[float] = []
        rows = self._encoded.slice(start, stop)
        chunks = [Chunk(rows, SEED)]
        self._bundle = retrain_chunks(self._bundle, chunks, self._training, lambda _rows, _loss: ends.append(self._clock()))
        self.steps_s = (ends[-1] - ends[0]) * len(ends) / (len(ends) - 1)

    def scores(self) -> NDArray[np.float64]:
        return scores(self._bundle, load_encoded(self._folder / "held_out"))


def make(folder: Path, precision: str, batch: int) -> Ours:
    return Ours(folder / "ours", precision, batch)
