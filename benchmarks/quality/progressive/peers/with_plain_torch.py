"""Wide & Deep as one writes it in plain torch: dense embedding tables, an optimizer for each part, one loss, all crosses.

Weights and optimizer state stay between fits.
"""

from typing import Any

import numpy as np
import side
import torch
from torch import nn
from torch.nn import functional


class WideDeep(nn.Module):
    def __init__(self, settings: dict[str, Any], weeks: side.Weeks) -> None:
        super().__init__()
        width, hidden = settings["embedding"], settings["hidden"]
        sizes = [*weeks.cat_sizes, *(weeks.arrays[name + "_size"] for name in weeks.list_names)]
        self.tables = nn.ModuleList(nn.EmbeddingBag(int(n) + 1, width, mode="mean", padding_idx=0) for n in sizes)
        self.wide = nn.EmbeddingBag(int(weeks.wide.max()) + 1, 1, mode="sum", padding_idx=0)
        widths = [len(sizes) * width + weeks.dense.shape[1], *hidden]
        layers = [
            layer
            for i, o in zip(widths, hidden, strict=False)
            for layer in (nn.Linear(i, o), nn.ReLU(), nn.Dropout(settings["dropout"]))
        ]
        self.deep = nn.Sequential(*layers, nn.Linear(widths[-1], 1))
        nn.init.zeros_(self.wide.weight)
        for table in self.tables:
            nn.init.normal_(table.weight, std=settings["embedding_std"])

    def forward(self, inputs: list[torch.Tensor], dense: torch.Tensor, wide: torch.Tensor) -> torch.Tensor:
        embedded = [table(ids) for table, ids in zip(self.tables, inputs, strict=True)]
        return (self.deep(torch.cat([*embedded, dense], dim=1)) + self.wide(wide)).squeeze(1)


class PlainTorch:
    def __init__(self, settings: dict[str, Any], seed: int, weeks: side.Weeks) -> None:
        self._settings, self._model = settings, WideDeep(settings, weeks)
        self._order = torch.Generator().manual_seed(seed)
        deep = [p for name, p in self._model.named_parameters() if not name.startswith("wide.")]
        make = getattr(torch.optim, settings["optimizer"])
        self._optimizers = [
            make(deep, lr=settings["learning_rate"], weight_decay=settings["l2"]),
            make(self._model.wide.parameters(), lr=settings["wide_learning_rate"]),
        ]

    def fit(self, weeks: side.Weeks) -> None:
        inputs, dense, wide = _tensors(weeks)
        labels = torch.from_numpy(weeks.label)
        self._model.train()
        for _ in range(self._settings["passes"]):
            for rows in torch.randperm(len(labels), generator=self._order).split(self._settings["batch"]):
                logits = self._model([ids[rows] for ids in inputs], dense[rows], wide[rows])
                loss = functional.binary_cross_entropy_with_logits(logits, labels[rows])
                for optimizer in self._optimizers:
                    optimizer.zero_grad()
                loss.backward()
                for optimizer in self._optimizers:
                    optimizer.step()

    def predict(self, weeks: side.Weeks) -> np.ndarray:
        self._model.eval()
        with torch.inference_mode():
            scores: np.ndarray = torch.sigmoid(self._model(*_tensors(weeks))).double().numpy()
        return scores


def _tensors(weeks: side.Weeks) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    columns = [weeks.cat[:, i : i + 1] for i in range(weeks.cat.shape[1])]
    inputs = [torch.from_numpy(ids) for ids in (*columns, *(weeks.arrays[name] for name in weeks.list_names))]
    return inputs, torch.from_numpy(weeks.dense), torch.from_numpy(weeks.wide)


if __name__ == "__main__":
    side.main(PlainTorch)
