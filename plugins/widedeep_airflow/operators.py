"""Thin operators: `execute` loads, calls one step of the library, which logs its story, and returns what the step added.

States say whether the work was done, never what the data or the gate said: outcomes are values and never fail a task, a step of a
span that is over is skipped, only faults fail. The table of states is in docs/adr/0001-run-and-task-states.md.
"""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator, TriggerRule
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from widedeep_airflow.backfills import backfill_of
from widedeep_airflow.library import opened
from widedeep_airflow.links import DataReport, GateReport
from widedeep_airflow.notifying import AlertNotifier, outcome_alert
from widedeep_airflow.progress import STEPS, added, collect, why_over
from widedeep_airflow.spans import span_of
from widedeep_airflow.triggers import DeliveryTrigger
from widedeep_airflow.turns import wait_for_turn

if TYPE_CHECKING:
    from airflow.sdk import Context

    from widedeep.artifacts import Waiting

FINE = ("success", "skipped")
IN_ORDER = (*STEPS[: STEPS.index("train")], "wait_turn", *STEPS[STEPS.index("train") :])
A_WEEK = timedelta(days=7)
# After a machine was off over the deadline, the run and the job that delivers start at once. The sample's feed delivers a span in
# seconds, sooner than the chain learns one; a day that really has no data costs a run this much.
GRACE = timedelta(minutes=2)


class StepOperator(BaseOperator):
    """One step between `ingest` and `settle`. Skipped when nothing is left to do: the span is over, or its candidate rejected."""

    operator_extra_links = (DataReport(), GateReport())

    def __init__(self, *, step: str, task_id: str | None = None, **kwargs: Any):
        super().__init__(task_id=task_id or step, **kwargs)
        self.step = step

    def execute(self, context: "Context") -> dict[str, Any]:
        with opened(context) as (steps, place):
            before = collect(context["ti"], STEPS[: STEPS.index(self.step)])
            if before.over and not (self.step == "train" and steps.validated_too_early(place, before)):
                raise AirflowSkipException(f"{before.span}: nothing to do: {why_over(before)}")
            after = getattr(steps, self.step)(place, before)
            if after.result is not None:
                raise AirflowSkipException(f"{before.span}: nothing to do: {why_over(after)}")
            if after == before:
                raise AirflowSkipException(f"{before.span}: nothing to {self.step}: the gate's decision is {before.decision}")
            return added(before, after)


class IngestOperator(BaseOperator):
    """The first step. Where nothing was delivered yet it waits in the triggerer, which holds no worker.

    `patience` bounds a wait that has no deadline of its own, such as the one for a person who starts the bootstrap.
    `grace`: how long after the run's start a delivery can still come, even if the contract's deadline has passed.
    """

    operator_extra_links = (DataReport(),)

    def __init__(self, *, poll_s: float = 5.0, patience: timedelta = A_WEEK, grace: timedelta = GRACE, **kwargs: Any):
        super().__init__(**kwargs)
        self.poll_s = poll_s
        self.patience = patience
        self.grace = grace

    def execute(self, context: "Context", event: dict[str, Any] | None = None) -> dict[str, Any]:
        fault = event.get("fault") if event else None
        with opened(context) as (steps, place):
            steps.require_safe_store(place)
            delay = place.contract.label_delay
            start = steps.start(
                place,
                span_of(context, delay),
                context["params"].get("lane"),
                backfill=backfill_of(context, delay),
                on_hold=context["params"]["on_hold"],
                run_id=context["run_id"],
            )
            if start.over:
                return added(None, start)
            not_before = self._not_before(context)
            waiting = steps.readiness(place, start, not_before)
            if waiting is not None and fault:
                raise AirflowFailException(f"{waiting.span}: {waiting.reason}, and the triggerer can't wait for it: {fault}")
            if waiting is not None:
                self._wait(waiting, start.lane, not_before)
            if steps.comes_in_turn(place):
                wait_for_turn(self, context, (steps, place), start, event, resume=True)
            return added(None, steps.ingest(place, start, not_before))

    def resume(self, context: "Context", event: dict[str, Any]) -> dict[str, Any]:
        """Look again: between the trigger's news and now the world may have moved."""
        return self.execute(context, event)

    def _not_before(self, context: "Context") -> datetime | None:
        """Counted from the run's start, which retries and deferrals leave as it is."""
        started = context["dag_run"].start_date
        return started + self.grace if started else None

    def _wait(self, waiting: "Waiting", lane: str, not_before: datetime | None) -> NoReturn:
        until = waiting.until.isoformat() if waiting.until else None
        self.log.info("%s: waits until %s: %s", waiting.span, until or "it happens", waiting.reason)
        trigger = DeliveryTrigger(
            waiting.span.isoformat(), lane, until, self.poll_s, not_before.isoformat() if not_before else None
        )
        self.defer(trigger=trigger, method_name=self.resume.__name__, timeout=None if until else self.patience)


class SettleOperator(BaseOperator):
    """Writes the span's outcome after all steps. If one failed it settles nothing and fails too: a fault is never green."""

    def __init__(self, **kwargs: Any):
        super().__init__(trigger_rule=TriggerRule.ALL_DONE, **kwargs)

    def execute(self, context: "Context") -> dict[str, Any]:
        states = self._states(context)
        with opened(context) as (steps, place):
            if broken := [task for task in IN_ORDER if states.get(task) not in FINE]:
                raise AirflowFailException(unsettled(context, span_of(context, place.contract.label_delay), broken, states))
            before = collect(context["ti"], [step for step in STEPS if states[step] == "success"])
            after = steps.settle(place, before)
            if outcome := steps.news(place, after, context["dag_run"].start_date):
                AlertNotifier(outcome_alert(outcome, context, after.verdict)).notify(context)
            return added(before, after)

    def _states(self, context: "Context") -> dict[str, str | None]:
        ti = context["ti"]
        found = ti.get_task_states(dag_id=ti.dag_id, task_ids=list(IN_ORDER), run_ids=[ti.run_id])
        states: dict[str, str | None] = found.get(ti.run_id, {})
        return states


def unsettled(context: "Context", span: date, broken: list[str], states: dict[str, str | None]) -> str:
    """Which step broke, and what a person does next."""
    first = next((step for step in broken if states.get(step) == "failed"), broken[0])
    return (
        f"span {span} stays unsettled: {first} is {states.get(first) or 'without a state'}, wanted success. "
        f"Mend what its log names, then clear {first} with Downstream in run {context['run_id']}. "
        "Then clear the failed runs of later spans, the oldest first: they don't start again by themselves."
    )
