"""The operator of the replay DAG: the days from one on are rebuilt one after the other, in a lane of their own."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from widedeep_airflow.library import opened
from widedeep_airflow.spans import day

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReplayOperator(BaseOperator):
    """Rebuilds the days up to live's head; its log tells which day it is at. Pushes the lane and its head.

    As a run's first task it refuses an unsafe store. A new lane's name follows from the run: tried again or cleared, it goes on
    where it was.
    """

    def execute(self, context: "Context") -> dict[str, Any]:
        params = context["params"]
        with opened(context, decider=self.task_id) as (steps, place):
            steps.require_safe_store(place)
            first = day(params["from"], "Param 'from'")
            plan = steps.plan_replay(place, first, params["lane"] or steps.new_lane(first, context["run_id"]))
            self.log.info("%s", plan.told())
            done = steps.replay(place, plan, params["on_hold"], lambda where, step: self.log.info("%s: %s", where, step))
            self.log.info("%s", steps.replayed(place, done))
        return {"lane": done.lane, "head": done.last.isoformat()}
