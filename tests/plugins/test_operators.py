"""What an operator adds to the step that it runs: which faults are retried, when it waits, and what it believes."""

from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from widedeep_airflow.chores import BootstrapOperator, FeedOperator, PruneOperator
from widedeep_airflow.notifying import AlertNotifier
from widedeep_airflow.operators import IngestOperator, SettleOperator, StepOperator
from widedeep_airflow.review import StartReviewOperator
from widedeep_airflow.rollback import ASK, BEFORE, ChooseOperator

from widedeep import steps
from widedeep.artifacts import FileRef, Outcome, Progress, Snapshot, Waiting
from widedeep.errors import IntegrityError, StaleError, StoreUnavailableError, UnsafeStoreError

SPAN = date(2026, 1, 2)
STARTED_AT = datetime(2026, 1, 9, 12, tzinfo=UTC)
STARTED = Progress(span=SPAN, lane="live")
INGESTED = {"span": "2026-01-02", "lane": "live"}
SIX = ("ingest", "validate", "train", "dry_run", "gate", "publish")
LATE = Outcome(
    lane="live",
    span=date(2025, 12, 30),
    result="held",
    reasons=("late rows changed drastically",),
    snapshot=Snapshot(
        span=date(2025, 12, 30),
        version=2,
        digest="0" * 64,
        rows=1,
        file=FileRef(name="rows.parquet", sha256="0" * 64, size_bytes=1),
    ),
    validation="validation/2025-12-30/x/findings.json",
    settled_at=STARTED_AT,
    settled_by="airflow:widedeep_retrain/scheduled__0",
)
FINE = dict.fromkeys((*SIX, "wait_turn"), "success")


@pytest.fixture
def context(fake_task):
    """A run of 2026-01-02 with these XComs and task states."""

    def make(xcoms=None, states=None, **params):
        return {
            "ti": fake_task(xcoms or {"ingest": INGESTED}, states or FINE),
            "params": {"span": "2026-01-02", "lane": None, "on_hold": "drop"} | params,
            "dag_run": SimpleNamespace(
                dag_id="widedeep_retrain", run_id="scheduled__1", start_date=STARTED_AT, run_type="scheduled", conf=None
            ),
            "run_id": "scheduled__1",
        }

    return make


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """The steps, each replaced where a test says so."""

    @contextmanager
    def open_workplace(environment, *, actor):
        yield SimpleNamespace(actor=actor, store=SimpleNamespace(url="s3://widedeep"), contract=SimpleNamespace(label_delay=0))

    monkeypatch.setattr(steps, "open_workplace", open_workplace)
    monkeypatch.setattr(steps, "require_safe_store", lambda _: None)
    monkeypatch.setattr(steps, "start", lambda _, span, lane, **__: Progress(span=span, lane=lane or "live"))
    monkeypatch.setattr(steps, "comes_in_turn", lambda _: False)
    monkeypatch.setattr(steps, "readiness", lambda *_: None)
    return lambda name, step: monkeypatch.setattr(steps, name, step)


def failing(error):
    def step(*_, **__):
        raise error

    return step


def test_a_step_returns_only_what_it_added(context, library):
    library("train", lambda _, progress: progress.model_copy(update={"validation": "v"}))
    assert StepOperator(step="train").execute(context()) == {"validation": "v"}


def test_a_permanent_fault_is_not_retried_and_keeps_its_words(context, library):
    library("train", failing(IntegrityError("bytes differ")))
    with pytest.raises(AirflowFailException, match="IntegrityError: bytes differ"):
        StepOperator(step="train").execute(context())


def test_a_stale_verdict_is_not_retried_and_the_text_says_which_task_decides_again(context, library):
    library("publish", failing(StaleError("lane 'live': the champion changed.")))
    with pytest.raises(AirflowFailException, match=r"StaleError: .* changed\. To decide again, clear gate with Downstream"):
        StepOperator(step="publish").execute(context())


def test_a_step_whose_span_was_settled_meanwhile_is_skipped_and_says_so(context, library):
    library("train", lambda _, progress: progress.model_copy(update={"result": "promoted"}))
    with pytest.raises(AirflowSkipException, match=r"2026-01-02: nothing to do: settled already \(promoted\)"):
        StepOperator(step="train").execute(context())


