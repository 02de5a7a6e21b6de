"""The comparison on MovieLens: its protocol, its statistics, its search."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import benchmarks.quality.progressive as package
from benchmarks.quality.progressive import search
from benchmarks.quality.progressive.ours import varied
from benchmarks.quality.progressive.statistics import Rows, deciles, difference, weekly_auc
from widedeep.data.contract import load_contract
from widedeep.evaluation.metrics import auc

CONTRACT = Path(__file__).parents[2] / "dags" / "contracts" / "movielens.yaml"


def rows_and_scores(seed: int, n: int = 400) -> tuple[Rows, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.5).astype(np.float64)
    rows = Rows(label, rng.integers(0, 3, n), np.unique(rng.integers(0, 40, n), return_inverse=True)[1])
    return rows, np.clip(np.round(rng.random(n) * 0.8 + 0.2 * label, 2), 0.01, 0.99)


@given(st.integers(0, 10_000))
def test_a_row_of_weight_three_counts_as_three_rows(seed: int) -> None:
    rows, scores = rows_and_scores(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(scores))
    again = np.repeat(np.arange(len(scores)), weights)
    weeks = [again[rows.week[again] == week] for week in range(3)]
    expected = np.average([auc(rows.label[w], scores[w]) for w in weeks], weights=[len(w) for w in weeks])
    assert weekly_auc(rows, scores)(weights.astype(np.float64)) == pytest.approx(expected, abs=1e-12)


def test_a_side_differs_from_itself_by_nothing() -> None:
    rows, scores = rows_and_scores(0)
    told = difference(rows, [scores, scores**2], [scores, scores**2])
    assert told["auc"]["estimate"] == 0 == told["log_loss"]["estimate"]


def test_the_interval_counts_users_beside_seeds() -> None:
    rows, scores = rows_and_scores(1)
    noise = [np.clip(scores + 0.05 * np.random.default_rng(s).normal(size=len(scores)), 0.01, 0.99) for s in range(6)]
    told = difference(rows, noise[:3], noise[3:])["log_loss"]
    assert np.ptp(told["interval"]) > 0
    assert told["interval"][0] < told["estimate"] < told["interval"][1]


def test_tenths_of_a_calibrated_score_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.05, 0.95, 200_000)
    rows = Rows((rng.random(len(scores)) < scores).astype(np.float64), np.zeros(len(scores), np.int64), np.arange(len(scores)))
    assert all(abs(tenth["calibration"] - 1) < 0.05 for tenth in deciles(rows, [scores]))


def test_equal_seeds_draw_equal_trials_and_sides_draw_their_own() -> None:
    assert search.draw("ours", 5, 0) == search.draw("ours", 5, 0)
    assert search.draw("ours", 5, 0)[:3] == search.draw("ours", 3, 0)
    assert search.draw("ours", 5, 0) != search.draw("ours", 5, 1)


def test_every_trial_of_ours_is_a_valid_contract_with_its_settings() -> None:
    contract = load_contract(CONTRACT)
    for settings in search.draw("ours", 20, 0):
        changed = varied(contract, settings)
        assert changed.training.batch_size == settings["batch"]
        assert list(changed.model.hidden) == settings["hidden"]
        assert changed.training.ftrl.alpha == settings["alpha"]
        assert changed.training.adagrad.embedding_learning_rate == settings["embedding_learning_rate"]
        assert changed.crosses[0].min_count == settings["cross_min_count"]


def test_a_job_may_give_columns_other_roles() -> None:
    changed = varied(load_contract(CONTRACT), {"roles": {"hour": "numeric", "zip_prefix": None}})
    assert "hour" in changed.with_role("numeric")
    assert "zip_prefix" not in changed.with_role("categorical")


def side() -> ModuleType:
    """The peers' common file, which is not part of a package: it runs in environments without ours."""
    path = Path(package.__file__).parent / "peers" / "side.py"
    spec = importlib.util.spec_from_file_location("side", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["side"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("retrain", ["warm", "scratch"])
def test_no_peer_learns_a_week_before_it_has_predicted_it(retrain: str) -> None:
    seen_when_predicted = {}

    class Model:
        def __init__(self, *_: Any) -> None:
            self.seen: list[int] = []

        def fit(self, weeks: Any) -> None:
            self.seen += sorted(set(weeks.week.tolist()))

        def predict(self, weeks: Any) -> np.ndarray:
            seen_when_predicted[int(weeks.week[0])] = list(self.seen)
            return np.full(len(weeks.week), 0.5)

    weeks = side().Weeks({"week": np.repeat(np.arange(12), 2)})
    scores, _ = side().progressive(Model, weeks, {"settings": {}, "seed": 0, "last": 11, "retrain": retrain})
    assert seen_when_predicted == {week: list(range(week)) for week in (8, 9, 10)}
    assert np.flatnonzero(~np.isnan(scores)).tolist() == [16, 17, 18, 19, 20, 21]
