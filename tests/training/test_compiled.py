"""The compiled loops against torch's operators, which run on any device, and against torch's own rounding and autograd."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from widedeep.data.contract import AdaGrad, Ftrl, Training
from widedeep.features.bags import Bag, offsets_of
from widedeep.features.encoding import EncodedBatch
from widedeep.training import kernels
from widedeep.training.embeddings import CompiledEmbeddings, TorchEmbeddings, padded
from widedeep.training.layers import Layer, Layers
from widedeep.training.parts import WIDE, CompiledLinear, TorchLinear, learning_parts, wide_entries

CPU = torch.device("cpu")
VALUES, CROSSES, WIDTH = 30, 20, 5


def tensors(seed=0):
    generator = torch.Generator().manual_seed(seed)

    def some(*shape):
        return torch.rand(shape, generator=generator) - 0.5

    sizes = {"bias": 1, "wide.values": VALUES, "wide.crosses": CROSSES}
    linear = {
        name + state: some(size).abs() if state == ".n" else some(size)
        for name, size in sizes.items()
        for state in ("", ".z", ".n")
    }
    shapes = {
        "embedding": (VALUES, WIDTH),
        "hidden.0.weight": (12, 4 * WIDTH + 2),
        "hidden.0.bias": (12,),
        "hidden.1.weight": (7, 12),
        "hidden.1.bias": (7,),
        "output.weight": (1, 7),
    }
    deep = {name: some(*shape) for name, shape in shapes.items()}
    return linear | deep | {f"{name}.accumulator": some(*shape).abs() for name, shape in shapes.items()}


def batch(seed, rows=23):
    """Rows with repeats within and across features, empty bags, and one row that names the same value twice."""
    random = np.random.default_rng(seed)

    def bag(high, most):
        lengths = random.integers(0, most, rows)
        return Bag(random.integers(0, high, lengths.sum()).astype(np.int32), offsets_of(lengths))

    return EncodedBatch(
        rows=random.integers(0, VALUES // 2, (rows, 2)).astype(np.int32),
        bags=(bag(VALUES, 4), bag(4, 6)),
        dense=random.random((rows, 2), np.float32),
        wide=bag(VALUES + CROSSES, 9),
        labels=random.integers(0, 2, rows).astype(np.float32),
        sizes=(VALUES, CROSSES),
    )


def close(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], **tolerance)


def test_embeddings_compiled_and_by_torch_are_the_same_for_many_batches():
    adagrad = AdaGrad(embedding_learning_rate=0.1)
    compiled, by_torch = (
        CompiledEmbeddings(tensors(), adagrad, torch.float32),
        TorchEmbeddings(tensors(), adagrad, CPU, torch.float32),
    )
    for seed in range(8):
        rows = batch(seed)
        torch.testing.assert_close(compiled.inputs(rows), by_torch.inputs(rows), rtol=1e-6, atol=1e-7)
        upstream = torch.randn((len(rows), 4 * WIDTH), generator=torch.Generator().manual_seed(seed))
        compiled.learn(upstream)
        by_torch.learn(upstream)
    close(compiled.tensors(), by_torch.tensors(), rtol=1e-5, atol=1e-6)


def test_the_wide_part_compiled_and_by_torch_is_the_same_for_many_batches():
    ftrl = Ftrl(alpha=0.1, l1=0.3, l2=0.2)
    compiled, by_torch = (
        CompiledLinear(tensors(), WIDE, wide_entries, ftrl),
        TorchLinear(tensors(), WIDE, wide_entries, ftrl, CPU),
    )
    for seed in range(8):
        rows = batch(seed)
        torch.testing.assert_close(compiled.logits(rows), by_torch.logits(rows), rtol=1e-6, atol=1e-6)
        residual = torch.randn(len(rows), generator=torch.Generator().manual_seed(seed))
        compiled.learn(residual, len(residual))
        by_torch.learn(residual, len(residual))
    close(compiled.tensors(), by_torch.tensors(), rtol=1e-4, atol=1e-5)
    assert (compiled.tensors()["wide.values"] == 0).any(), "L1 gives exact zeros"


def test_gradients_of_duplicates_are_summed_before_they_are_squared():
    ftrl = Ftrl(alpha=0.1, l1=0.0)
    wide = CompiledLinear({name: torch.zeros_like(t) for name, t in tensors().items()}, WIDE, wide_entries, ftrl)
    twice = batch(0, rows=1)
    twice = EncodedBatch(
        twice.rows, twice.bags, twice.dense, Bag(np.array([3, 3], np.int32), np.array([0, 2])), None, twice.sizes
    )
    wide.logits(twice)
    wide.learn(torch.tensor([0.5]), 1)
    assert wide.tensors()["wide.values.n"][3] == 1.0
    assert wide.tensors()["wide.values.z"][3] == 1.0


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_the_backward_pass_by_hand_is_autograds(precision, tolerance):
    start = tensors()
    layers = Layers(start, AdaGrad(learning_rate=0.1), CPU, precision)
    x = torch.randn((19, 4 * WIDTH + 2), generator=torch.Generator().manual_seed(1))
    upstream = torch.randn(19, generator=torch.Generator().manual_seed(2))
    logits = layers.forward(functional.pad(x, (0, padded(x.shape[1]) - x.shape[1])).to(precision))
    flowing = layers.backward(upstream)

    leaves = {
        name: t.clone().requires_grad_()
        for name, t in start.items()
        if name.startswith(("hidden", "output")) and "acc" not in name
    }
    leaf = x.clone().requires_grad_()
    h = functional.relu(functional.linear(leaf, leaves["hidden.0.weight"], leaves["hidden.0.bias"]))
    h = functional.relu(functional.linear(h, leaves["hidden.1.weight"], leaves["hidden.1.bias"]))
    wanted = functional.linear(h, leaves["output.weight"]).squeeze(1)
    wanted.backward(upstream)
    torch.testing.assert_close(logits, wanted.detach(), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(flowing.float()[:, : x.shape[1]], leaf.grad, rtol=tolerance, atol=tolerance)
    for name, weight in leaves.items():
        gained = layers.tensors()[f"{name}.accumulator"] - start[f"{name}.accumulator"]
        torch.testing.assert_close(gained, weight.grad**2, rtol=10 * tolerance, atol=tolerance, msg=name)


def test_layers_learn_as_torchs_adagrad_does():
    start = {"a": torch.randn(40), "a.accumulator": torch.zeros(40)}
    layer, adagrad = Layer(start, "a", CPU, torch.float32), AdaGrad(learning_rate=0.1)
    reference = start["a"].clone().requires_grad_()
    torchs = torch.optim.Adagrad([reference], lr=0.1, eps=adagrad.epsilon)
    for seed in range(5):
        reference.grad = torch.randn(40, generator=torch.Generator().manual_seed(seed))
        torchs.step()
        layer.learn(reference.grad, adagrad)
    torch.testing.assert_close(layer.weights, reference.detach(), rtol=1e-6, atol=1e-7)
    assert layer.read.data_ptr() == layer.weights.data_ptr(), "in float32 the products read the weights themselves"


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=64))
@settings(max_examples=200, deadline=None)
def test_bfloat16_is_rounded_and_widened_as_torch_does(values):
    table = np.array([values], np.float32)
    out = np.empty((1, len(values)), np.uint16)
    kernels.take_rows(table, np.zeros((1, 1), np.int32), out)
    wanted = torch.from_numpy(table).bfloat16()
    assert np.array_equal(out, wanted.view(torch.uint16).numpy())
    gradient = np.zeros((1, len(values)), np.float32)
    kernels.add_rows(gradient, np.zeros((1, 1), np.int32), out)
    assert np.array_equal(gradient, wanted.float().numpy())


def test_in_bfloat16_the_products_read_rounded_copies_and_the_weights_stay_float32():
    layer = Layer(tensors(), "hidden.0.weight", CPU, torch.bfloat16)
    before = layer.weights.clone()
    layer.learn(torch.full(before.shape, 0.01, dtype=torch.bfloat16), AdaGrad(learning_rate=1e-5))
    assert not torch.equal(layer.weights, before), "a step far below bfloat16's resolution is not lost"
    assert torch.equal(layer.read, layer.weights.bfloat16())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_cuda_device_learns_the_same_within_tolerance(precision):
    training = Training(precision=precision)
    ended = []
    for device in (CPU, torch.device("cuda")):
        parts = learning_parts(tensors(), training, device)
        for seed in range(8):
            rows = batch(seed)
            logits = torch.stack([part.logits(rows) for part in parts]).sum(0)
            for part in parts:
                part.learn(torch.sigmoid(logits) - torch.from_numpy(rows.labels).to(device), len(rows))
        ended.append({name: t for part in parts for name, t in part.tensors().items()})
    tolerance = 1e-4 if precision == "float32" else 3e-2
    close(*ended, rtol=tolerance, atol=tolerance)
