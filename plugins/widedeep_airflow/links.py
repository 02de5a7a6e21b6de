"""The links of a task in Airflow's UI: each leads to a page that `widedeep_airflow.pages` shows.

Airflow asks for a task's links where it ran, right after it; none of it may take long or import much.
"""

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.configuration import conf
from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

from widedeep.publishing import layout

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

PREFIX = "/widedeep"


def address(key: str) -> str:
    """Where a browser finds the report with this key."""
    return f"{_airflow()}{PREFIX}/{key}"


def run_page(dag_id: str, run_id: str, task_id: str | None = None) -> str:
    """Where a browser finds a run, or the log of one of its tasks."""
    return f"{_airflow()}/dags/{dag_id}/runs/{quote(run_id)}" + (f"/tasks/{task_id}" if task_id else "")


def _airflow() -> str:
    return str(conf.get("api", "base_url", fallback="")).rstrip("/")


def pushed(ti_key: "TaskInstanceKey", field: str) -> str | None:
    """What this very task has added to its run's progress."""
    return (XCom.get_value(ti_key=ti_key, key="return_value") or {}).get(field)


class DataReport(BaseOperatorLink):
    """What the checks found in the span; empty unless this very task has found it."""

    name = "Data report"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:  # noqa: ARG002 (Airflow gives it)
        findings = pushed(ti_key, "validation")
        return address(layout.data_report(findings)) if findings else ""


class GateReport(BaseOperatorLink):
    """What the gate decided, and what it measured; empty unless this very task has decided."""

    name = "Gate report"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:  # noqa: ARG002 (Airflow gives it)
        verdict = pushed(ti_key, "verdict")
        return address(layout.decision_report(verdict)) if verdict else ""
