"""The question about a span that is held: who is asked, about what, and what an answer that comes too late looks like."""

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from widedeep_airflow.review import AskOperator, RecordOperator, StartReviewOperator

from widedeep import steps
from widedeep.artifacts import Proposal, Ruling
from widedeep.errors import StaleError, SupersededError, WithheldError

SPAN, NOW = date(2026, 1, 2), datetime(2026, 1, 9, 12, tzinfo=UTC)
TWIN = "r-" + "2" * 16
HELD = {"ingest": {"span": "2026-01-02", "lane": "live"}, "settle": {"result": "held"}}
SUPERSEDED = SupersededError("span 2026-01-02 of lane live: superseded by span 2026-01-03")
FROZEN = WithheldError("lane live is frozen: incident")
BY_ANN = {
    "chosen_options": ["Accept"],
    "responded_by_user": {"name": "ann"},
    "params_input": {"reason": "looked at it"},
    "responded_at": NOW,
}


@dataclass(frozen=True)
class Place:
    actor: str
    contract: SimpleNamespace
    clock: object


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """A span whose candidate the gate held; each step replaced where a test says so."""

    @contextmanager
    def open_workplace(environment, *, actor):
        yield Place(actor, SimpleNamespace(drastic=SimpleNamespace(patience=timedelta(days=2))), lambda: NOW)

    monkeypatch.setattr(steps, "open_workplace", open_workplace)
    monkeypatch.setattr(steps, "require_safe_store", lambda _: None)
    monkeypatch.setattr(steps, "awaited_review", lambda *_: SimpleNamespace(verdict="evidence/v", span=SPAN, lane="live"))
    monkeypatch.setattr(steps, "answered", lambda *_: None)
    monkeypatch.setattr(steps, "question", lambda *_: "D = 0.0003")
    monkeypatch.setattr(steps, "waits_for_review", lambda *_: True)
    return lambda name, step: monkeypatch.setattr(steps, name, step)


@pytest.fixture
def context(fake_task):
    def make(xcoms, **params):
        run = SimpleNamespace(dag_id="widedeep_review", start_date=NOW)
        return {
            "ti": fake_task(xcoms, {}),
            "params": {"span": "2026-01-02", "lane": "live", "release": None} | params,
            "dag_run": run,
            "run_id": "review-live-2026-01-02",
        }

    return make


def failing(error):
    def step(*_):
        raise error

    return step


def ruling(answer, by):
    told = {"span": SPAN, "reason": "looked at it", "reviewed_at": NOW, "reviewed_by": by}
    return Ruling(release_id="r-" + "0" * 16, verdict_sha256="0" * 64, answer=answer, **told)


def test_a_held_candidate_of_the_live_lane_starts_a_question(context, monkeypatch):
    started = []
    monkeypatch.setattr(TriggerDagRunOperator, "execute", lambda self, _: started.append((self.trigger_run_id, self.conf)))
    StartReviewOperator(task_id="ask").execute(context(HELD))
    assert started == [("review-live-2026-01-02", {"span": "2026-01-02", "lane": "live"})]


def test_in_another_lane_nobody_is_asked(context):
    replay = HELD | {"ingest": {"span": "2026-01-02", "lane": "replay"}}
    with pytest.raises(AirflowSkipException, match="held in lane replay"):
        StartReviewOperator(task_id="ask").execute(context(replay))


def test_the_question_is_whether_to_promote_and_says_until_when(context, monkeypatch):
    monkeypatch.setattr(HITLOperator, "execute", lambda self, _: (self.subject, self.body, self.response_timeout, self.defaults))
    subject, body, patience, default = AskOperator(task_id="ask").execute(context({}))
    assert subject == "Promote the candidate of span 2026-01-02 of lane live? The gate held it."
    assert body == "D = 0.0003\n\nWithout an answer until 2026-01-11 12:00 UTC it is a no."
    assert (patience, default) == (timedelta(days=2), ["Reject"])


def test_nobody_is_asked_any_more_once_a_later_span_has_settled(context, library):
    library("awaited_review", failing(SUPERSEDED))
    with pytest.raises(AirflowSkipException, match="superseded by span 2026-01-03"):
        AskOperator(task_id="ask").execute(context({}))


@pytest.mark.parametrize("error", [SUPERSEDED, FROZEN], ids=["superseded", "frozen"])
def test_an_answer_that_can_not_be_followed_is_told_so_and_is_no_failure(context, library, caplog, error):
    library("review", failing(error))
    with pytest.raises(AirflowSkipException, match=str(error)):
        RecordOperator(task_id="record").execute(context({"ask": BY_ANN}))
    assert caplog.messages == [str(error)]


def test_if_another_champion_stands_meanwhile_the_record_fails_and_says_what_to_clear(context, library):
    library("review", failing(StaleError("the pointer moved.")))
    with pytest.raises(AirflowFailException, match="clear record with Downstream"):
        RecordOperator(task_id="record").execute(context({"ask": BY_ANN}))


def test_an_answer_is_kept_with_who_gave_it_and_why(context, library):
    given = []

    def review(place, span, answer, why, lane, release):
        given.append((span, answer, why, lane, release))
        return ruling(answer, place.actor)

    library("review", review)
    told = RecordOperator(task_id="record").execute(context({"ask": BY_ANN}))
    RecordOperator(task_id="record").execute(context({"ask": BY_ANN}, release=TWIN))
    assert given == [(SPAN, "accept", "looked at it", "live", release) for release in (None, TWIN)]
    assert "answered by ann" in told


def test_about_a_twin_the_question_is_whether_the_lane_goes_on_from_it(context, library, monkeypatch):
    monkeypatch.setattr(HITLOperator, "execute", lambda self, _: self.subject)
    said = {
        "lane": "live",
        "span": SPAN,
        "head": SPAN,
        "result": "held",
        "reasons": ("owes",),
        "settled_at": NOW,
        "settled_by": "x",
    }
    twin = Proposal(release_id=TWIN, verdict="evidence/v", **said)
    library("awaited_review", lambda *asked: twin if asked[3] == TWIN else None)
    subject = AskOperator(task_id="ask").execute(context({}, release=TWIN))
    assert subject == "Let lane live go on from a twin of its champion? The champion owes it too much."


def test_whose_answer_came_second_is_told_who_was_first(context, library, caplog):
    library("review", lambda *_: ruling("reject", "shell:bob"))
    with pytest.raises(AirflowSkipException, match=r"rejected by shell:bob .*The first answer stands"):
        RecordOperator(task_id="record").execute(context({"ask": BY_ANN}))
    assert "The first answer stands" in caplog.text
