"""The bias is moved to what was observed in the rows that were learnt last, and nothing else is."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from widedeep.data.contract import Training
from widedeep.features.encoding import labels
from widedeep.model.scoring import score_rows
from widedeep.training.optimizers import ftrl_weights
from widedeep.training.recalibration import bias_step, recalibrated

ASKED = Training(batch_size=16, recalibrate_rows=1000)


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(1e-6, 1 - 1e-6), st.floats(0.1, 9)), min_size=1, max_size=30))
def test_the_mean_score_becomes_that_of_the_labels(rows):
    y, scores, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    moved = expit(logit(scores) + bias_step(y, scores, weights))
    if 0 < y.sum() < len(y):
        assert (weights * moved).sum() == pytest.approx((weights * y).sum(), rel=1e-6)
    else:
        assert moved == pytest.approx(scores)


@pytest.mark.parametrize("score", [0.0, 1.0, np.nan])
def test_a_model_that_diverged_is_left_to_the_gate(score):
    assert bias_step(np.array([0.0, 1.0]), np.array([0.5, score]), np.ones(2)) == 0


def test_a_candidate_is_right_on_average_over_the_rows_that_it_learnt_last_and_only_its_bias_is_another(
    learn, make_contract, make_rows
):
    plain, asked = make_contract(), make_contract(training=ASKED)
    (before, _), (after, report) = (learn(None, contract, {0: make_rows(0)}) for contract in (plain, asked))
    rows = make_rows(0)
    assert score_rows(after, rows, asked).mean() == pytest.approx(labels(rows, asked).mean(), abs=1e-6)
    assert score_rows(before, rows, plain).mean() != pytest.approx(labels(rows, plain).mean(), abs=1e-3)
    different = [name for name in before.weights if not torch.equal(before.weights[name], after.weights[name])]
    assert different == ["bias"]
    assert float(after.weights["bias"] - before.weights["bias"]) == pytest.approx(report.recalibrated, abs=1e-6)


def test_the_state_of_ftrl_stands_for_the_new_bias(learn, make_contract, make_rows):
    contract = make_contract(training=ASKED)
    bundle, _ = learn(None, contract, {0: make_rows(0)})
    stood_for = ftrl_weights(bundle.optimizer["bias.z"], bundle.optimizer["bias.n"], contract.training.ftrl, l1=0.0)
    assert torch.allclose(stood_for, bundle.weights["bias"], atol=1e-6)


def test_sampled_negatives_stand_for_those_that_were_left_out(learn, make_contract, make_rows):
    contract = make_contract(training=ASKED)
    bundle, _ = learn(None, contract, {0: make_rows(0)})
    rows = make_rows(0)
    half = contract.model_copy(update={"training": ASKED.model_copy(update={"negative_rate": 0.5})})
    moved, _ = recalibrated(bundle, rows, half)
    y = labels(rows, contract)
    assert score_rows(moved, rows, contract)[y > 0].sum() + 2 * score_rows(moved, rows, contract)[y == 0].sum() == pytest.approx(
        y.sum(), rel=1e-5
    )
