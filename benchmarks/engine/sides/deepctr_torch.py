"""deepctr-torch 0.3.0: its WDL and its `fit`. L2 is off: it reads every table at every step, and no other side has it."""

from pathlib import Path

import numpy as np
import torch
from deepctr_torch.inputs import DenseFeat, SparseFeat
from deepctr_torch.models import WDL
from numpy.typing import NDArray

from benchmarks.engine.arrays import Data, Rows
from benchmarks.engine.settings import HIDDEN, LEARNING_RATE, SEED, WIDTH


class DeepCtr:
    def __init__(self, data: Data, batch: int) -> None:
        self._data, self._batch = data, batch
        values = [SparseFeat(f"c{i}", size, embedding_dim=WIDTH) for i, size in enumerate(data.sizes)]
        crosses = [SparseFeat(f"x{i}", size, embedding_dim=1) for i, size in enumerate(data.cross_sizes)]
        numbers = [DenseFeat(f"n{i}", 1) for i in range(data.learnt.dense.shape[1])]
        off = {"l2_reg_linear": 0, "l2_reg_embedding": 0}
        self._model = WDL([*values, *crosses], [*values, *numbers], dnn_hidden_units=HIDDEN, seed=SEED, **off)
        adagrad = torch.optim.Adagrad(self._model.parameters(), lr=LEARNING_RATE)
        self._model.compile(adagrad, "binary_crossentropy")

    def learn(self, start: int, stop: int) -> None:
        rows = self._data.learnt.slice(start, stop)
        labels = np.array(rows.labels)
        self._model.fit(_columns(rows), labels, batch_size=self._batch, epochs=1, verbose=0, shuffle=False)

    def scores(self) -> NDArray[np.float64]:
        return self._model.predict(_columns(self._data.held_out), batch_size=4096).ravel()


def _columns(rows: Rows) -> dict[str, NDArray[np.float32]]:
    """The model wants all columns in one table of floats; float32 holds every integer up to 16.7M."""
    named = {"c": rows.ids, "x": rows.crosses, "n": rows.dense}
    return {f"{kind}{i}": part[:, i].astype(np.float32) for kind, part in named.items() for i in range(part.shape[1])}


def make(folder: Path, precision: str, batch: int) -> DeepCtr:
    assert precision == "float32"
    return DeepCtr(Data.load(folder / "peers"), batch)
