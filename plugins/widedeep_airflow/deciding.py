"""Operators of what a person decides in one go: to freeze or thaw a lane, and to take a settled day in once more."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from widedeep.errors import StaleError
from widedeep_airflow.library import opened
from widedeep_airflow.spans import day

if TYPE_CHECKING:
    from airflow.sdk import Context

    from widedeep.steps import Workplace

FREEZE, THAW = "freeze", "thaw"


def for_whom(place: "Workplace", context: "Context") -> "Workplace":
    """The workplace, its actor named with the person who started the run, where Airflow tells."""
    who = getattr(context["dag_run"], "triggering_user_name", None)
    return replace(place, actor=f"{place.actor}, started by {who}") if who else place


class FreezeOperator(BaseOperator):
    """Freezes or thaws the lane of Param `lane`. Done again, it finds the lane so."""

    def execute(self, context: "Context") -> str:
        from widedeep.publishing import moves

        asked = context["params"]
        move = moves.freeze if asked["do"] == FREEZE else moves.thaw
        with opened(context, decider="move") as (steps, place):
            steps.require_safe_store(place)
            because = for_whom(place, context).because(asked["reason"])
            try:
                pointer = move(place.store, asked["lane"], because)
            except StaleError:  # a promotion moved the pointer at this moment; the decision does not depend on which it was
                pointer = move(place.store, asked["lane"], because)
            self.log.info("lane %s: %s", pointer.lane, f"frozen: {pointer.frozen}" if pointer.frozen else "promotes again")
            return str(pointer.frozen or "")


class RequeueOperator(BaseOperator):
    """Takes in what is delivered for the day of Param `span` by now."""

    def execute(self, context: "Context") -> str:
        from widedeep.steps.requeueing import requeue

        asked: Any = context["params"]
        with opened(context) as (steps, place):
            steps.require_safe_store(place)
            done = requeue(for_whom(place, context), day(asked["span"], "Param 'span'"), asked["reason"], asked["lane"])
            self.log.info("%s", done.told)
            return str(done.told)