@pytest.mark.parametrize("fault", [StoreUnavailableError("no answer"), OSError("a defect")])
def test_any_other_fault_goes_to_airflow_as_it_is(context, library, fault):
    library("train", failing(fault))
    with pytest.raises(type(fault)):
        StepOperator(step="train").execute(context())


def test_a_step_of_a_span_that_is_over_is_skipped_without_being_called(context, library):
    library("train", failing(AssertionError("called")))
    with pytest.raises(AirflowSkipException, match="2026-01-02: nothing to do: quarantined"):
        StepOperator(step="train").execute(context({"ingest": INGESTED, "validate": {"quarantined": True}}))


def test_ingest_resolves_the_lane_that_the_run_asks_for(context, library):
    library("ingest", lambda _, progress, __: progress)
    assert IngestOperator(task_id="ingest").execute(context(lane="replay"))["lane"] == "replay"


def test_ingest_of_a_settled_span_looks_at_nothing(context, library):
    library("start", lambda *_, **__: STARTED.model_copy(update={"result": "promoted"}))
    library("readiness", failing(AssertionError("called")))
    library("ingest", failing(AssertionError("called")))
    assert IngestOperator(task_id="ingest").execute(context())["result"] == "promoted"


@pytest.mark.parametrize(
    ("until", "timeout"), [(datetime(2099, 1, 1, tzinfo=UTC), None), (None, timedelta(days=7))], ids=["a deadline", "none"]
)
def test_ingest_waits_in_the_triggerer_bounded_by_the_deadline_or_by_a_week(context, library, until, timeout):
    library("readiness", lambda *_: Waiting(span=SPAN, reason="nothing is delivered yet", until=until))
    with pytest.raises(TaskDeferred) as deferred:
        IngestOperator(task_id="ingest").execute(context())
    assert deferred.value.timeout == timeout
    assert deferred.value.trigger.serialize()[1]["until"] == (until and until.isoformat())
    assert deferred.value.method_name == "resume"


def test_a_delivery_counts_as_missing_two_minutes_after_the_run_s_start_at_the_earliest(context, library):
    asked = []
    library("readiness", lambda _, __, not_before: asked.append(not_before))
    library("ingest", lambda _, progress, not_before: asked.append(not_before) or progress)
    IngestOperator(task_id="ingest").execute(context())
    assert asked == [datetime(2026, 1, 9, 12, 2, tzinfo=UTC)] * 2


def test_the_trigger_waits_by_the_same_clock_as_ingest(context, library):
    library("readiness", lambda *_: Waiting(span=SPAN, reason="nothing is delivered yet", until=None))
    with pytest.raises(TaskDeferred) as deferred:
        IngestOperator(task_id="ingest").execute(context())
    assert deferred.value.trigger.serialize()[1]["not_before"] == "2026-01-09T12:02:00+00:00"


def test_ingest_looks_again_when_the_trigger_has_fired(context, library):
    library("ingest", lambda _, progress, __: progress.model_copy(update={"no_data": "too late"}))
    assert IngestOperator(task_id="ingest").resume(context(), {"span": "2026-01-02"}) == INGESTED | {"no_data": "too late"}


def test_ingest_fails_where_only_the_triggerer_can_not_look_instead_of_asking_it_for_ever(context, library):
    library("readiness", lambda *_: Waiting(span=SPAN, reason="nothing is delivered yet", until=None))
    event = {"span": "2026-01-02", "fault": "ContractError: this machine has no such folder"}
    with pytest.raises(AirflowFailException, match=r"nothing is delivered yet, and the triggerer can't wait .* no such folder"):
        IngestOperator(task_id="ingest").resume(context(), event)


@pytest.mark.parametrize("first", [IngestOperator, BootstrapOperator, PruneOperator, ChooseOperator])
@pytest.mark.parametrize("to", [BEFORE, ASK])
def test_the_first_task_of_each_dag_that_moves_or_deletes_touches_nothing_on_an_unsafe_store(context, library, first, to):
    library("require_safe_store", failing(UnsafeStoreError("two writers won")))
    for step in ("start", "readiness", "ingest", "bootstrap", "plan_prune", "prune", "former_champions", "plan_rollback"):
        library(step, failing(AssertionError("called")))
    params = {"from": "2025-12-01", "to": "2025-12-08"} if first is BootstrapOperator else {"to": to, "delete": True}
    with pytest.raises(AirflowFailException, match="UnsafeStoreError: two writers won"):
        first(task_id="first").execute(context(**params))


