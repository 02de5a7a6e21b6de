"""Both optimizers against independent references."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.data.contract import AdaGrad, Ftrl
from widedeep.features.bags import Bag, offsets_of
from widedeep.features.encoding import EncodedBatch
from widedeep.training.kernels import adagrad_all
from widedeep.training.optimizers import FtrlTable, adagrad_row_step, ftrl_faded, ftrl_weights, ftrl_z
from widedeep.training.parts import STATES, WIDE, CompiledLinear, wide_entries

TOLERANCE = 1e-6


def algorithm_1(steps, size, ftrl):
    """McMahan et al. 2013, Algorithm 1, one coordinate at a time in float64: the weights after every step."""
    z, n, w = np.zeros(size), np.zeros(size), np.zeros(size)
    for gradients in steps:
        for i, g in gradients.items():
            w[i] = 0.0
            if abs(z[i]) > ftrl.l1:
                w[i] = -(z[i] - np.sign(z[i]) * ftrl.l1) / ((ftrl.beta + np.sqrt(n[i])) / ftrl.alpha + ftrl.l2)
            sigma = (np.sqrt(n[i] + g * g) - np.sqrt(n[i])) / ftrl.alpha
            z[i] += g - sigma * w[i]
            n[i] += g * g
    final = -(z - np.sign(z) * ftrl.l1) / ((ftrl.beta + np.sqrt(n)) / ftrl.alpha + ftrl.l2)
    return np.where(np.abs(z) > ftrl.l1, final, 0.0), z, n


gradient_steps = st.lists(st.dictionaries(st.integers(0, 5), st.floats(-4, 4, width=32), min_size=1), min_size=1, max_size=20)


@given(gradient_steps, st.sampled_from([0.0, 0.5, 2.0]))
@settings(max_examples=100, deadline=None)
def test_ftrl_follows_algorithm_1_lazily_with_exact_zeros(steps, l1):
    ftrl = Ftrl(alpha=0.1, beta=1.0, l1=l1, l2=0.5)
    table = FtrlTable(
        torch.zeros(6, dtype=torch.float64), torch.zeros(6, dtype=torch.float64), torch.zeros(6, dtype=torch.float64)
    )
    for gradients in steps:
        rows = torch.tensor(list(gradients))
        table.step(rows, torch.tensor(list(gradients.values()), dtype=torch.float64), ftrl, l1=ftrl.l1)
    weights, z, n = algorithm_1(steps, 6, ftrl)
    np.testing.assert_allclose(table.weights, weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(table.z, z, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(table.n, n, rtol=1e-9, atol=1e-12)
    assert ((table.weights == 0) == torch.from_numpy(weights == 0)).all()


examples = st.lists(st.tuples(st.lists(st.integers(0, 5), max_size=4), st.floats(-1, 1, width=32)), min_size=1, max_size=6)
ftrls = st.builds(
    Ftrl,
    alpha=st.sampled_from([0.05, 0.5]),
    beta=st.just(1.0),
    l1=st.sampled_from([0.0, 0.5, 2.0]),
    l2=st.sampled_from([0.0, 0.5]),
)


def summed(examples):
    """Each coordinate's gradient over a batch, however often an example names it."""
    gradients = {row: 0.0 for rows, _ in examples for row in rows}
    for rows, residual in examples:
        for row in rows:
            gradients[row] += residual
    return gradients


def wide_batch(examples):
    entries = np.array([row for rows, _ in examples for row in rows], np.int32)
    wide = Bag(entries, offsets_of(np.array([len(rows) for rows, _ in examples], np.int64)))
    count = len(examples)
    return EncodedBatch(np.empty((count, 0), np.int32), (), np.empty((count, 0), np.float32), wide, None, (4, 2))


@given(st.lists(examples, min_size=1, max_size=20), ftrls)
@settings(max_examples=200, deadline=None)
def test_compiled_ftrl_follows_algorithm_1_on_gradients_summed_over_the_batch(batches, ftrl):
    zeros = {name + state: torch.zeros(size) for name, size in (("wide.values", 4), ("wide.crosses", 2)) for state in STATES}
    part = CompiledLinear(zeros, WIDE, wide_entries, ftrl)
    for batch in batches:
        part.logits(wide_batch(batch))
        part.learn(torch.tensor([residual for _, residual in batch]), len(batch))
    got, z, n = (torch.cat([part.tensors()[name + state] for name in WIDE]).double().numpy() for state in STATES)
    weights, wanted_z, wanted_n = algorithm_1([summed(batch) for batch in batches], 6, ftrl)
    # What float32 loses is in proportion to what was added up, not to the sum.
    reach = sum(np.bincount(rows, np.full(len(rows), abs(r)), minlength=6) for batch in batches for rows, r in batch)
    lost = TOLERANCE * (1 + reach)
    scale = (ftrl.beta + np.sqrt(wanted_n)) / ftrl.alpha + ftrl.l2
    assert (np.abs(z - wanted_z) <= lost).all()
    assert (np.abs(n - wanted_n) <= lost * (1 + reach)).all()
    assert (np.abs(got - weights) <= lost / scale + TOLERANCE * np.abs(weights)).all()
    near_the_threshold = np.abs(np.abs(wanted_z) - ftrl.l1) <= lost
    assert ((got == 0) == (weights == 0))[~near_the_threshold].all()


