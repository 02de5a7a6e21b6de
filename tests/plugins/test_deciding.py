"""Freezing and requeueing from Airflow: the library does it, and the person who started the run is named with it."""

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from widedeep_airflow.deciding import FREEZE, THAW, FreezeOperator, RequeueOperator
from widedeep_airflow.releases import scoring

from widedeep import steps
from widedeep.artifacts import LIVE
from widedeep.errors import StaleError
from widedeep.publishing import moves
from widedeep.steps import requeueing


@dataclass(frozen=True)
class Place:
    """What the operators see of a workplace."""

    store: object
    actor: str

    def because(self, reason):
        return moves.Because(datetime(2026, 1, 2, tzinfo=UTC), self.actor, reason)


@pytest.fixture(autouse=True)
def library(monkeypatch):
    @contextmanager
    def open_workplace(environment, *, actor):
        yield Place(SimpleNamespace(url="s3://widedeep"), actor)

    monkeypatch.setattr(steps, "open_workplace", open_workplace)
    monkeypatch.setattr(steps, "require_safe_store", lambda _: None)


def context(**params):
    run = SimpleNamespace(dag_id="widedeep_freeze", triggering_user_name="ann")
    return {"params": {"lane": LIVE, "reason": "a sale"} | params, "dag_run": run, "run_id": "manual__1"}


@pytest.mark.parametrize("what", [FREEZE, THAW])
def test_a_lane_is_frozen_or_thawed_by_whoever_started_the_run(monkeypatch, what):
    done = []

    def move(store, lane, because):
        done.append((what, lane, because.by, because.reason))
        return SimpleNamespace(lane=lane, frozen=because.reason if what == FREEZE else None)

    monkeypatch.setattr(moves, what, move)
    said = FreezeOperator(task_id="move").execute(context(do=what))
    assert done == [(what, LIVE, "airflow:widedeep_freeze/manual__1, started by ann", "a sale")]
    assert said == ("a sale" if what == FREEZE else "")


def test_a_promotion_at_that_moment_does_not_keep_a_lane_from_being_frozen(monkeypatch):
    tries = iter([StaleError("moved"), SimpleNamespace(lane=LIVE, frozen="a sale")])

    def move(*_):
        if isinstance(found := next(tries), Exception):
            raise found
        return found

    monkeypatch.setattr(moves, "freeze", move)
    assert FreezeOperator(task_id="move").execute(context(do=FREEZE)) == "a sale"


def test_a_day_is_requeued_with_its_reason(monkeypatch):
    done = []

    def requeue(place, span, reason, lane):
        done.append((place.actor, str(span), reason, lane))
        return SimpleNamespace(told="2 rows are learnt next")

    monkeypatch.setattr(requeueing, "requeue", requeue)
    assert RequeueOperator(task_id="requeue").execute(context(span="2026-01-02")) == "2 rows are learnt next"
    assert done == [("airflow:widedeep_freeze/manual__1, started by ann", "2026-01-02", "a sale", LIVE)]


def test_what_a_browser_is_told_of_a_failed_list_names_no_address():
    said = scoring.told("INFO\nerror: r-1: has no table in s3://bucket/x at http://10.0.0.7:9000/y. Run the next span.")
    assert said == "r-1: has no table in the store at the store Run the next span."
