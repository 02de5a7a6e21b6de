"""pytorch-widedeep 1.7.0: its Wide over the ids of all features, lists and crosses; its TabMlp with mean-pooled lists.

TabMlp has no multivalent columns, so a subclass pools them, which the library's documentation invites to. The trainer makes
the optimizers once, one per part, and `fit` goes on from where it stands: weights and optimizer state stay between fits. Its
linear part starts with noise in ±1; whether to start it at zero with the library's initializer is one of the settings.
"""

from typing import Any

import numpy as np
import side
import torch
from pytorch_widedeep import Trainer
from pytorch_widedeep.initializers import ConstantInitializer
from pytorch_widedeep.models import TabMlp, Wide, WideDeep
from pytorch_widedeep.models.tabular.mlp._layers import MLP
from torch import nn


class PooledTabMlp(TabMlp):
    """The last columns of X are the lists, padded with 0."""

    def __init__(self, weeks: side.Weeks, settings: dict[str, Any]) -> None:
        names, width = [str(name) for name in weeks.cat_names], settings["embedding"]
        dense = [f"dense_{i}" for i in range(weeks.dense.shape[1])]
        super().__init__(
            column_idx={name: i for i, name in enumerate([*names, *dense])},
            cat_embed_input=[(name, int(size), width) for name, size in zip(names, weeks.cat_sizes, strict=True)],
            continuous_cols=dense,
            mlp_hidden_dims=settings["hidden"],
            mlp_dropout=settings["dropout"],
        )
        self.bags = nn.ModuleList(
            nn.EmbeddingBag(int(weeks.arrays[name + "_size"]) + 1, width, mode="mean", padding_idx=0) for name in weeks.list_names
        )
        self._widths = [len(names) + len(dense), *(weeks.arrays[name].shape[1] for name in weeks.list_names)]
        for table in [*self.cat_embed.embed_layers.values(), *self.bags]:
            nn.init.normal_(table.weight, std=settings["embedding_std"])
        inputs = self.cat_out_dim + self.cont_out_dim + len(self.bags) * width
        self.encoder = MLP([inputs, *settings["hidden"]], "relu", settings["dropout"], False, False, True)

    def _get_embeddings(self, X: torch.Tensor) -> torch.Tensor:
        one, *lists = X.split(self._widths, dim=1)
        pooled = [bag(ids.long()) for bag, ids in zip(self.bags, lists, strict=True)]
        return torch.cat([super()._get_embeddings(one), *pooled], dim=1)


class PytorchWideDeep:
    def __init__(self, settings: dict[str, Any], seed: int, weeks: side.Weeks) -> None:
        self._settings = settings
        wide, deep = Wide(int(weeks.wide.max())), PooledTabMlp(weeks, settings)
        model = WideDeep(wide=wide, deeptabular=deep)
        make = getattr(torch.optim, settings["optimizer"])
        optimizers = {
            "wide": make(model.wide.parameters(), lr=settings["wide_learning_rate"]),
            "deeptabular": make(model.deeptabular.parameters(), lr=settings["learning_rate"], weight_decay=settings["l2"]),
        }
        if settings["wide_from_zero"]:
            ConstantInitializer(0.0, bias=True)(model.wide)
        self._trainer = Trainer(model, objective="binary", optimizers=optimizers, verbose=0, seed=seed, num_workers=0)

    def fit(self, weeks: side.Weeks) -> None:
        batch, passes = self._settings["batch"], self._settings["passes"]
        inputs = {"X_wide": weeks.wide, "X_tab": _tabular(weeks)}
        self._trainer.fit(**inputs, target=weeks.label, n_epochs=passes, batch_size=batch, shuffle=True)

    def predict(self, weeks: side.Weeks) -> np.ndarray:
        scores: np.ndarray = self._trainer.predict_proba(X_wide=weeks.wide, X_tab=_tabular(weeks))[:, 1]
        return scores.astype(np.float64)


def _tabular(weeks: side.Weeks) -> np.ndarray:
    lists = [weeks.arrays[name] for name in weeks.list_names]
    return np.concatenate([weeks.cat, weeks.dense, *lists], axis=1).astype(np.float32)


if __name__ == "__main__":
    side.main(PytorchWideDeep)
