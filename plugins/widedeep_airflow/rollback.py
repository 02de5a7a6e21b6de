"""Operators of the rollback DAG: a person chooses and approves, the library rehearses and moves the pointer."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator

from widedeep_airflow.library import opened

if TYPE_CHECKING:
    from airflow.sdk import Context

    from widedeep.steps import Workplace

ASK = "ask me which"
BEFORE = "the champion before this one"
OFFERED = 20


class ChooseOperator(HITLOperator):
    """Asks under Required Actions which former champion to go back to; asks nobody unless the Param `to` says so.

    As a run's first task it refuses an unsafe store: there, a compare-and-swap of the pointer may let two writers win.
    Pushes what the person answered, or None. The options are read from the store when the task runs.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(subject="Roll back to which release?", options=[ASK], **kwargs)

    def execute(self, context: "Context") -> Any:
        with opened(context) as (steps, place):
            steps.require_safe_store(place)
            if context["params"]["to"] != ASK:
                return None
            former = steps.former_champions(place, context["params"]["lane"])[:OFFERED]
            if not former:
                steps.plan_rollback(place, context["params"]["lane"])  # says why there is nothing to choose
        self.options = [f"{move.release_id} of {move.span}" for move in former]
        return super().execute(context)

    def validate_chosen_options(self, chosen_options: list[str]) -> None:
        """Airflow's server checked them against those that were offered; this instance is a new one, which offers nothing."""


class RehearseOperator(BaseOperator):
    """Plans the rollback and serves the old release in a fresh process. Pushes the plan, and what it says in words."""

    def execute(self, context: "Context") -> dict[str, Any]:
        answer = context["ti"].xcom_pull(task_ids="choose")
        release = answer["chosen_options"][0].partition(" ")[0] if answer else None
        with opened(context) as (steps, place):
            plan = steps.plan_rollback(place, context["params"]["lane"], release)
            self.log.info("%s", plan.told())
            steps.rehearse_rollback(place, plan)
            return {"plan": plan.model_dump(mode="json"), "told": plan.told()}


class RollbackOperator(BaseOperator):
    """Moves the pointer as planned and approved."""

    def execute(self, context: "Context") -> str:
        rehearsed, answer = (context["ti"].xcom_pull(task_ids=task) for task in ("rehearse", "approve"))
        with opened(context, decider="rehearse") as (steps, place):
            plan = steps.RollbackPlan.model_validate(rehearsed["plan"])
            return str(steps.roll_back(approved(place, answer), plan, context["params"]["reason"]).release_id)


def approved(place: "Workplace", answer: dict[str, Any]) -> "Workplace":
    """The workplace of a run that somebody has approved: what it writes names who."""
    return replace(place, actor=f"{place.actor}, approved by {approver(answer)}")


def approver(answer: dict[str, Any]) -> str:
    """Who answered an approval, by name."""
    user = answer.get("responded_by_user") or {}
    return str(user.get("name") or user.get("id") or "nobody known")
