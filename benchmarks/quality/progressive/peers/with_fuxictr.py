"""FuxiCTR 2.3's Wide & Deep, put together from its layers as in its model zoo, which the package leaves out.

Lists are sequences with masked average pooling (summed in the linear part, as its LogisticRegression does). Its two parts
read the same fields, so the crosses are left out: in the deep part they would be embedded too.

Rows are learnt by its own `train_epoch`, not by `fit`, which ends by putting back the best checkpoint on validation rows: a fit
per week would unlearn the week. `compile` makes the optimizer once: weights and optimizer state stay between fits.
"""

from collections import OrderedDict
from typing import Any

import numpy as np
import side
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.layers import FeatureEmbedding, LogisticRegression, MLP_Block
from fuxictr.pytorch.models import BaseModel

NEVER = 10**12


class WideDeep(BaseModel):
    """`model_zoo/WideDeep/src/WideDeep.py` of the repository."""

    def __init__(self, feature_map: FeatureMap, settings: dict[str, Any]) -> None:
        super().__init__(
            feature_map,
            embedding_regularizer=settings["l2_embedding"],
            net_regularizer=settings["l2_net"],
            eval_steps=NEVER,
            verbose=0,
            model_root=".",
            metrics=["AUC"],
        )
        width = settings["embedding"]
        self.embedding_layer = FeatureEmbedding(feature_map, width, f"partial(nn.init.normal_, std={settings['embedding_std']})")
        self.lr_layer = LogisticRegression(feature_map, use_bias=False)
        self.dnn = MLP_Block(
            input_dim=width * feature_map.num_fields,
            output_dim=1,
            hidden_units=settings["hidden"],
            dropout_rates=settings["dropout"],
        )
        self.compile(settings["optimizer"], "binary_crossentropy", settings["learning_rate"])
        self.reset_parameters()
        self.model_to_device()

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        x = self.get_inputs(inputs)
        logit = self.lr_layer(x) + self.dnn(self.embedding_layer(x).flatten(start_dim=1))
        return {"y_pred": self.output_activation(logit)}


class FuxiCtr:
    def __init__(self, settings: dict[str, Any], seed: int, weeks: side.Weeks) -> None:
        self._settings, self._order = settings, torch.Generator().manual_seed(seed)
        self._model = WideDeep(_feature_map(weeks), settings)
        # What `fit` sets before it calls `train_epoch`.
        self._model._max_gradient_norm, self._model._total_steps, self._model._stop_training = 10.0, 0, False

    def fit(self, weeks: side.Weeks) -> None:
        columns, rows = _columns(weeks), len(weeks.week)
        for _ in range(self._settings["passes"]):
            order = torch.randperm(rows, generator=self._order).split(self._settings["batch"])
            self._model.train_epoch({name: column[some] for name, column in columns.items()} for some in order)

    def predict(self, weeks: side.Weeks) -> np.ndarray:
        scores: np.ndarray = self._model.predict([_columns(weeks)])
        return scores


def _feature_map(weeks: side.Weeks) -> FeatureMap:
    sizes = zip(weeks.cat_names, weeks.cat_sizes, strict=True)
    features: dict[str, dict[str, Any]] = {
        str(name): {"source": "", "type": "categorical", "padding_idx": 0, "vocab_size": int(size) + 1} for name, size in sizes
    }
    for name in weeks.list_names:
        features[str(name)] = {
            "source": "",
            "type": "sequence",
            "padding_idx": 0,
            "vocab_size": int(weeks.arrays[name + "_size"]) + 1,
            "max_len": weeks.arrays[name].shape[1],
            "feature_encoder": "layers.MaskedAveragePooling()",
        }
    features |= {f"dense_{i}": {"source": "", "type": "numeric"} for i in range(weeks.dense.shape[1])}
    feature_map = FeatureMap("movielens", ".")
    feature_map.features, feature_map.labels = OrderedDict(features), ["label"]
    feature_map.num_fields = feature_map.get_num_fields()
    feature_map.set_column_index()
    return feature_map


def _columns(weeks: side.Weeks) -> dict[str, torch.Tensor]:
    univalent = {str(name): weeks.cat[:, i] for i, name in enumerate(weeks.cat_names)}
    lists = {str(name): weeks.arrays[name] for name in weeks.list_names}
    dense = {f"dense_{i}": weeks.dense[:, i] for i in range(weeks.dense.shape[1])}
    return {name: torch.from_numpy(a.copy()) for name, a in (univalent | lists | dense | {"label": weeks.label}).items()}


if __name__ == "__main__":
    side.main(FuxiCtr)
