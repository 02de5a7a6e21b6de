"""Operators of the DAG that promotes a lane: the library rehearses and compares, a person approves, the pointer moves."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from widedeep_airflow.library import opened
from widedeep_airflow.links import GateReport, address
from widedeep_airflow.rollback import approver

if TYPE_CHECKING:
    from airflow.sdk import Context


class CompareLaneOperator(BaseOperator):
    """Rehearses the lane's champion and judges it beside live's. Pushes the plan, the verdict and what both say in words.

    As a run's first task it refuses an unsafe store: there, a compare-and-swap of the pointer may let two writers win. Skipped
    if the lane's champion is live's already.
    """

    operator_extra_links = (GateReport(),)

    def execute(self, context: "Context") -> dict[str, Any]:
        lane = context["params"]["lane"]
        with opened(context, decider="compare") as (steps, place):
            steps.require_safe_store(place)
            if pointer := steps.adopted(place, lane):
                raise AirflowSkipException(f"{pointer.release_id} of lane {lane} is champion of lane {pointer.lane} already")
            plan = steps.plan_lane_promotion(place, lane)
            self.log.info("%s", plan.told())
            verdict = steps.compare_lane(place, plan)
            return {
                "plan": plan.model_dump(mode="json"),
                "verdict": verdict,
                "decision": steps.decision_of(place, verdict),
                "told": steps.lane_question(place, plan, verdict, address),
            }


class ApproveLaneOperator(ApprovalOperator):
    """Asks a person under Required Actions; asks nobody about what the gate rejects, which is skipped. No answer is a no."""

    def __init__(self, *, patience: timedelta, **kwargs: Any):
        super().__init__(
            subject="Promote the lane?",
            body="{{ ti.xcom_pull(task_ids='compare')['told'] }}\n\nReason: {{ params.reason }}",
            defaults="Reject",
            response_timeout=patience,
            **kwargs,
        )

    def execute(self, context: "Context") -> Any:
        if context["ti"].xcom_pull(task_ids="compare")["decision"] == "reject":
            raise AirflowSkipException(
                "nobody to ask: the gate rejects the lane's champion; task compare has the reasons and a report"
            )
        return super().execute(context)


class PromoteLaneOperator(BaseOperator):
    """Moves live's pointer as compared and approved. Pushes the release."""

    def execute(self, context: "Context") -> str:
        compared, answer = (context["ti"].xcom_pull(task_ids=task) for task in ("compare", "approve"))
        with opened(context, decider="compare") as (steps, place):
            approved = replace(place, actor=f"{place.actor}, approved by {approver(answer)}")
            plan = steps.LanePlan.model_validate(compared["plan"])
            return str(steps.promote_lane(approved, plan, compared["verdict"], context["params"]["reason"]).release_id)
