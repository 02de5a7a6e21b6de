"""The first start of the chain: the sample is delivered, the DAGs are switched on and the bootstrap is triggered, once.

The bootstrap's run is the mark that this was done, so it comes last; from then on a DAG that somebody paused stays paused.
"""

import time
from collections.abc import Mapping
from datetime import date
from typing import Any
from urllib.parse import quote

from widedeep.errors import StackError
from widedeep.local.health import ANSWER_S, call
from widedeep.local.stack import Stack

BOOTSTRAP = "widedeep_bootstrap"
DAGS = (BOOTSTRAP, "widedeep_retrain", "widedeep_rollback", "widedeep_replay", "widedeep_promote_lane", "sample_feed")
PARSED_S = 120  # the first parse of the DAG files, on a cold disk
CONFLICT = 409
NOT_FOUND = 404


class AirflowApi:
    """Airflow's REST API as the admin user."""

    within_s = ANSWER_S

    def __init__(self, stack: Stack) -> None:
        self._url = stack.url
        status, answer = call("POST", f"{stack.url}/auth/token", {"username": "admin", "password": stack.admin_password})
        if not isinstance(answer, dict) or "access_token" not in answer:
            raise StackError(f"Airflow gave no token to its admin user (HTTP {status}). Its log is api-server.log.")
        self._headers = {"Authorization": f"Bearer {answer['access_token']}"}

    def call(self, method: str, path: str, body: object = None) -> tuple[int | None, Any]:
        return call(method, f"{self._url}/api/v2/{path}", body, self._headers, self.within_s)

    def get(self, path: str) -> Any:
        return self._checked("GET", path)

    def unpause(self, dag: str) -> None:
        self._checked("PATCH", f"dags/{dag}", {"is_paused": False})

    def has_dag(self, dag: str) -> bool:
        return self.call("GET", f"dags/{dag}")[0] == 200  # noqa: PLR2004 (HTTP OK)

    def has_run(self, dag: str, run: str) -> bool:
        return self.call("GET", f"dags/{dag}/dagRuns/{quote(run)}")[0] != NOT_FOUND

    def trigger(self, dag: str, run: str, conf: Mapping[str, str]) -> None:
        """Start a run, unless it is there."""
        self._checked("POST", f"dags/{dag}/dagRuns", {"dag_run_id": run, "logical_date": None, "conf": conf}, CONFLICT)

    def import_errors(self) -> str:
        """Each DAG file that can't be imported, with the last line of the reason."""
        found = self.get("importErrors")["import_errors"]
        return "\n".join(f"  {e['filename']}: {e['stack_trace'].strip().splitlines()[-1]}" for e in found)

    def _checked(self, method: str, path: str, body: object = None, *accepted: int) -> Any:
        status, answer = self.call(method, path, body)
        if status is None:
            raise StackError(f"Airflow gives no answer to {method} {path} within {self.within_s:g} s. Its log is api-server.log.")
        if status not in {200, 201, *accepted}:
            raise StackError(f"Airflow refuses {method} {path}: HTTP {status}, {answer}. Its log is api-server.log.")
        return answer


def bootstrap_run(first: date, last: date) -> str:
    return f"bootstrap__{first}_{last}"


def is_started(api: AirflowApi, stack: Stack) -> bool:
    """Whether an earlier start did all this."""
    return api.has_dag(BOOTSTRAP) and api.has_run(BOOTSTRAP, bootstrap_run(*stack.history))


def switch_on(api: AirflowApi, stack: Stack) -> None:
    """Unpause the DAGs and trigger the bootstrap on the history.

    Raises:
        StackError: a DAG does not appear; the text names it and the files that can't be imported. Nothing was triggered.
    """
    _await_dags(api)
    for dag in DAGS:
        api.unpause(dag)
    first, last = stack.history
    api.trigger(BOOTSTRAP, bootstrap_run(first, last), {"from": first.isoformat(), "to": last.isoformat()})


def _await_dags(api: AirflowApi) -> None:
    deadline = time.monotonic() + PARSED_S
    while missing := [dag for dag in DAGS if not api.has_dag(dag)]:
        errors = api.import_errors()
        if errors or time.monotonic() > deadline:
            raise StackError(
                f"Airflow runs, but has no DAG {', '.join(missing)}, so nothing was triggered. "
                + (f"Files that can't be imported:\n{errors}" if errors else "See dag-processor.log.")
            )
        time.sleep(1)
