"""Weights and negative sampling in training: what a weight is worth, and that scores stay calibrated for all rows."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from widedeep.artifacts import Part
from widedeep.data.contract import Column, Contract, Gate, Label, Model, SplitRule, Training
from widedeep.data.rows import RowsInFile
from widedeep.errors import ContractError
from widedeep.evaluation.metrics import row_losses
from widedeep.features.encoding import encode, weights
from widedeep.model.scoring import score_rows
from widedeep.training.candidate import train_candidate
from widedeep.training.loop import retrain
from widedeep.training.sampling import sampled

PART = Part(span=date(2026, 1, 1), version=1, digest="a" * 64, part="train")


def silent(*_):
    pass


def with_weights(rows, values):
    return rows.append_column("w", pa.array(values, pa.float64()))


@pytest.fixture
def weighted(make_contract):
    contract = make_contract(training=Training(batch_size=4096))
    return contract.model_copy(update={"columns": contract.columns | {"w": Column(type="number", role="weight")}})


def planted(count: int, seed: int) -> pa.Table:
    """One row in twelve is positive, by a logistic model of a group and a number."""
    random = np.random.default_rng(seed)
    group, x = random.integers(6, size=count), random.random(count)
    logit = -3.2 + 0.5 * (group - 2.5) + 1.2 * x
    bought = random.random(count) < 1 / (1 + np.exp(-logit))
    return pa.table({"group": group, "x": x, "at": pa.nulls(count), "bought": bought})


def sampling(rate: float) -> Contract:
    columns = {
        "group": Column(type="integer", role="categorical"),
        "x": Column(type="number", role="numeric"),
        "at": Column(type="timestamp"),
        "bought": Column(type="boolean"),
    }
    return Contract(
        name="planted",
        user="group",
        time="at",
        label=Label(column="bought"),
        columns=columns,
        model=Model(embedding=4, hidden=(8,), quantiles=10),
        training=Training(batch_size=64, negative_rate=rate),
        split=SplitRule(salt="s"),
        gate=Gate(margin=0.01),
    )


def calibration(contract: Contract, of_learnt=lambda table, _seed: table) -> float:
    """Σp/Σy on unseen rows, all of them, pooled over four models: one alone is off by 2.5 % as its last batches leave it."""
    predicted, positive = 0.0, 0
    for seed in range(4):
        bundle, _ = train_candidate(None, [(PART, of_learnt(planted(100_000, seed), seed))], contract, seed, silent)
        unseen = planted(100_000, seed + 100)
        predicted += score_rows(bundle, unseen, contract).sum()
        positive += int(unseen["bought"].to_numpy(zero_copy_only=False).sum())
    return predicted / positive


def test_a_tenth_of_the_negatives_leaves_scores_calibrated_for_all_rows():
    assert calibration(sampling(0.1)) == pytest.approx(1, abs=0.05)


def test_learnt_as_if_they_were_all_the_same_rows_give_scores_that_are_far_off():
    """What the correction of the logit is for: every second row of the sample is positive, one in twelve of all."""
    assert calibration(sampling(1.0), lambda table, seed: sampled(table, sampling(0.1), PART, seed)) > 4


def test_in_a_batch_a_weight_of_w_is_w_copies_to_ftrl(weighted, make_rows):
    """FTRL's gradients are sums over the batch, and all predictions of a batch come before its update: so this holds where the
    copies stand in one batch, up to the rounding of sums. It can't hold for the deep part, whose gradients are means over rows.
    """
    rows = with_weights(make_rows(0), [1.0] * 60)
    bundle, _ = train_candidate(None, [(PART, rows)], weighted, 7, silent)
    values = np.random.default_rng(1).integers(0, 4, 60)
    batch = encode(with_weights(make_rows(0), values), bundle.vocabularies, bundle.quantiles, weighted)
    once = retrain(bundle, batch, weighted.training, 0, silent)
    copies = encode(make_rows(0), bundle.vocabularies, bundle.quantiles, weighted).take(np.repeat(np.arange(60), values))
    often = retrain(bundle, copies, weighted.training, 0, silent)
    assert copies.weights is None
    linear = [name for name in {**bundle.weights, **bundle.optimizer} if name.startswith(("bias", "wide."))]
    assert len(linear) == 9
    for name in linear:
        one, other = ({**learnt.weights, **learnt.optimizer}[name].numpy() for learnt in (once, often))
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=name)
    assert not np.allclose(once.weights["wide.values"], bundle.weights["wide.values"], atol=1e-4)


@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_a_row_of_weight_zero_is_as_good_as_not_there(weighted, make_rows, tmp_path, rate):
    """Neither a sighting, nor a number to fit quantiles on, nor one of the rows that the deep part's gradients are means over."""
    contract = weighted.model_copy(update={"training": Training(batch_size=16, negative_rate=rate)})
    counting, strange = make_rows(0), make_rows(1, new_users=True)
    strange = strange.set_column(3, "age", pa.array([5000.0] * 60))
    both = pa.concat_tables([with_weights(counting, [2.0] * 60), with_weights(strange, [0.0] * 60)])
    path = tmp_path / "both.parquet"
    pq.write_table(both, path)
    alone, _ = train_candidate(None, [(PART, with_weights(counting, [2.0] * 60))], contract, 7, silent)
    for rows in (both, RowsInFile(path, np.ones(120, np.bool_))):
        bundle, report = train_candidate(None, [(PART, rows)], contract, 7, silent)
        assert report.rows + report.parts[0].left_out == 120
        assert report.rows <= 60
        assert (bundle.vocabularies, bundle.quantiles) == (alone.vocabularies, alone.quantiles)
        assert all(torch.equal(bundle.weights[name], tensor) for name, tensor in alone.weights.items())


def test_the_reported_loss_before_learning_is_the_weighted_mean(weighted, make_rows):
    rows = with_weights(make_rows(0), np.random.default_rng(1).uniform(0, 3, 60))
    bundle, _ = train_candidate(None, [(PART, rows)], weighted, 7, silent)
    _, report = train_candidate(bundle, [(PART, rows)], weighted, 7, silent)
    losses = row_losses(rows["bought"].to_numpy(zero_copy_only=False) * 1.0, score_rows(bundle, rows, weighted))
    assert report.log_loss == pytest.approx(np.average(losses, weights=rows["w"].to_numpy()), rel=1e-5)
    assert report.parts[0].log_loss == report.log_loss


def test_weights_travel_with_their_rows_and_a_row_without_one_counts_once(weighted, make_rows):
    bundle, _ = train_candidate(None, [(PART, make_rows(0))], weighted, 7, silent)
    batch = encode(with_weights(make_rows(0), [0.5, None, *range(58)]), bundle.vocabularies, bundle.quantiles, weighted)
    assert batch.weights.dtype == np.float32
    assert batch.weights[:4].tolist() == [0.5, 1.0, 0.0, 1.0]
    assert batch.slice(2, 9).take([3, 0]).weights.tolist() == [3.0, 0.0]
    assert encode(make_rows(0), bundle.vocabularies, bundle.quantiles, weighted).weights is None


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan"), 1e39])
def test_a_weight_that_no_row_can_have_is_never_learnt_or_judged_by(weighted, make_rows, value):
    with pytest.raises(ContractError, match="weight 'w': 2 of 60 are negative or infinite"):
        weights(with_weights(make_rows(0), [value, value, *[1.0] * 58]), weighted)
