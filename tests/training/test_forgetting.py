"""Sums of squared gradients fade by the dates and the rows of the spans, and no weight moves."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.data.contract import Ftrl, Model, Training
from widedeep.features.growth import grow
from widedeep.model.bundle import load_bundle, save_bundle
from widedeep.model.scoring import score_rows
from widedeep.training.forgetting import days_between
from widedeep.training.optimizers import FtrlTable, ftrl_faded, ftrl_weights
from widedeep.training.warm_start import warm_start


@pytest.fixture
def fading(make_contract):
    """A contract with a half-life."""

    def make(half_life_days, half_life_rows=1):
        settings = {"half_life_days": half_life_days, "half_life_rows": half_life_rows}
        return make_contract(training=Training(batch_size=16, **settings))

    return make


def grown(parent, contract, rows, day):
    until = date(2026, 1, 1 + day)
    vocabularies = grow(parent.vocabularies, rows, contract, until)
    return warm_start(parent, vocabularies, parent.quantiles, contract, 7, rows.num_rows, until)[0]


def same(one, other):
    return all(
        torch.equal(tensors[name], others[name])
        for tensors, others in ((one.weights, other.weights), (one.optimizer, other.optimizer))
        for name in tensors
    )


finite = {"allow_nan": False, "width": 32}


@given(
    st.floats(-200, 200, **finite),
    st.floats(0, 1e5, **finite),
    st.floats(0, 1, **finite),
    st.sampled_from([0.01, 0.1, 1.0]),
    st.sampled_from([0.0, 0.5, 2.0]),
)
@settings(max_examples=200, deadline=None)
def test_the_faded_state_stands_for_the_same_weight(z, n, kept, alpha, l1):
    ftrl = Ftrl(alpha=alpha, l1=l1)
    z, n = torch.tensor([z], dtype=torch.float64), torch.tensor([n], dtype=torch.float64)
    table = FtrlTable(ftrl_weights(z, n, ftrl, l1=l1), z, n)
    faded_z, faded_n = ftrl_faded(table, ftrl, kept)
    assert faded_n.item() == n.item() * kept
    assert ftrl_weights(faded_z, faded_n, ftrl, l1=l1).item() == pytest.approx(table.weights.item(), rel=1e-6, abs=1e-9)


def test_after_a_half_life_the_sums_are_halved_and_every_weight_is_as_it_was(fading, make_rows, learn):
    parent, _ = learn(None, fading(5.0), {0: make_rows(0)})
    child = grown(parent, fading(5.0), make_rows(0), day=5)
    for name, weights in parent.weights.items():
        assert torch.equal(child.weights[name][: len(weights)], weights), name
    halved = [name for name in parent.optimizer if not name.endswith(".z")]
    assert {name.rpartition(".")[2] for name in halved} == {"n", "accumulator"}
    for name in halved:
        assert torch.equal(child.optimizer[name][: len(parent.optimizer[name])], parent.optimizer[name] / 2), name


def test_scores_stay_to_the_bit_and_weights_follow_from_the_state_after_thirty_days_of_fading(fading, make_rows, learn):
    contract = fading(3.0)
    bundle, _ = learn(None, contract, {0: make_rows(0)})
    before = score_rows(bundle, make_rows(0), contract)
    for day in range(1, 31):
        bundle = grown(bundle, contract, make_rows(0), day=day)
    assert np.array_equal(score_rows(bundle, make_rows(0), contract), before)
    ftrl, state = contract.training.ftrl, bundle.optimizer
    for name, l1 in {"bias": 0.0, "wide.values": ftrl.l1, "wide.crosses": ftrl.l1}.items():
        follows = ftrl_weights(state[f"{name}.z"], state[f"{name}.n"], ftrl, l1=l1)
        torch.testing.assert_close(follows, bundle.weights[name], rtol=1e-4, atol=1e-6)


def test_without_a_half_life_nothing_fades_however_long_the_gap(fading, make_rows, learn):
    parent, _ = learn(None, fading(None), {0: make_rows(0)})
    child = grown(parent, fading(None), make_rows(0), day=25)
    for name, tensor in parent.optimizer.items():
        assert torch.equal(child.optimizer[name][: len(tensor)], tensor), name


def test_a_span_of_the_parents_day_or_an_earlier_one_fades_nothing(fading, make_rows, learn):
    learnt = {half_life: learn(None, fading(half_life), {5: make_rows(5)})[0] for half_life in (None, 1.0)}
    assert same(*learnt.values())
    for day in (5, 2):
        children = [learn(bundle, fading(half_life), {day: make_rows(2)})[0] for half_life, bundle in learnt.items()]
        assert same(*children)


def test_what_fades_depends_on_the_dates_and_the_number_of_rows_alone(fading, make_rows, learn):
    contract = fading(2.0)
    parent, _ = learn(None, contract, {0: make_rows(0)})
    one, other = (grown(parent, contract, make_rows(rows), day=6).optimizer["bias.n"] for rows in (0, 3))
    assert torch.equal(one, other)
    daily = parent
    for day in range(1, 7):
        daily = grown(daily, contract, make_rows(0), day=day)
    layer = "hidden.0.weight.accumulator"
    torch.testing.assert_close(daily.optimizer[layer], parent.optimizer[layer] / 8)
    assert days_between(parent.specification, daily.specification) == 6


def test_a_span_of_few_rows_fades_no_more_than_its_rows_make_up_for(fading, make_rows, learn):
    contract = fading(1.0, half_life_rows=60)
    parent, _ = learn(None, contract, {0: make_rows(0)})
    for count, kept in ((0, 1.0), (30, 0.5**0.5), (60, 0.5)):
        child = grown(parent, contract, make_rows(0).slice(0, count), day=20 if count else 0)
        torch.testing.assert_close(child.optimizer["bias.n"], parent.optimizer["bias.n"] * kept)


def test_training_counts_all_rows_that_are_to_be_learnt(fading, make_rows, learn):
    contract = fading(1.0, half_life_rows=120)
    parent, _ = learn(None, contract, {0: make_rows(0)})
    parts = {day: make_rows(day) for day in (8, 9)}
    child, _ = learn(parent, contract, parts)
    halved = {name: t / 2 if name.endswith(".accumulator") else t for name, t in parent.optimizer.items()}
    for name in ("bias", "wide.values", "wide.crosses"):
        table = FtrlTable(parent.weights[name], parent.optimizer[f"{name}.z"], parent.optimizer[f"{name}.n"])
        halved[f"{name}.z"], halved[f"{name}.n"] = ftrl_faded(table, contract.training.ftrl, 0.5)
    expected, _ = learn(replace(parent, optimizer=halved), fading(None), parts)
    assert same(child, expected)


def test_a_part_without_rows_does_not_use_up_the_days(fading, make_rows, learn):
    contract = fading(2.0)
    parent, _ = learn(None, contract, {0: make_rows(0)})
    through_a_gap, _ = learn(parent, contract, {5: make_rows(5).slice(0, 0)})
    one, other = (learn(bundle, contract, {8: make_rows(0)})[0] for bundle in (parent, through_a_gap))
    assert same(one, other)


@pytest.mark.parametrize("parts", [("wide", "deep"), ("wide",), ("deep",)])
def test_a_model_of_numbers_alone_forgets_like_any_other(fading, make_rows, learn, tmp_path, parts):
    numbers = {name: column.model_copy(update={"role": None}) for name, column in fading(4.0).columns.items() if name != "age"}
    changes = {"columns": {**numbers, "age": fading(4.0).columns["age"]}, "crosses": ()}
    contract = fading(4.0).model_copy(update=changes | {"model": Model(embedding=4, hidden=(8,), parts=parts, quantiles=4)})
    parent, _ = learn(None, contract, {0: make_rows(0)})
    save_bundle(parent, tmp_path)
    child = grown(load_bundle(tmp_path, optimizer=True), contract, make_rows(0), day=4)
    assert len(child.vocabularies.values) == 0
    fading_names = [name for name in parent.optimizer if name.endswith((".n", ".accumulator"))]
    assert all(torch.equal(child.optimizer[name], parent.optimizer[name] / 2) for name in fading_names)
    assert parent.optimizer["bias.n"] > 0
    kept = contract.model_copy(update={"training": fading(None).training})
    assert not same(*(learn(parent, one, {4: make_rows(4)})[0] for one in (contract, kept)))


def test_a_chain_that_was_saved_and_reloaded_fades_to_the_same_bytes(fading, make_rows, learn, tmp_path):
    contract = fading(4.0)
    parent, _ = learn(None, contract, {0: make_rows(0)})
    save_bundle(parent, tmp_path)
    reloaded = load_bundle(tmp_path, optimizer=True)
    one, other = (learn(bundle, contract, {3: make_rows(3)})[0] for bundle in (parent, reloaded))
    assert same(one, other)
    kept, _ = learn(parent, fading(None), {3: make_rows(3)})
    assert not same(one, kept)


def test_a_half_life_belongs_to_what_shapes_a_payload(fading):
    assert fading(None).training_digest != fading(14.0).training_digest
