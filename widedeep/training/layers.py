"""The fully connected layers while they learn: forward, a backward pass written by hand, and AdaGrad.

In bfloat16 the products read rounded copies of the weights; the weights themselves and their accumulators stay float32.
`B` rows of a batch, `I` inputs of the first layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from widedeep.data.contract import AdaGrad
from widedeep.model.bundle import Tensors
from widedeep.model.forward import deep_layers
from widedeep.model.linear import linear
from widedeep.training import kernels
from widedeep.training.embeddings import bits, padded
from widedeep.training.optimizers import adagrad_step

AddUp = Callable[[list[torch.Tensor]], Sequence[torch.Tensor]]


class Layer:
    """One tensor of weights or biases with its accumulator, and the copy of it that products read."""

    def __init__(self, tensors: Tensors, name: str, device: torch.device, precision: torch.dtype, *, pad: bool = False) -> None:
        self._shape = tensors[name].shape
        columns = padded(self._shape[-1]) - self._shape[-1] if pad else 0
        weights, accumulator = (functional.pad(tensors[n], (0, columns)) for n in (name, f"{name}.accumulator"))
        self.weights, self.accumulator = weights.to(device, copy=True), accumulator.to(device, copy=True)
        self.read = self.weights.to(precision)

    def learn(self, gradient: torch.Tensor, adagrad: AdaGrad) -> None:
        if self.weights.device.type == "cpu":
            weights, accumulator, flowed = (bits(t).reshape(-1) for t in (self.weights, self.accumulator, gradient.contiguous()))
            rate, epsilon = np.float32(adagrad.learning_rate), np.float32(adagrad.epsilon)
            kernels.adagrad_all(weights, accumulator, flowed, rate, epsilon)
        else:
            adagrad_step(self.weights, self.accumulator, gradient.float(), adagrad, learning_rate=adagrad.learning_rate)
        if self.read is not self.weights:
            self.read.copy_(self.weights)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and accumulator without padding, by the ends of their names."""
        kept = slice(0, self._shape[-1])
        return {"": self.weights[..., kept].cpu().contiguous(), ".accumulator": self.accumulator[..., kept].cpu().contiguous()}


def _alone(gradients: list[torch.Tensor]) -> Sequence[torch.Tensor]:
    return gradients


class Layers:
    """ReLU layers and the output layer. The logit has no bias here.

    `add_up` adds the gradients to those of other processes that learn another share of the same batch.
    """

    def __init__(
        self, tensors: Tensors, adagrad: AdaGrad, device: torch.device, precision: torch.dtype, add_up: AddUp = _alone
    ) -> None:
        # Padding meets zero inputs, so its gradients are zero and it never learns.
        first = "hidden.0.weight" if "hidden.0.weight" in tensors else "output.weight"
        self._named = {name: Layer(tensors, name, device, precision, pad=name == first) for name in deep_layers(tensors)}
        depth = sum(name.startswith("hidden.") for name in self._named) // 2
        self._hidden = [(self._named[f"hidden.{i}.weight"], self._named[f"hidden.{i}.bias"]) for i in range(depth)]
        self._output = self._named["output.weight"]
        self._adagrad, self._add_up = adagrad, add_up

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,) float32 logits; x (B, I) in the layers' precision."""
        self._inputs = [x]
        for weight, bias in self._hidden:
            self._inputs.append(linear(self._inputs[-1], weight.read, bias.read, relu=True))
        return linear(self._inputs[-1], self._output.read).squeeze(1).float()

    def backward(self, upstream: torch.Tensor) -> torch.Tensor:
        """(B, I) derivative of the loss by the inputs, given that by the logit (B,). The layers learn on the way."""
        flowing = upstream.to(self._output.read.dtype).unsqueeze(1)
        inputs = self._inputs.pop()
        gradients = [(self._output, _weight_gradient(flowing, inputs))]
        flowing = flowing * self._output.read
        for weight, bias in reversed(self._hidden):
            # ReLU's output is 0 where nothing flows back.
            torch.ops.aten.threshold_backward.grad_input(flowing, inputs, 0, grad_input=flowing)
            inputs = self._inputs.pop()
            gradients += [(weight, _weight_gradient(flowing, inputs)), (bias, flowing.sum(0, dtype=torch.float32))]
            flowing = linear(flowing, weight.read.t())
        for (layer, _), gradient in zip(gradients, self._add_up([gradient for _, gradient in gradients]), strict=True):
            layer.learn(gradient, self._adagrad)
        return flowing

    def tensors(self) -> dict[str, torch.Tensor]:
        return {name + end: tensor for name, layer in self._named.items() for end, tensor in layer.tensors().items()}


def _weight_gradient(flowing: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """(O, I): flowing (B, O) transposed times inputs (B, I). In bfloat16 torch's plain product is the faster one, by a tenth."""
    if not len(flowing):
        return inputs.new_zeros(flowing.shape[1], inputs.shape[1])  # a share without rows: oneDNN refuses the product
    return flowing.t() @ inputs if flowing.dtype == torch.bfloat16 else linear(flowing.t(), inputs.t())
