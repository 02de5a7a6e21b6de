"""A replay's lane and head are pushed, its lane follows from the run, and its log tells which day it is at."""

from contextlib import contextmanager
from datetime import date
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException
from widedeep_airflow.replay import ReplayOperator

from widedeep import steps
from widedeep.errors import OrderError, StoreUnavailableError, UnsafeStoreError

FIRST, LAST = date(2026, 1, 2), date(2026, 1, 4)


def raising(error):
    def step(*_):
        raise error

    return step


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """Live's head is two days after the first; each step replaced where a test says so."""

    @contextmanager
    def open_workplace(_environment, *, actor):
        yield SimpleNamespace(actor=actor)

    def replay(_place, plan, on_hold, on_step):
        on_step(f"{LAST}, {plan.place_of(LAST)}", f"gate, {on_hold}")
        return plan

    monkeypatch.setattr(steps, "open_workplace", open_workplace)
    monkeypatch.setattr(steps, "require_safe_store", lambda _: None)
    monkeypatch.setattr(steps, "plan_replay", lambda _, first, lane: steps.ReplayPlan(lane=lane, first=first, last=LAST))
    monkeypatch.setattr(steps, "replay", replay)
    monkeypatch.setattr(steps, "replayed", lambda _, plan: f"lane {plan.lane}: promote it")
    return lambda name, step: monkeypatch.setattr(steps, name, step)


def replayed(run="manual__1", **params):
    given = {"from": str(FIRST), "lane": None, "on_hold": "drop"} | params
    return ReplayOperator(task_id="rebuild").execute(
        {"params": given, "dag_run": SimpleNamespace(dag_id="widedeep_replay"), "run_id": run}
    )


def test_each_run_has_a_lane_of_its_own_and_the_same_one_if_it_is_cleared():
    pushed = replayed()
    assert pushed == {"lane": steps.new_lane(FIRST, "manual__1"), "head": str(LAST)}
    assert replayed() == pushed
    assert replayed("manual__2")["lane"] != pushed["lane"]
    assert replayed(lane="again")["lane"] == "again"


def test_the_log_tells_which_days_which_one_it_is_at_and_how_to_promote_the_lane(capsys):
    replayed(lane="again", on_hold="pass")
    told = capsys.readouterr().out
    said = ["lane again: 3 day(s), 2026-01-02 to 2026-01-04", "2026-01-04, day 3 of 3: gate, pass", "lane again: promote it"]
    assert [told.count(line) for line in said] == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "error"),
    [("require_safe_store", UnsafeStoreError("two writers won")), ("plan_replay", OrderError("none can be left out"))],
)
def test_what_no_retry_mends_fails_at_once(library, name, error):
    library(name, raising(error))
    with pytest.raises(AirflowFailException, match=str(error)):
        replayed()


def test_a_store_that_does_not_answer_is_tried_again(library):
    library("replay", raising(StoreUnavailableError("no answer")))
    with pytest.raises(StoreUnavailableError):
        replayed()


def test_a_day_that_is_none_is_named():
    with pytest.raises(AirflowFailException, match=r"Param 'from': wanted a date such as .*, got 'yesterday'"):
        replayed(**{"from": "yesterday"})
