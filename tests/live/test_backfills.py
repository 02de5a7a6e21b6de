"""Backfills on a real scheduler: whatever is pressed gives the models that history would have given, or says what is wrong."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import pytest

from benchmarks.walks.__main__ import free_port
from benchmarks.walks.combinations import refused
from benchmarks.walks.stack import CONFLICT, RETRAIN, Chain, Walk, backup, restore, running
from widedeep.artifacts import LIVE
from widedeep.publishing import layout
from widedeep.steps import bootstrap, deliver_sample, open_workplace, run_span

pytestmark = pytest.mark.timeout(1800)

DAYS = 4
MINUTE_S = 60


@dataclass(frozen=True)
class Past:
    """A stack on which the scheduler has caught up, undisturbed, with all that its store held before and after."""

    walk: Walk
    learnt: dict[str, bytes]
    done: dict[str, bytes]
    chain: Chain

    @cached_property
    def days(self) -> list[date]:
        return [self.walk.day(number) for number in range(1, DAYS + 1)]

    def back(self, saved: dict[str, bytes]) -> bytes:
        """Bring the store back to that state. Returns what live's pointer says there."""
        with self.walk.store() as store:
            restore(store, saved)
        return saved[layout.champion(LIVE)]

    def pointer(self) -> bytes:
        with self.walk.store() as store:
            blob = store.get(layout.champion(LIVE))
        assert blob is not None
        return blob.data


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    with running(tmp_path_factory.mktemp("backfills"), free_port(), DAYS) as walk, walk.store() as store:
        learnt = backup(store)
        walk.pause(False)
        walk.quiet(walk.day(DAYS))
        yield Past(walk, learnt, backup(store), walk.chain())


def test_days_that_overlap_are_settled_in_order(past: Past) -> None:
    runs = past.walk.runs(*past.days)
    outcomes = [past.walk.outcome(day) for day in past.days]
    settled = [outcome.settled_at for outcome in outcomes if outcome]
    started = [min(task["start_date"] for task in past.walk.tasks(run).values() if task["start_date"]) for run in runs]

    assert [*past.chain] == past.days
    assert settled == sorted(settled)
    assert max(started) < min(run["end_date"] for run in runs), "the days did not overlap"


def test_a_shell_day_by_day_makes_the_same_models_bit_by_bit(past: Past) -> None:
    walk, first = past.walk, past.walk.stack.history
    elsewhere = {**walk.settings, "WIDEDEEP_STORE": f"{walk.settings['WIDEDEEP_STORE']}/shell"}
    with open_workplace(elsewhere, actor="shell") as place:
        for span in (*days_between(*first), *past.days):
            deliver_sample(place, span)
        bootstrap(place, *first)
        for span in past.days:
            run_span(place, span)
        shell = Walk(walk.place, walk.stack)
        shell.__dict__["settings"] = elsewhere

    assert shell.chain() == past.chain
    assert shell.payloads(past.chain) == walk.payloads(past.chain)


def test_runs_of_a_backfill_of_old_days_share_a_lane_of_their_own_and_two_backfills_do_not(past: Past) -> None:
    walk, before = past.walk, past.back(past.done)
    found = []
    for _ in range(2):
        number = walk.backfill(*ends(past.days), reprocess_behavior="completed")
        runs = walk.quiet(*past.days)
        found.append({walk.lane_of(run) for run in runs})
        walk.until(lambda number=number: walk.backfill_state(number)["completed_at"], "the backfill counts as completed", 120)
    ((one,), (two,)) = found

    assert LIVE not in {one, two}
    assert one != two
    assert walk.chain(one) == walk.chain(two) == past.chain
    assert past.pointer() == before, "live has moved"
    assert walk.chain() == past.chain
    assert all("learnt" not in walk.log(run, "train") for run in walk.runs(*past.days)), "something was trained again"


