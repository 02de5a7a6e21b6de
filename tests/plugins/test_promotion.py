"""The promotion of a lane: what a person is asked, when nobody is, and what an answer does that comes too late."""

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from widedeep_airflow.promotion import ApproveLaneOperator, CompareLaneOperator, PromoteLaneOperator

from widedeep import steps
from widedeep.artifacts import Candidate
from widedeep.errors import OrderError, StaleError

LANE, NEW, OLD = "replay-2026-01-02-0f3a", "r-" + "1" * 16, "r-" + "0" * 16
PLAN = steps.LanePlan(
    lane=LANE,
    candidate=Candidate(release_id=NEW, span=date(2026, 1, 4), parent=None, manifest_sha256="0" * 64),
    own=(date(2026, 1, 2), date(2026, 1, 4)),
    champion=OLD,
    champion_span=date(2026, 1, 4),
    withdrawn=(OLD,),
    pending=(),
    holdout=(),
)
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
    def open_workplace(environment, *, actor):
        yield Place(actor)

    monkeypatch.setattr(steps, "open_workplace", open_workplace)
    monkeypatch.setattr(steps, "require_safe_store", lambda _: None)
    monkeypatch.setattr(steps, "adopted", lambda *_: None)
    monkeypatch.setattr(steps, "plan_lane_promotion", lambda place, lane: PLAN)
    monkeypatch.setattr(steps, "compare_lane", lambda place, plan: VERDICT)
    monkeypatch.setattr(steps, "decision_of", lambda place, key: "promote")
    monkeypatch.setattr(steps, "lane_question", lambda place, plan, key, address: f"D = -0.01, {address(key)}")
    return lambda name, step: monkeypatch.setattr(steps, name, step)


@pytest.fixture
def context(fake_task):
    def make(**xcoms):
        run = SimpleNamespace(dag_id="widedeep_promote_lane")
        params = {"lane": LANE, "reason": "a corrected day"}
        return {"ti": fake_task(xcoms, {}), "params": params, "dag_run": run, "run_id": "manual__1"}

    return make


def compared(context):
    return CompareLaneOperator(task_id="compare").execute(context())


def asking():
    return ApproveLaneOperator(task_id="approve", patience=timedelta(hours=1))


def test_what_was_compared_is_handed_on_with_where_a_browser_finds_the_report(context):
    pushed = compared(context)
    assert steps.LanePlan.model_validate(pushed["plan"]) == PLAN
    assert (pushed["verdict"], pushed["decision"]) == (VERDICT, "promote")
    assert pushed["told"] == f"D = -0.01, /widedeep/{VERDICT}"


def test_a_lane_that_was_promoted_is_not_compared_again(context, library):
    library("adopted", lambda *_: SimpleNamespace(release_id=NEW, lane="live"))
    with pytest.raises(AirflowSkipException, match=f"{NEW} of lane {LANE} is champion of lane live already"):
        compared(context)


def test_a_lane_that_can_not_be_promoted_fails_at_once_in_words(context, library):
    library("plan_lane_promotion", failing(OrderError("2 day(s) of live are later")))
    with pytest.raises(AirflowFailException, match=r"2 day\(s\) of live are later"):
        compared(context)


@pytest.mark.parametrize("decision", ["promote", "hold"])
def test_a_person_is_asked_about_what_the_gate_passes_or_holds_and_no_answer_is_a_no(context, library, monkeypatch, decision):
    library("decision_of", lambda *_: decision)
    monkeypatch.setattr(ApprovalOperator, "execute", lambda self, _: (self.subject, self.defaults, self.response_timeout))
    assert asking().execute(context(compare=compared(context))) == ("Promote the lane?", ["Reject"], timedelta(hours=1))
    assert "xcom_pull(task_ids='compare')['told']" in asking().body


def test_nobody_is_asked_about_what_the_gate_rejects(context, library):
    library("decision_of", lambda *_: "reject")
    with pytest.raises(AirflowSkipException, match="the gate rejects"):
        asking().execute(context(compare=compared(context)))


def test_the_move_names_who_approved_it_and_why(context, library):
    moved = []

    def promote_lane(place, plan, verdict, reason):
        moved.append((place.actor, plan, verdict, reason))
        return SimpleNamespace(release_id=NEW)

    library("promote_lane", promote_lane)
    assert PromoteLaneOperator(task_id="adopt").execute(context(compare=compared(context), approve=BY_ANN)) == NEW
    actor = "airflow:widedeep_promote_lane/manual__1, approved by ann"
    assert moved == [(actor, PLAN, VERDICT, "a corrected day")]


def test_after_live_has_moved_on_the_comparison_is_to_be_cleared(context, library):
    library("promote_lane", failing(StaleError("the live champion changed.")))
    with pytest.raises(AirflowFailException, match="clear compare with Downstream"):
        PromoteLaneOperator(task_id="adopt").execute(context(compare=compared(context), approve=BY_ANN))
