"""The fully connected layers while they learn: forward, a backward pass written by hand, and AdaGrad.

In bfloat16 the products read rounded copies of the weights; the weights themselves and their accumulators stay float32.
`B` rows of a batch, `I` inputs of the first layer, `E` inputs that are embeddings: the first `E` of them.
"""

from __future__ import annotations

import numpy as np
import torch

from widedeep.data.contract import AdaGrad
from widedeep.model.bundle import Tensors
from widedeep.model.forward import deep_layers
from widedeep.model.linear import linear
from widedeep.training import kernels
from widedeep.training.optimizers import adagrad_step

BITS = {torch.float32: torch.float32, torch.bfloat16: torch.uint16}


class Layer:
    """One tensor of weights or biases with its accumulator, and the copy of it that products read."""

    def __init__(self, tensors: Tensors, name: str, device: torch.device, precision: torch.dtype) -> None:
        self.weights = tensors[name].to(device, copy=True)
        self.accumulator = tensors[f"{name}.accumulator"].to(device, copy=True)
        self.read = self.weights.to(precision)

    def learn(self, gradient: torch.Tensor, adagrad: AdaGrad) -> None:
        if self.weights.device.type == "cpu":
            self._learn_compiled(gradient, adagrad)
            return
        adagrad_step(self.weights, self.accumulator, gradient.float(), adagrad, learning_rate=adagrad.learning_rate)
        self.read = self.weights.to(self.read.dtype)

    def _learn_compiled(self, gradient: torch.Tensor, adagrad: AdaGrad) -> None:
        memory = (self.weights, self.accumulator, gradient.contiguous(), self.read)
        weights, accumulator, flowed, read = (t.view(BITS[t.dtype]).view(-1).numpy() for t in memory)
        rate, epsilon = np.float32(adagrad.learning_rate), np.float32(adagrad.epsilon)
        kernels.adagrad_all(weights, accumulator, flowed, read, rate, epsilon)


class Layers:
    """ReLU layers and the output layer. The logit has no bias here."""

    def __init__(self, tensors: Tensors, adagrad: AdaGrad, device: torch.device, precision: torch.dtype) -> None:
        self._named = {name: Layer(tensors, name, device, precision) for name in deep_layers(tensors)}
        depth = sum(name.startswith("hidden.") for name in self._named) // 2
        self._hidden = [(self._named[f"hidden.{i}.weight"], self._named[f"hidden.{i}.bias"]) for i in range(depth)]
        self._output = self._named["output.weight"]
        self._adagrad = adagrad

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,) float32 logits; x (B, I) in the layers' precision."""
        self._inputs = [x]
        for weight, bias in self._hidden:
            self._inputs.append(linear(self._inputs[-1], weight.read, bias.read, relu=True))
        return linear(self._inputs[-1], self._output.read).squeeze(1).float()

    def backward(self, upstream: torch.Tensor, embedded: int) -> torch.Tensor:
        """(B, E) derivative of the loss by the first E inputs, given that by the logit (B,). The layers learn on the way."""
        flowing = upstream.to(self._output.read.dtype).unsqueeze(1)
        gradients = [(self._output, _weight_gradient(flowing, self._inputs[-1]))]
        flowing = flowing * self._output.read
        for i in reversed(range(len(self._hidden))):
            weight, bias = self._hidden[i]
            # ReLU's output is 0 where nothing flows back.
            torch.ops.aten.threshold_backward.grad_input(flowing, self._inputs[i + 1], 0, grad_input=flowing)
            gradients += [(weight, _weight_gradient(flowing, self._inputs[i])), (bias, flowing.sum(0, dtype=torch.float32))]
            # By the dense inputs too, though nobody needs that: on a part of a matrix oneDNN is a hundred times slower.
            flowing = linear(flowing, weight.read.t())
        for layer, gradient in gradients:
            layer.learn(gradient, self._adagrad)
        return flowing[:, :embedded]

    def tensors(self) -> dict[str, torch.Tensor]:
        weights = {name: layer.weights.cpu() for name, layer in self._named.items()}
        return weights | {f"{name}.accumulator": layer.accumulator.cpu() for name, layer in self._named.items()}


def _weight_gradient(flowing: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """(O, I): flowing (B, O) transposed times inputs (B, I)."""
    return linear(flowing.t(), inputs.t())