ENDS = (1e-12, 1e12)
"""Of the range that a contract allows."""


@pytest.mark.parametrize(
    "ftrl",
    [Ftrl(alpha=a, beta=b, l1=l1, l2=l2) for a, b, l1, l2 in product(ENDS, ENDS, (0.0, *ENDS), (0.0, *ENDS))],
    ids=str,
)
def test_no_setting_that_a_contract_allows_makes_ftrl_divide_by_nothing(ftrl):
    """1e-25 squared is 0 in float32: n stays 0 under a z that is not."""
    gradients = [1e-25, 1e-3, 1.0, -200.0]
    zeros = {name + state: torch.zeros(len(gradients)) for name in WIDE for state in STATES}
    part = CompiledLinear(zeros, WIDE[:1], wide_entries, ftrl)
    for _ in range(3):
        part.logits(wide_batch([([row], 0.0) for row in range(len(gradients))]))
        part.learn(torch.tensor(gradients), len(gradients))
    table = FtrlTable(*(part.tensors()["wide.values" + state] for state in STATES))
    assert all(torch.isfinite(state).all() for state in (table.weights, table.z, table.n))
    assert torch.isfinite(ftrl_z(table, ftrl, l1=ftrl.l1)).all()
    assert torch.isfinite(ftrl_faded(table, ftrl, 0.5)[0]).all()


@pytest.mark.parametrize("rate", ENDS)
@pytest.mark.parametrize("epsilon", ENDS)
def test_no_setting_that_a_contract_allows_makes_adagrad_divide_by_nothing(rate, epsilon):
    weights, accumulator = np.zeros(4, np.float32), np.zeros(4, np.float32)
    gradient = np.array([0, 1e-25, 1, -200], np.float32)
    for _ in range(3):
        adagrad_all(weights, accumulator, gradient, np.float32(rate), np.float32(epsilon))
    assert np.isfinite(weights).all()
    assert abs(weights[1]) <= rate, "the square of 1e-25 vanishes, and the step is no longer than AdaGrad's longest"


def test_ftrl_leaves_untouched_rows_bit_identical_and_l1_gives_exact_zeros():
    table = FtrlTable(torch.tensor([0.3, 0.0]), torch.tensor([-9.0, 0.0]), torch.tensor([4.0, 0.0]))
    table.step(torch.tensor([1]), torch.tensor([0.9]), Ftrl(l1=1.0), l1=1.0)
    assert table.weights.tolist() == [torch.tensor(0.3).item(), 0.0]
    assert table.z.tolist() == [-9.0, torch.tensor(0.9).item()]
    table.step(torch.tensor([1]), torch.tensor([0.9]), Ftrl(l1=1.0), l1=1.0)
    assert table.weights[1] < 0


@given(st.floats(-20, 20), st.floats(0, 50), st.floats(0.001, 1), st.floats(0, 3))
@settings(max_examples=100, deadline=None)
def test_weights_survive_a_change_of_ftrl_settings(z, n, alpha, l1):
    before, after = Ftrl(alpha=0.05, l1=1.0), Ftrl(alpha=alpha, l1=l1)
    z, n = torch.tensor([z], dtype=torch.float64), torch.tensor([n], dtype=torch.float64)
    table = FtrlTable(ftrl_weights(z, n, before, l1=1.0), z, n)
    kept = ftrl_weights(ftrl_z(table, after, l1=l1), n, after, l1=l1)
    assert kept.item() == pytest.approx(table.weights.item(), rel=1e-6, abs=1e-9)


def test_adagrad_matches_torch_on_touched_rows_and_leaves_the_others_bit_identical():
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand((10, 4), generator=generator)
    accumulator = torch.zeros(10, 4)
    reference = weights.clone().requires_grad_()
    torchs = torch.optim.Adagrad([reference], lr=0.05, eps=1e-8)
    untouched = weights[[0, 9]].clone()
    settings_ = AdaGrad(embedding_learning_rate=0.05, epsilon=1e-8)
    for _ in range(5):
        rows = torch.randperm(8, generator=generator)[:5] + 1
        gradient = torch.randn((5, 4), generator=generator)
        reference.grad = torch.zeros(10, 4).index_copy(0, rows, gradient)
        torchs.step()
        adagrad_row_step(weights, accumulator, rows, gradient, settings_)
    torch.testing.assert_close(weights, reference.detach(), rtol=1e-6, atol=1e-7)
    assert torch.equal(weights[[0, 9]], untouched)
    assert accumulator[[0, 9]].count_nonzero() == 0
