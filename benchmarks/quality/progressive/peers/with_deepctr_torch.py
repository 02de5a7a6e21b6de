"""deepctr-torch 0.3.0's WDL. Lists are VarLenSparseFeat with mean pooling; crosses are such lists, in the linear part only.

`compile` makes the optimizer once and `fit` goes on from where it stands: weights and optimizer state stay between fits. One
learning rate for all: it knows no optimizer per part.
"""

import contextlib
import io
from typing import Any

import numpy as np
import side
import torch
from deepctr_torch.inputs import DenseFeat, SparseFeat, VarLenSparseFeat
from deepctr_torch.models import WDL


class DeepCtr:
    def __init__(self, settings: dict[str, Any], seed: int, weeks: side.Weeks) -> None:
        self._settings, width = settings, settings["embedding"]
        sizes = zip(weeks.cat_names, weeks.cat_sizes, strict=True)
        univalent = [SparseFeat(str(name), int(size) + 1, width) for name, size in sizes]
        deep = [*univalent, *(_bag(weeks, name, width, "mean") for name in weeks.list_names), _dense(weeks)]
        lists = [*weeks.list_names, *weeks.cross_names]
        linear = [*univalent, *(_bag(weeks, name, 1, "sum") for name in lists), _dense(weeks)]
        self._model = WDL(
            linear,
            deep,
            dnn_hidden_units=settings["hidden"],
            l2_reg_linear=settings["l2_linear"],
            l2_reg_embedding=settings["l2_embedding"],
            init_std=settings["embedding_std"],
            dnn_dropout=settings["dropout"],
            seed=seed,
        )
        make = getattr(torch.optim, settings["optimizer"])
        self._model.compile(make(self._model.parameters(), lr=settings["learning_rate"]), "binary_crossentropy")

    def fit(self, weeks: side.Weeks) -> None:
        batch, passes = self._settings["batch"], self._settings["passes"]
        with contextlib.redirect_stdout(io.StringIO()):
            self._model.fit(_inputs(weeks), weeks.label, batch_size=batch, epochs=passes, verbose=0)

    def predict(self, weeks: side.Weeks) -> np.ndarray:
        scores: np.ndarray = self._model.predict(_inputs(weeks), 1024).squeeze(1)
        return scores


def _bag(weeks: side.Weeks, name: str, width: int, combiner: str) -> VarLenSparseFeat:
    ids = weeks.arrays[name]
    return VarLenSparseFeat(SparseFeat(str(name), int(weeks.arrays[name + "_size"]) + 1, width), ids.shape[1], combiner)


def _dense(weeks: side.Weeks) -> DenseFeat:
    return DenseFeat("dense", weeks.dense.shape[1])


def _inputs(weeks: side.Weeks) -> dict[str, np.ndarray]:
    """Its own loop turns everything into one float32 matrix: ids stay exact below 2**24."""
    univalent = {str(name): weeks.cat[:, i] for i, name in enumerate(weeks.cat_names)}
    lists = {str(name): weeks.arrays[name] for name in (*weeks.list_names, *weeks.cross_names)}
    return univalent | lists | {"dense": weeks.dense}


if __name__ == "__main__":
    side.main(DeepCtr)
