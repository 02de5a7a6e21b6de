"""The simulated store: what it promises of its days. Sizes are the smallest that can tell."""

import itertools
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from widedeep.data.tables import parquet_bytes
from widedeep.errors import UsageError
from widedeep.evaluation.metrics import auc
from widedeep.simulation import Simulation, parse_fault, simulation_settings
from widedeep.simulation.pairs import pair_effects
from widedeep.simulation.settings import COLUMNS

SMALL = simulation_settings(rows_per_day=1000, seed=5)
BIG = simulation_settings(rows_per_day=60_000, seed=3)


def days(settings, count, first=0):
    return list(Simulation(settings).days(count, first))


def digests(settings, count):
    return [parquet_bytes(day.rows) + day.probability.tobytes() for day in days(settings, count)]


def with_fault(text, settings=SMALL):
    return settings.model_copy(update={"faults": (parse_fault(text),)})


def labels(day):
    return day.rows["acquired"].to_numpy().astype(float)


def app_number(name):
    return int(name.removeprefix("app-"))


@pytest.fixture(scope="module")
def week():
    return days(SMALL, 7)


@pytest.fixture(scope="module")
def big():
    return days(BIG, 2)


def test_equal_settings_give_equal_bytes():
    assert digests(SMALL, 4) == digests(SMALL, 4)


def test_another_seed_is_another_store():
    visits = [day.rows["app_id"] for seed in (5, 6) for day in days(SMALL.model_copy(update={"seed": seed}), 1)]
    assert not visits[0].equals(visits[1])


def test_more_days_begin_with_the_same_days():
    assert digests(SMALL, 5)[:3] == digests(SMALL, 3)


def test_one_day_is_the_same_as_in_a_row_of_days(week):
    alone = Simulation(SMALL).day(4)
    assert alone.rows.equals(week[4].rows)
    assert np.array_equal(alone.probability, week[4].probability)


def test_a_span_has_the_asked_rows_inside_its_day_and_row_ids_are_unique(week):
    for place, day in enumerate(week):
        assert day.span == date(2026, 1, 1 + place)
        assert day.rows.num_rows == 1000
        assert tuple(day.rows.column_names) == COLUMNS
        assert {moment.date() for moment in day.rows["event_time"].to_pylist()} == {day.span}
        assert set(day.rows["weekday"].to_pylist()) == {day.span.weekday()}
    ids = np.concatenate([day.rows["row_id"].to_numpy() for day in week])
    assert len(np.unique(ids)) == len(ids)


def test_labels_come_up_as_often_as_their_probability_says_in_every_decile(big):
    for day in big:
        y, p = labels(day), day.probability
        for rows in np.array_split(np.argsort(p), 10):
            error = np.sqrt((p[rows] * (1 - p[rows])).sum())
            assert abs(y[rows].sum() - p[rows].sum()) < 4 * error


def test_the_label_rate_and_the_best_possible_auc_leave_room_to_learn(big):
    assert 0.1 < labels(big[0]).mean() < 0.22
    assert 0.75 < auc(labels(big[0]), big[0].probability) < 0.82


def test_no_single_column_comes_near_the_true_probability(big):
    """Each value's rate on the first day, as a score for the second."""
    truth = auc(labels(big[1]), big[1].probability)
    for name in set(COLUMNS) - {"row_id", "event_time", "user_id", "installed_apps", "acquired"}:
        rates = pa.table({"key": big[0].rows[name], "y": labels(big[0])}).group_by("key").aggregate([("y", "mean")])
        known = dict(zip(rates["key"].to_pylist(), rates["y_mean"].to_pylist(), strict=True))
        score = np.array([known.get(key, 0.15) for key in big[1].rows[name].to_pylist()])
        assert auc(labels(big[1]), score) < truth - 0.08


