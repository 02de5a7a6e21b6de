"""The layers as the scorer has them: at its precision, and the first one cut in two where rows have columns in common.

All candidates of a request have the user's and the moment's columns. What these add to the first layer is the same for each of
them, so it is reckoned once, and becomes that layer's bias:

    W x + b  =  W_own x_own + (W_shared x_shared + b)

`B` rows, `F` categorical, `M` multivalent, `K` numeric features, `D` embedding width, `O` outputs of the first layer.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import torch

from widedeep.features.bags import Int64s
from widedeep.features.columns import Features
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import Bundle, Tensors
from widedeep.model.forward import bag_tensors, deep_inputs, deep_layers
from widedeep.model.linear import linear, packed

WEIGHT, BIAS = "hidden.0.weight", "hidden.0.bias"


@dataclass(frozen=True)
class Inputs:
    """Some of the features, by their places: categorical and multivalent ones, and columns of the (B, 2K) dense inputs."""

    categorical: Int64s
    multivalent: Int64s
    dense: Int64s

    def of(self, encoded: EncodedBatch) -> EncodedBatch:
        """The same rows with these features only; the wide part keeps all."""
        bags = tuple(encoded.bags[m] for m in self.multivalent)
        return replace(encoded, rows=encoded.rows[:, self.categorical], bags=bags, dense=encoded.dense[:, self.dense])

    def columns(self, features: Features, width: int) -> torch.Tensor:
        """Their columns of what the first layer reads, ascending."""
        embedded = np.concatenate([self.categorical, len(features.categorical) + self.multivalent])
        behind = (len(features.categorical) + len(features.multivalent)) * width
        return torch.from_numpy(np.concatenate([_spread(embedded, width), behind + self.dense]))


@dataclass(frozen=True)
class Cut:
    """What of the first layer's inputs all rows share, with the weights for it, and what each row has of its own."""

    shared: Inputs
    weight: torch.Tensor
    own: Inputs


class Layers:
    """A bundle's, for products of about `rows`; `shared` are columns with the same value in all rows that are scored together."""

    def __init__(self, bundle: Bundle, precision: torch.dtype, rows: int, shared: Set[str]) -> None:
        layers = {name: tensor.to(precision) for name, tensor in deep_layers(bundle.weights).items()}
        self.bundle, self._cut = bundle, _cut(bundle, layers, shared)
        if self._cut:
            own = self._cut.own.columns(bundle.vocabularies.features, bundle.weights["embedding"].shape[1])
            layers[WEIGHT] = layers[WEIGHT][:, own]
        self._layers = {name: packed(tensor, rows) if _is_packed(name) else tensor for name, tensor in layers.items()}

    def ready(self, encoded: EncodedBatch) -> tuple[Tensors, EncodedBatch]:
        """Weights and rows that together give the scores of the bundle and these rows, which are one or more."""
        layers, own = self._layers, encoded
        if self._cut:
            layers, own = layers | {BIAS: self._bias(self._cut, encoded)}, self._cut.own.of(encoded)
        return {**self.bundle.weights, **layers}, own

    def _bias(self, cut: Cut, encoded: EncodedBatch) -> torch.Tensor:
        """(O,)"""
        one = cut.shared.of(encoded.slice(0, 1))
        rows, dense = torch.from_numpy(one.rows), torch.from_numpy(one.dense)
        with torch.inference_mode():
            x = deep_inputs(self.bundle.weights["embedding"], rows, bag_tensors(one.bags), dense)
            return linear(x.to(cut.weight.dtype), cut.weight, self._layers[BIAS])[0]


def _cut(bundle: Bundle, layers: Tensors, shared: Set[str]) -> Cut | None:
    """None where there is nothing to cut: no such layer, or all its inputs on one side."""
    features = bundle.vocabularies.features
    kinds = features.categorical, features.multivalent, features.numeric
    inputs, own = (_inputs(kinds, shared, inside) for inside in (True, False))
    width = bundle.weights["embedding"].shape[1] if WEIGHT in layers else 0
    columns = inputs.columns(features, width)
    if not width or not len(columns) or len(columns) == layers[WEIGHT].shape[1]:
        return None
    return Cut(inputs, layers[WEIGHT][:, columns].contiguous(), own)


def _is_packed(name: str) -> bool:
    return name.startswith("hidden.") and name.endswith(".weight")


def _inputs(kinds: Sequence[Sequence[str]], shared: Set[str], inside: bool) -> Inputs:
    places = [np.array([i for i, name in enumerate(names) if (name in shared) == inside], np.int64) for names in kinds]
    return Inputs(places[0], places[1], _spread(places[2], 2))


def _spread(places: Int64s, width: int) -> Int64s:
    """Each place as `width` neighbouring columns."""
    return (places[:, None] * width + np.arange(width)).ravel()
