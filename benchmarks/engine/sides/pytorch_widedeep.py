"""pytorch-widedeep 1.7.0: its Wide, its TabMlp and its Trainer. Its linear part starts with noise in ±1; dropout is off."""

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_widedeep import Trainer
from pytorch_widedeep.models import TabMlp, Wide, WideDeep

from benchmarks.engine.arrays import Data, Rows, offsets
from benchmarks.engine.settings import HIDDEN, LEARNING_RATE, SEED, WIDTH


class PytorchWidedeep:
    def __init__(self, data: Data, batch: int) -> None:
        torch.manual_seed(SEED)
        self._data, self._batch = data, batch
        values = [f"c{i}" for i in range(len(data.sizes))]
        numbers = [f"n{i}" for i in range(data.learnt.dense.shape[1])]
        deep = TabMlp(
            column_idx={name: i for i, name in enumerate([*values, *numbers])},
            # It adds a row for what is unknown to each of these sizes.
            cat_embed_input=[(name, size - 1, WIDTH) for name, size in zip(values, data.sizes, strict=True)],
            continuous_cols=numbers,
            mlp_hidden_dims=list(HIDDEN),
            mlp_dropout=0.0,
        )
        model = WideDeep(wide=Wide(sum(data.sizes) + sum(data.cross_sizes)), deeptabular=deep)
        adagrad = torch.optim.Adagrad(model.parameters(), lr=LEARNING_RATE)
        self._trainer = Trainer(model, "binary", optimizers=adagrad, verbose=0, seed=SEED, num_workers=0)

    def learn(self, start: int, stop: int) -> None:
        rows = self._data.learnt.slice(start, stop)
        self._trainer.fit(**self._inputs(rows), target=np.array(rows.labels), n_epochs=1, batch_size=self._batch)

    def scores(self) -> NDArray[np.float64]:
        return self._trainer.predict_proba(**self._inputs(self._data.held_out), batch_size=4096)[:, 1].astype(np.float64)

    def _inputs(self, rows: Rows) -> dict[str, NDArray[np.generic]]:
        """One table of floats for the deep part; rows of its own linear table, 0 for nothing, for the wide part."""
        cross_starts = sum(self._data.sizes) + offsets(self._data.cross_sizes)
        crosses = np.where(rows.crosses, rows.crosses + cross_starts + 1, 0)
        wide = np.concatenate([rows.fused(self._data.sizes) + 1, crosses], axis=1)
        return {"X_wide": wide, "X_tab": np.concatenate([rows.ids, rows.dense], axis=1, dtype=np.float32)}


def make(folder: Path, precision: str, batch: int) -> PytorchWidedeep:
    assert precision == "float32"
    # Its dependencies start threads of their own unless told not to.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return PytorchWidedeep(Data.load(folder / "peers"), batch)
