"""The promotion of a lane: what a person is asked, when nobody is, and what an answer does that comes too late."""

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from widedeep_airflow.promotion import ApproveLaneOperator, CompareLaneOperator, PromoteLaneOperator

from widedeep import steps
from widedeep.errors import OrderError, StaleError

LANE, NEW = "replay-2026-01-02-0f3a", "r-" + "1" * 16
VERDICT = f"evidence/{NEW}/verdict-0.json"
BY_ANN = {"chosen_options": ["Approve"], "responded_by_user": {"name": "ann"}}


@dataclass(frozen=True)
class Place:
    actor: str


def failing(error):
    def step(*_):
        raise error

    return step


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """A lane that the gate finds good; each step replaced where a test says so."""

    @contextmanager
    def open_workplace(_environment, *, actor):
        yield Place(actor)

    monkeypatch.setattr(steps, "open_workplace", open_workplace)
    monkeypatch.setattr(steps, "require_safe_store", lambda _: None)
    monkeypatch.setattr(steps, "adopted", lambda *_: None)
    monkeypatch.setattr(steps, "plan_lane_promotion", lambda *_: SimpleNamespace(told=lambda: "would take live's place"))
    monkeypatch.setattr(steps, "compare_lane", lambda *_: VERDICT)
    monkeypatch.setattr(steps, "decision_of", lambda *_: "promote")
    monkeypatch.setattr(steps, "lane_question", lambda _place, _plan, key, address: f"D = -0.01, {address(key)}")
    return lambda name, step: monkeypatch.setattr(steps, name, step)


@pytest.fixture
def context(fake_task):
    def make(**xcoms):
        run = SimpleNamespace(dag_id="widedeep_promote_lane")
        params = {"lane": LANE, "reason": "a corrected day"}
        return {"ti": fake_task(xcoms, {}), "params": params, "dag_run": run, "run_id": "manual__1"}

    return make


def compared(context):
    return CompareLaneOperator().execute(context())


def asked(context):
    return ApproveLaneOperator(task_id="approve", patience=timedelta(hours=1)).execute(context(compare=compared(context)))


def moved(context):
    return PromoteLaneOperator(task_id="promote").execute(context(compare=compared(context), approve=BY_ANN))


@pytest.fixture
def shown(monkeypatch):
    """What Airflow shows under Required Actions, instead of waiting for an answer."""
    monkeypatch.setattr(ApprovalOperator, "execute", lambda self, _: self)


def test_what_was_compared_is_handed_on_by_its_key(context):
    assert compared(context) == {"verdict": VERDICT, "decision": "promote"}


def test_a_lane_that_was_promoted_is_not_compared_again(context, library):
    library("adopted", lambda *_: SimpleNamespace(release_id=NEW, lane="live"))
    with pytest.raises(AirflowSkipException, match=f"{NEW} of lane {LANE} is champion of lane live already"):
        compared(context)


def test_a_lane_that_can_not_be_promoted_fails_at_once_in_words(context, library):
    library("plan_lane_promotion", failing(OrderError("2 day(s) of live are later")))
    with pytest.raises(AirflowFailException, match=r"2 day\(s\) of live are later"):
        compared(context)


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("decision", ["promote", "hold"])
def test_a_person_is_asked_about_what_the_gate_passes_or_holds_and_no_answer_is_a_no(context, library, decision):
    library("decision_of", lambda *_: decision)
    question = asked(context)
    assert (question.subject, question.defaults) == (f"Promote lane {LANE} over live?", ["Reject"])
    assert question.response_timeout == timedelta(hours=1)
    assert question.body == f"D = -0.01, /widedeep/{VERDICT}\n\nReason: a corrected day"


@pytest.mark.usefixtures("shown")
def test_nobody_is_asked_about_what_the_gate_rejects(context, library):
    library("decision_of", lambda *_: "reject")
    with pytest.raises(AirflowSkipException, match="the gate rejects"):
        asked(context)


@pytest.mark.usefixtures("shown")
def test_nobody_is_asked_about_a_comparison_with_a_champion_that_live_has_left(context, library):
    library("lane_question", failing(StaleError("Compare the lane again.")))
    with pytest.raises(AirflowFailException, match="clear compare with Downstream"):
        asked(context)


def test_the_move_names_who_approved_it_and_why(context, library):
    made = []

    def promote_lane(place, lane, verdict, reason):
        made.append((place.actor, lane, verdict, reason))
        return SimpleNamespace(release_id=NEW)

    library("promote_lane", promote_lane)
    assert moved(context) == NEW
    assert made == [("airflow:widedeep_promote_lane/manual__1, approved by ann", LANE, VERDICT, "a corrected day")]


def test_after_live_has_moved_on_the_comparison_is_to_be_cleared(context, library):
    library("promote_lane", failing(StaleError("the live champion changed.")))
    with pytest.raises(AirflowFailException, match="clear compare with Downstream"):
        moved(context)
