"""The benchmark of the gate harms by what it says, and what it counts can tell a good gate from one that lets all pass."""

import numpy as np
import pytest

from benchmarks.gate.__main__ import COUNTRIES, Counted
from benchmarks.gate.coverage import coverage
from benchmarks.gate.harm import flattened, further_off, leaking, noisy, without_embedding, worse_by, worse_inside
from benchmarks.gate.worlds import CONTRACT, candidate_of, verdict, world
from widedeep.evaluation.metrics import row_losses


@pytest.fixture(scope="module")
def store():
    parent, judged = world(7, rows=20_000, rows_learnt=5_000)
    return parent, judged, judged.scores(candidate_of(parent, judged, 1))


@pytest.mark.parametrize("damage", [noisy(np.random.default_rng(0)), flattened], ids=["noisy", "flattened"])
def test_a_candidate_is_truly_worse_by_what_was_asked_for_at_the_same_mean_score(store, damage):
    _, judged, scores = store
    worse = worse_by(judged, scores, judged.true_ne(scores), 0.05, damage)
    assert judged.true_ne(worse) - judged.true_ne(scores) == pytest.approx(0.05, abs=1e-4)
    assert worse.mean() == pytest.approx(scores.mean(), rel=1e-4)


def test_harm_to_one_country_leaves_all_other_rows_as_they_were(store):
    _, judged, scores = store
    inside = np.array(judged.rows["country"].to_pylist()) == COUNTRIES[4]
    worse = worse_inside(judged, scores, inside, 0.1, noisy(np.random.default_rng(0)))
    assert np.array_equal(worse[~inside], scores[~inside])
    lost = (row_losses(judged.truth, worse) - row_losses(judged.truth, scores))[inside].mean() / judged.entropy
    assert lost == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("high", [1.02, 0.98])
def test_the_mean_score_is_moved_away_from_the_truth(store, high):
    _, judged, scores = store
    champion = scores * high * judged.truth.mean() / scores.mean()
    moved = further_off(judged, scores, champion, 0.05).mean() / judged.truth.mean()
    assert moved == pytest.approx(high * (1.05 if high > 1 else 0.95), rel=1e-3)


def test_an_embedding_that_is_zero_changes_the_scores_of_its_country_only(store):
    parent, judged, _ = store
    inside = np.array(judged.rows["country"].to_pylist()) == "US"
    before, after = judged.scores(parent), judged.scores(without_embedding(parent, "country", "US"))
    assert np.abs(before - after)[inside].max() > 0
    assert np.abs(before - after)[~inside].max() < 1e-6


def test_a_leak_tells_the_label_in_the_share_of_the_rows_that_was_asked_for(store):
    _, judged, _ = store
    told = leaking(judged.rows, 0.5, np.random.default_rng(0))["size_mb"].to_numpy() != judged.rows["size_mb"].to_numpy()
    assert told.mean() == pytest.approx(0.5, abs=0.05)


def test_a_gate_without_limits_would_be_seen(store):
    parent, judged, scores = store
    asked, champion = judged.sliced(parent), scores
    bad, counted = flattened(scores, 2.0), Counted()
    counted.add("1 % NE worse", verdict(asked, bad, champion, None, CONTRACT))
    loose = CONTRACT.model_copy(update={"gate": CONTRACT.gate.model_copy(update={"margin": 9.0, "slice_margin": 9.0})})
    counted.add("1 % NE worse", verdict(asked, bad, champion, None, loose))
    found = counted.figures()["1 % NE worse"]
    assert [found[name]["count"] for name in ("promoted", "held", "rejected")] == [1, 0, 1]


def test_intervals_that_are_too_narrow_would_be_seen(monkeypatch):
    monkeypatch.setattr("benchmarks.gate.coverage.USERS", (20,))
    monkeypatch.setattr("benchmarks.gate.coverage.DRAWS", 300)
    monkeypatch.setattr("benchmarks.gate.coverage.RESAMPLES", 200)
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(400), 5)
    differences = np.repeat(rng.standard_t(3, 400), 5)
    honest = coverage(differences, users, rng)
    assert honest["as they are"]["20 users"]["holds_the_truth"] >= 0.9
    monkeypatch.setattr("benchmarks.gate.coverage.LEVEL", 0.5)
    assert coverage(differences, users, rng)["as they are"]["20 users"]["holds_the_truth"] < 0.7