def test_planted_pairs_move_the_logit_by_what_they_say_and_decide_nothing_else():
    planted = simulation_settings(rows_per_day=20_000, seed=1)
    day, without = (Simulation(s).day(0) for s in (planted, planted.model_copy(update={"pair_effect": 0.0})))
    numbers = np.arange(planted.apps)
    table = pair_effects(planted, 0, numbers, numbers)
    rows = zip(day.rows["installed_apps"].to_pylist(), day.rows["app_id"].to_pylist(), strict=True)
    expected = np.array([sum(table[app_number(x), app_number(y)] for x in installed) for installed, y in rows])
    moved = np.log(day.probability / (1 - day.probability)) - np.log(without.probability / (1 - without.probability))
    assert np.allclose(moved, expected, atol=1e-9)
    assert 0.1 < (expected != 0).mean() < 0.3


def test_planted_pairs_attract_and_repel_equally_often_at_the_asked_share():
    numbers = np.arange(1000)
    table = pair_effects(SMALL, 0, numbers, numbers)
    assert abs((table != 0).mean() - SMALL.pair_share) < 0.001
    assert abs((table > 0).sum() / (table != 0).sum() - 0.5) < 0.02


def test_what_is_acquired_is_installed_from_the_next_day_on_and_never_before(week):
    """Whatever is new in a user's list was acquired on the day of the last visit; whatever is shown is not installed."""
    known, acquired, arrived = {}, {}, 0
    for day in week:
        rows = day.rows.select(["user_id", "installed_apps", "app_id", "acquired"]).to_pylist()
        lists = {row["user_id"]: set(row["installed_apps"]) for row in rows}
        for user, installed in lists.items():
            if user in known:
                assert installed - known[user] <= acquired[user]
                arrived += len(installed - known[user])
        for row in rows:
            assert lists[row["user_id"]] == set(row["installed_apps"])
            assert row["app_id"] not in row["installed_apps"]
        known |= lists
        acquired |= {user: {r["app_id"] for r in rows if r["user_id"] == user and r["acquired"]} for user in lists}
    assert arrived > 100


def test_new_apps_and_users_arrive_every_day_and_old_apps_leave():
    seen = days(SMALL.model_copy(update={"rows_per_day": 20_000, "apps": 50, "new_apps": 0.04}), 30)
    for name in ("app_id", "user_id"):
        born = [max(day.rows[name].to_pylist()) for day in seen]
        assert all(later > earlier for earlier, later in itertools.pairwise(born))
    assert not set(seen[0].rows["app_id"].to_pylist()) & set(seen[-1].rows["app_id"].to_pylist())


def test_a_stationary_store_has_the_same_apps_and_rate_a_week_later():
    settings = SMALL.stationary().model_copy(update={"rows_per_day": 20_000})
    first, last = (Simulation(settings).day(index) for index in (0, 7))
    assert {*first.rows["app_id"].to_pylist(), *last.rows["app_id"].to_pylist()} <= {f"app-{n:05}" for n in range(settings.apps)}
    assert max(last.rows["user_id"].to_pylist()) < f"user-{20_000 // 10 * 4:08}"
    assert abs(first.probability.mean() - last.probability.mean()) < 0.005


def test_effects_drift_unless_the_store_is_stationary():
    """The mean true probability of each app, three weeks apart: on the same weekday, of apps that are there both times."""

    def likeness(settings):
        first, last = (_mean_by_app(Simulation(settings).day(index)) for index in (0, 21))
        both = sorted(first.keys() & last.keys())
        return np.corrcoef([first[app] for app in both], [last[app] for app in both])[0, 1]

    settings = SMALL.model_copy(update={"rows_per_day": 20_000, "new_apps": 0.0, "new_users": 0.0, "drift": 0.2})
    assert likeness(settings) < 0.85
    assert likeness(settings.stationary()) > 0.95


def _mean_by_app(day, at_least=100):
    means = pa.table({"app": day.rows["app_id"], "p": day.probability}).group_by("app").aggregate([("p", "mean"), ("p", "count")])
    return {row["app"]: row["p_mean"] for row in means.to_pylist() if row["p_count"] >= at_least}


def test_missing_ages_and_ratings_and_empty_lists_occur(big):
    assert 0.1 < big[0].rows["age"].null_count / big[0].rows.num_rows < 0.2
    assert big[0].rows["rating"].null_count > 0
    assert min(len(installed) for installed in big[0].rows["installed_apps"].to_pylist()) == 0


