"""The links of a task in Airflow's UI: each leads to a page that `widedeep_airflow.pages` shows.

Airflow asks for a task's links where it ran, right after it; none of it may take long or import much.
"""

from typing import TYPE_CHECKING

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
    return f"{conf.get('api', 'base_url', fallback='').rstrip('/')}{PREFIX}/{key}"


class DataReport(BaseOperatorLink):
    """What the checks found in the span; empty unless this very task has found it."""

    name = "Data report"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:  # noqa: ARG002 (Airflow gives it)
        pushed = XCom.get_value(ti_key=ti_key, key="return_value") or {}
        findings = pushed.get("validation")
        return address(layout.data_report(findings)) if findings else ""
