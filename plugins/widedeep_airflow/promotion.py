"""Operators of the DAG that promotes a lane: the library rehearses and compares, a person approves, the pointer moves."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from widedeep_airflow.library import opened
from widedeep_airflow.links import GateReport, address
from widedeep_airflow.rollback import approved

if TYPE_CHECKING:
    from airflow.sdk import Context

COMPARE = "compare"


class CompareLaneOperator(BaseOperator):
    """Rehearses the lane's champion and judges it beside live's. Pushes the verdict's key, and what it decides.

    As a run's first task it refuses an unsafe store: there, a compare-and-swap of the pointer may let two writers win. Skipped
    if live has adopted the lane.
    """

    operator_extra_links = (GateReport(),)

    def __init__(self, **kwargs: Any):
        super().__init__(task_id=COMPARE, **kwargs)

    def execute(self, context: "Context") -> dict[str, Any]:
        lane = context["params"]["lane"]
        with opened(context, decider=COMPARE) as (steps, place):
            steps.require_safe_store(place)
            if pointer := steps.adopted(place, lane):
                raise AirflowSkipException(f"{pointer.release_id} of lane {lane} is champion of lane {pointer.lane} already")
            plan = steps.plan_lane_promotion(place, lane)
            self.log.info("%s", plan.told())
            verdict = steps.compare_lane(place, plan)
            return {"verdict": verdict, "decision": steps.decision_of(place, verdict)}


class ApproveLaneOperator(ApprovalOperator):
    """Shows under Required Actions how both champions did, and what is taken back; without an answer in time it is a no.

    What the gate rejects is nobody's to approve: there it is skipped.
    """

    def __init__(self, *, patience: timedelta, **kwargs: Any):
        super().__init__(subject="Promote the lane?", defaults="Reject", response_timeout=patience, **kwargs)

    def execute(self, context: "Context") -> Any:
        params, compared = context["params"], context["ti"].xcom_pull(task_ids=COMPARE)
        if compared["decision"] == "reject":
            raise AirflowSkipException("nobody to ask: the gate rejects the lane's champion; the Gate report of compare says why")
        with opened(context, decider=COMPARE) as (steps, place):
            plan = steps.plan_lane_promotion(place, params["lane"])
            question = steps.lane_question(place, plan, compared["verdict"], address)
        self.subject, self.body = f"Promote lane {params['lane']} over live?", f"{question}\n\nReason: {params['reason']}"
        return super().execute(context)


class PromoteLaneOperator(BaseOperator):
    """Moves live's pointer as compared and approved. Pushes the release."""

    def execute(self, context: "Context") -> str:
        params, ti = context["params"], context["ti"]
        compared, answer = (ti.xcom_pull(task_ids=task) for task in (COMPARE, "approve"))
        with opened(context, decider=COMPARE) as (steps, place):
            here = approved(place, answer)
            return str(steps.promote_lane(here, params["lane"], compared["verdict"], params["reason"]).release_id)