def test_acquisitions_fall_with_the_slot_and_swing_with_the_week(big):
    by_slot = [labels(big[0])[big[0].rows["slot"].to_numpy() == slot].mean() for slot in (1, 4, 10)]
    assert by_slot[0] > by_slot[1] > by_slot[2]
    rates = [day.probability.mean() for day in days(SMALL.stationary().model_copy(update={"rows_per_day": 20_000}), 7)]
    assert max(rates) - min(rates) > 0.01


def test_a_regression_flips_the_asked_share_of_one_days_labels_and_nothing_else():
    sound, faulty = days(SMALL, 4), days(with_fault("regression:2:0.3"), 4)
    flipped = [np.mean(labels(a) != labels(b)) for a, b in zip(sound, faulty, strict=True)]
    assert [flipped[i] for i in (0, 1, 3)] == [0, 0, 0]
    assert abs(flipped[2] - 0.3) < 0.05
    for a, b in zip(sound, faulty, strict=True):
        assert a.rows.drop_columns("acquired").equals(b.rows.drop_columns("acquired"))
        assert np.array_equal(a.probability, b.probability)


@pytest.mark.parametrize("column", ["age", "installed_apps", "category", "acquired"])
def test_a_broken_column_is_null_on_its_day_only(column):
    sound, faulty = days(SMALL, 3), days(with_fault(f"broken-column:1:{column}"), 3)
    assert faulty[1].rows[column].null_count == 1000
    assert faulty[1].rows.schema == sound[1].rows.schema
    assert faulty[1].rows.drop_columns(column).equals(sound[1].rows.drop_columns(column))
    assert faulty[2].rows.equals(sound[2].rows)


def test_a_truncated_day_ends_early_and_the_next_day_is_whole():
    sound, faulty = days(SMALL, 3), days(with_fault("truncated:1"), 3)
    assert faulty[1].rows.equals(sound[1].rows.slice(0, 100))
    assert len(faulty[1].probability) == 100
    assert faulty[2].rows.equals(sound[2].rows)


def test_an_abrupt_drift_changes_the_effects_from_its_day_on_by_its_size():
    """How well the old store's probabilities rank the new store's labels: the visits of the day itself are the same."""
    settings = simulation_settings(rows_per_day=20_000, seed=2, new_apps=0)
    sound = days(settings, 2)

    def worth(size):
        faulty = days(with_fault(f"drift:1:{size}", settings), 2)
        assert faulty[0].rows.equals(sound[0].rows)
        assert faulty[1].rows["app_id"].equals(sound[1].rows["app_id"])
        assert auc(labels(faulty[1]), faulty[1].probability) > 0.75
        return auc(labels(faulty[1]), sound[1].probability)

    assert auc(labels(sound[1]), sound[1].probability) > worth(0.4) + 0.02 > worth(1.0) + 0.1


def test_decay_weakens_the_signal_a_little_more_every_day():
    sound, faulty = days(BIG, 1), days(with_fault("decay:0:0.2", BIG), 4)
    spread = [np.log(day.probability / (1 - day.probability)).std() for day in (*sound, *faulty)]
    assert all(later < 0.9 * earlier for earlier, later in itertools.pairwise(spread))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flood:1", "got 'flood'"),
        ("drift:1", "drift needs a size"),
        ("drift:0:0.5", "nothing to drift from"),
        ("regression:1:1.5", "got '1.5'"),
        ("truncated:1:0.5", "truncated takes no size"),
        ("broken-column:1", "needs a column"),
        ("broken-column:1:row_id", "wanted one of event_time"),
        ("decay:soon:0.1", "got 'soon'"),
        ("regression:1:0.1:2", "more than three parts"),
        ("", "got ''"),
    ],
)
def test_a_wrong_fault_is_refused_with_what_was_given_and_what_is_wanted(text, said):
    with pytest.raises(UsageError, match="Wanted one of regression:DAY:SIZE") as refused:
        parse_fault(text)
    assert said in str(refused.value)


def test_wrong_settings_are_refused_all_together():
    with pytest.raises(UsageError, match=r"rows per day: got 1005.*apps: got 3.*run again"):
        simulation_settings(rows_per_day=1005, apps=3)
