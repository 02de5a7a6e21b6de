"""What the benchmark in the simulated store reports is what its words say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.quality.chains import Chain, changed, expected_auc, learnt, once, shuffled, twice, without_state
from benchmarks.quality.intervals import mean_by_day, paired
from benchmarks.quality.simulated import CONTRACT
from widedeep.evaluation.metrics import auc
from widedeep.simulation import Simulation, simulation_settings

DAYS = list(Simulation(simulation_settings(rows_per_day=500)).days(3))


def test_a_day_is_predicted_before_it_is_learnt():
    chain = Chain(once(CONTRACT, 0), CONTRACT)
    assert chain.live(DAYS[0]) is None
    before, scores = chain.bundle, chain.live(DAYS[1])
    assert torch.equal(before.weights["bias"], learnt(None, DAYS[:1], CONTRACT, 0).weights["bias"])
    assert chain.aucs == {1: expected_auc(DAYS[1], scores)}


def test_a_branch_leaves_the_chain_that_it_came_from_alone():
    chain = Chain(once(CONTRACT, 0), CONTRACT)
    chain.live(DAYS[0])
    kept, branch = chain.bundle, chain.branch()
    branch.live(DAYS[1])
    assert chain.bundle is kept
    assert chain.aucs == {}


def test_the_expected_auc_is_that_of_many_draws_of_the_labels():
    day, rng = DAYS[0], np.random.default_rng(0)
    scores = day.probability + 0.1 * rng.random(len(day.probability))
    drawn = [auc((rng.random(len(scores)) < day.probability).astype(float), scores) for _ in range(400)]
    assert expected_auc(day, scores) == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 20 + 1e-3)


def test_a_second_pass_learns_but_gives_rows_to_nothing_new():
    bundles = [once(CONTRACT, 0)(None, DAYS[0]), twice(CONTRACT, 0)(None, DAYS[0])]
    bundles += [bundle for bundle, _ in shuffled(DAYS[:1], CONTRACT, 0, passes=2)]
    assert len({len(bundle.vocabularies.crosses) for bundle in bundles}) == 1
    assert len({float(bundle.weights["bias"]) for bundle in bundles}) == 4


def test_what_is_dropped_is_adagrads_sums_and_nothing_else():
    never = changed(CONTRACT, {"training.half_life_days": None})
    parent, no_rows = learnt(None, DAYS[:1], never, 0), replace(DAYS[1], rows=DAYS[1].rows.slice(0, 0))
    dropped, kept = (make(never, 0)(parent, no_rows).optimizer for make in (without_state, once))
    for name, tensor in kept.items():
        assert torch.equal(dropped[name], torch.zeros_like(tensor) if name.endswith(".accumulator") else tensor)


def test_an_interval_is_paired_by_seed():
    told = paired([1.0, 2.0, 3.0], [0.9, 1.9, 2.9])
    assert told == {"estimate": 0.1, "interval": [0.1, 0.1]}
    spread = paired([1.0, 0.0], [0.0, 0.0])
    assert spread["interval"] == pytest.approx([0.5 - 12.7062 / 2, 0.5 + 12.7062 / 2], abs=1e-4)
    assert mean_by_day([{"1": 0.0, "2": 1.0}, {"1": 5.0, "2": 2.0}], first=2) == {"2": 1.5}