def test_a_rollback_that_asks_nobody_looks_at_the_store_and_at_nothing_else(context, library):
    library("former_champions", failing(AssertionError("called")))
    assert ChooseOperator(task_id="choose").execute(context(to=BEFORE)) is None


def test_settle_believes_no_xcom_of_a_task_that_was_skipped_this_time(context, library):
    seen = []
    library("settle", lambda _, progress: seen.append(progress) or progress)
    stale = {"ingest": INGESTED | {"no_data": "nothing"}, "train": {"validation": "of an earlier try"}}
    skipped = FINE | dict.fromkeys(SIX[1:], "skipped")
    SettleOperator(task_id="settle").execute(context(stale, skipped))
    assert seen == [STARTED.model_copy(update={"no_data": "nothing"})]


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "removed", None])
def test_settle_writes_nothing_unless_each_step_succeeded_or_was_skipped(context, library, state):
    library("settle", failing(AssertionError("called")))
    with pytest.raises(AirflowFailException, match="span 2026-01-02 stays unsettled: gate is"):
        SettleOperator(task_id="settle").execute(context(states=FINE | {"gate": state}))


def test_settle_names_the_step_that_failed_not_one_that_came_after(context):
    states = FINE | {"train": "failed", "dry_run": "upstream_failed", "gate": "upstream_failed", "publish": "upstream_failed"}
    with pytest.raises(AirflowFailException, match=r"train is failed, .* clear train with Downstream in run scheduled__1"):
        SettleOperator(task_id="settle").execute(context(states=states))


def test_settle_of_a_run_without_a_span_fails_at_once(context):
    with pytest.raises(AirflowFailException, match="it names no span"):
        SettleOperator(task_id="settle").execute(context(states={"ingest": "failed"}, span=None))


def test_the_bootstrap_learns_the_days_that_were_asked_for(context, library):
    asked = []

    def bootstrap(place, first, last, on_step):
        asked.append((first, last))
        return STARTED.model_copy(update={"result": "promoted"})

    library("bootstrap", bootstrap)
    pushed = BootstrapOperator(task_id="bootstrap").execute(context() | {"params": {"from": "2025-12-01", "to": "2025-12-08"}})
    assert asked == [(date(2025, 12, 1), date(2025, 12, 8))]
    assert pushed["result"] == "promoted"


def test_the_feed_delivers_its_day_and_is_skipped_when_the_sample_is_used_up(context, library):
    library("deliver_sample", lambda _, span: (span,))
    FeedOperator(task_id="deliver").execute(context())
    library("deliver_sample", lambda *_: ())
    with pytest.raises(AirflowSkipException, match="2026-01-02: the sample is used up"):
        FeedOperator(task_id="deliver").execute(context())


def test_where_a_runs_own_day_asks_nothing_a_person_is_asked_and_told_about_rows_that_came_late(context, library, monkeypatch):
    asked, told = [], []
    monkeypatch.setattr(TriggerDagRunOperator, "execute", lambda self, _: asked.append((self.trigger_run_id, self.conf)))
    monkeypatch.setattr(AlertNotifier, "notify", lambda self, _: told.append(self.alert.title))
    library("late_review", lambda _: LATE)
    done = context({"ingest": INGESTED, "settle": {"result": "promoted"}})
    StartReviewOperator(task_id="ask").execute(done)
    assert asked == [("review-live-2025-12-30-v2", {"span": "2025-12-30", "lane": "live"})]
    assert told == ["widedeep: span 2025-12-30 is held: its data changed drastically"]
    library("late_review", lambda _: None)
    with pytest.raises(AirflowSkipException, match="nobody to ask: it is settled as promoted"):
        StartReviewOperator(task_id="ask").execute(done)
    library("waits_for_review", lambda *_: True)
    StartReviewOperator(task_id="ask").execute(context({"ingest": INGESTED, "settle": {"result": "held"}}))
    assert asked[1:] == [("review-live-2026-01-02", {"span": "2026-01-02", "lane": "live"})]