def test_a_backfill_that_extends_live_with_the_form_s_defaults_makes_the_same_models_bit_by_bit(past: Past) -> None:
    walk, payloads = past.walk, past.walk.payloads(past.chain)
    past.back(past.learnt)
    walk.backfill(*ends(past.days), reprocess_behavior="completed")
    runs = walk.quiet(*past.days)

    assert {run["state"] for run in runs} == {"success"}
    assert walk.chain() == past.chain
    assert walk.payloads(past.chain) == payloads


def test_behind_a_failed_day_runs_stop_in_one_sentence_and_clearing_in_any_order_mends_it(past: Past) -> None:
    walk, broken = past.walk, past.days[1]
    past.back(past.learnt)
    damaged = {
        key: data for key, data in past.done.items() if key.startswith(layout.validations(broken)) and layout.is_findings(key)
    }
    with walk.damaged(damaged):
        walk.backfill(*ends(past.days), reprocess_behavior="completed")
        runs = walk.quiet(*past.days)
        said = refused(walk, runs, broken)
    tries = [walk.tasks(run)["wait_turn"]["try_number"] for run in runs[2:]]
    walk.clear(runs[3]["dag_run_id"])
    (again,) = walk.quiet(past.days[3])
    retried = walk.tasks(again)["wait_turn"]["try_number"] - tries[1]
    for run in (runs[3], runs[1], runs[2]):
        walk.clear(run["dag_run_id"])
    ended = walk.quiet(*past.days)

    assert [f"span {broken} of lane live is unsettled: clear or run {broken} first" in line for line in said] == [True, True]
    assert (again["state"], retried) == ("failed", 1)
    assert {run["state"] for run in ended} == {"success"}, walk.told()
    assert walk.chain() == past.chain


def test_what_the_form_can_ask_for_wrongly_ends_fast_in_a_sentence(past: Past) -> None:
    walk = past.walk
    past.back(past.done)
    began = time.monotonic()
    number = walk.backfill(*ends(past.days), reprocess_behavior="completed", run_backwards=True)
    second, _ = walk.ask_for_backfill(*ends(past.days))
    manual, _ = walk.api.call("POST", f"dags/{RETRAIN}/dagRuns", {"logical_date": f"{past.days[0]}T00:00:00Z", "conf": {}})
    runs = walk.quiet(*past.days)
    took = max(run_seconds(run) for run in runs)
    walk.until(lambda: walk.backfill_state(number)["completed_at"], "the backfill counts as completed", 120)

    assert (second, manual) == (CONFLICT, CONFLICT)
    assert {run["state"] for run in runs} == {"failed"}
    assert all("this backfill runs backwards" in walk.log(run, "ingest") for run in runs)
    assert took < MINUTE_S * 2, f"{took} s after {time.monotonic() - began} s"

    # Of failed runs there are four now. One day is mended, so that "missing and errored" leaves it out in the middle.
    walk.api.call("DELETE", f"dags/{RETRAIN}/dagRuns/{runs[1]['dag_run_id']}")
    walk.api.call("PATCH", f"dags/{RETRAIN}/dagRuns/{runs[2]['dag_run_id']}", {"state": "success"})
    walk.backfill(*ends(past.days), reprocess_behavior="failed")
    runs = walk.quiet(*past.days)

    assert [run["state"] for run in runs] == ["success", "success", "success", "failed"]
    assert f"leaves out {past.days[2]}, where runs are already" in walk.log(runs[3], "ingest")


def test_with_missing_runs_only_nothing_runs_where_all_days_have_one(past: Past) -> None:
    walk, before = past.walk, [run["start_date"] for run in past.walk.runs(*past.days)]
    walk.backfill(*ends(past.days))
    time.sleep(5)

    assert [run["start_date"] for run in walk.runs(*past.days)] == before


def ends(days: list[date]) -> tuple[date, date]:
    return days[0], days[-1]


def days_between(first: date, last: date) -> list[date]:
    return [date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]


def run_seconds(run: dict[str, str]) -> float:
    return (datetime.fromisoformat(run["end_date"]) - datetime.fromisoformat(run["start_date"])).total_seconds()
