"""FuxiCTR 2.3: its layers put together as in its published Wide & Deep, its data loader and its `fit`.

It embeds each number, too, so its first layer reads 39 embeddings where the others read 26 and 13 numbers. It clips
gradients. Its validation and checkpoint after an epoch are left out.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders.npz_dataloader import NpzDataLoader
from fuxictr.pytorch.layers import FeatureEmbedding, LogisticRegression, MLP_Block
from fuxictr.pytorch.models import BaseModel
from numpy.typing import NDArray

from benchmarks.engine.arrays import Data, Rows
from benchmarks.engine.settings import HIDDEN, LEARNING_RATE, SEED, WIDTH

NEVER = 10**12


class WideDeep(BaseModel):
    def __init__(self, features: FeatureMap, crosses: list[str], folder: str) -> None:
        super().__init__(features, verbose=0, model_root=folder, metrics=["AUC"], eval_steps=NEVER)
        self.embedding = FeatureEmbedding(features, WIDTH, not_required_feature_columns=crosses)
        self.wide = LogisticRegression(features, use_bias=False)
        fields = features.num_fields - len(crosses)
        self.deep = MLP_Block(fields * WIDTH, hidden_units=list(HIDDEN), output_dim=1)
        self.compile("Adagrad", "binary_crossentropy", LEARNING_RATE)
        self.reset_parameters()

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        x = self.get_inputs(inputs)
        logits = self.deep(self.embedding(x).flatten(start_dim=1)) + self.wide(x)
        return {"y_pred": self.output_activation(logits)}

    def load_weights(self, checkpoint: str) -> None:
        """`fit` ends by going back to the best checkpoint; none was written."""


class FuxiCtr:
    def __init__(self, data: Data, batch: int, folder: str) -> None:
        torch.manual_seed(SEED)
        self._data, self._batch, self._folder = data, batch, folder
        self._features = _feature_map(data, folder)
        self._model = WideDeep(self._features, [f"x{i}" for i in range(len(data.cross_sizes))], folder)

    def learn(self, start: int, stop: int) -> None:
        self._model.fit(self._loader(self._data.learnt.slice(start, stop), self._batch), epochs=1)

    def scores(self) -> NDArray[np.float64]:
        return self._model.predict(self._loader(self._data.held_out, 4096))

    def _loader(self, rows: Rows, batch: int) -> NpzDataLoader:
        path = Path(self._folder) / "rows.npz"
        np.savez(path, **_columns(rows))
        return NpzDataLoader(self._features, str(path), batch_size=batch, num_workers=0)


def _feature_map(data: Data, folder: str) -> FeatureMap:
    features = FeatureMap("benchmark", folder)
    sized = {f"c{i}": size for i, size in enumerate(data.sizes)} | {f"x{i}": size for i, size in enumerate(data.cross_sizes)}
    features.features.update((f"n{i}", {"type": "numeric"}) for i in range(data.learnt.dense.shape[1]))
    features.features.update((name, {"type": "categorical", "vocab_size": size}) for name, size in sized.items())
    features.labels = ["label"]
    features.num_fields = features.get_num_fields()
    features.set_column_index()
    return features


def _columns(rows: Rows) -> dict[str, NDArray[np.float32]]:
    """The loader stacks all columns into one table; float32 holds every integer up to 16.7M."""
    named = {"n": rows.dense, "c": rows.ids, "x": rows.crosses}
    columns = {f"{kind}{i}": part[:, i].astype(np.float32) for kind, part in named.items() for i in range(part.shape[1])}
    return columns | {"label": np.array(rows.labels)}


def make(folder: Path, precision: str, batch: int) -> FuxiCtr:
    assert precision == "float32"
    scratch = TemporaryDirectory(prefix="fuxictr-")
    side = FuxiCtr(Data.load(folder / "peers"), batch, scratch.name)
    side.scratch = scratch
    return side
