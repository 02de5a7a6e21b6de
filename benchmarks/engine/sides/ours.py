"""Our side, through its public functions: a loaded bundle, `retrain`, `scores`. The wide part learns by FTRL."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.engine.contract import load_encoded, training
from benchmarks.engine.settings import SEED
from widedeep.model.bundle import load_bundle
from widedeep.model.forward import scores
from widedeep.training.loop import retrain


class Ours:
    def __init__(self, folder: Path, precision: str, batch: int) -> None:
        self._folder = folder
        self._training = training(precision, batch)
        self._encoded = load_encoded(folder / "learnt")
        self._bundle = load_bundle(folder, optimizer=True)

    def learn(self, start: int, stop: int) -> None:
        self._bundle = retrain(self._bundle, self._encoded.slice(start, stop), self._training, SEED, _unheard)

    def scores(self) -> NDArray[np.float64]:
        return scores(self._bundle, load_encoded(self._folder / "held_out"))


def _unheard(rows: int, log_loss: float) -> None:
    """Nobody watches a measurement."""


def make(folder: Path, precision: str, batch: int) -> Ours:
    return Ours(folder / "ours", precision, batch)
