"""Which backfill a run belongs to. Tasks see neither its id nor its range, so the scheduler tells them when it starts the run.

It writes into the run's `conf`: where the backfill begins, the lane for days that `live` has passed, and whether it runs
backwards. All runs of a backfill are told the same, those that are cleared later too, and those of another backfill something
else. A run of a backfill that was told nothing fails: the scheduler has no such listener, and no lane is guessed.
"""

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from widedeep.artifacts import Backfill
from widedeep.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from airflow.models.backfill import BackfillDagRun
    from airflow.models.dagrun import DagRun
    from airflow.sdk import Context

DAG_ID = "widedeep_retrain"
TOLD = "backfill"
RUN_TYPE = "backfill"


@hookimpl
def on_dag_run_running(dag_run: "DagRun", msg: str) -> None:  # noqa: ARG001
    """In the scheduler, which stores what changes in the run together with its new state."""
    if dag_run.dag_id == DAG_ID and dag_run.backfill_id is not None:
        dag_run.conf = {**(dag_run.conf or {}), TOLD: told(dag_run.backfill.created_at, _asked_for(dag_run))}


def _asked_for(dag_run: "DagRun") -> list["BackfillDagRun"]:
    """The days that were asked for, also those for which no run was made, in the order in which they are to start."""
    from airflow.models.backfill import BackfillDagRun
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:
        return []
    asked_for = select(BackfillDagRun).where(BackfillDagRun.backfill_id == dag_run.backfill_id)
    return list(session.scalars(asked_for.order_by(BackfillDagRun.sort_ordinal)))


def told(created_at: Any, asked_for: list[Any]) -> dict[str, Any]:
    """What the runs of a backfill are told, as JSON."""
    days = [each.logical_date.date() for each in asked_for]
    taken = {each.logical_date.date() for each in asked_for if each.exception_reason is None}
    first = min(taken)
    left_out = [day.isoformat() for day in sorted(days) if day > first and day not in taken]
    lane = re.sub(r"[^a-z0-9-]", "", f"backfill-{first}-at-{created_at:%Y%m%dt%H%M%S}")
    return {"lane": lane, "first": first.isoformat(), "left_out": left_out, "backwards": days != sorted(days)}


def backfill_of(context: "Context", label_delay: int) -> Backfill | None:
    """The backfill that this run belongs to, or None.

    Raises:
        UsageError: it runs backwards.
        SettingsError: the scheduler has not told which it is.
    """
    run = context["dag_run"]
    if run.run_type != RUN_TYPE:
        return None
    found = (run.conf or {}).get(TOLD)
    if not isinstance(found, dict):
        raise SettingsError(
            f"run {run.run_id}: it belongs to a backfill, but the scheduler has not told it to which. "
            "Let the scheduler load this project's plugins (AIRFLOW__CORE__PLUGINS_FOLDER), then clear this run."
        )
    if found["backwards"]:
        raise UsageError(
            "this backfill runs backwards, and a model can only be trained on from an earlier day's: nothing was done. "
            "Ask for it again without 'Run Backwards'."
        )
    delay = timedelta(days=label_delay)
    first, *left_out = (date.fromisoformat(day) - delay for day in (found["first"], *found["left_out"]))
    return Backfill(lane=found["lane"], first=first, left_out=tuple(left_out))
