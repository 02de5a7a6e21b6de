"""Airflow reads its settings when it is imported: before that it gets a home of its own, so that no test touches a person's."""

import atexit
import os
import shutil
import tempfile
from typing import Any

import pytest

home = tempfile.mkdtemp(prefix="widedeep-airflow-")
atexit.register(shutil.rmtree, home, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = home
for name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
    del os.environ[name]


class FakeTask:
    """What an operator sees of Airflow while it runs: XComs of the run, states of its tasks."""

    dag_id, run_id = "widedeep_retrain", "scheduled__1"

    def __init__(self, xcoms: dict[str, dict[str, Any]], states: dict[str, str]):
        self.xcoms = xcoms
        self.states = states

    def xcom_pull(self, task_ids: str) -> dict[str, Any] | None:
        return self.xcoms.get(task_ids)

    def get_task_states(self, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, str]]:
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        return {self.run_id: {name: state for name, state in self.states.items() if name in task_ids}}


@pytest.fixture
def fake_task() -> type[FakeTask]:
    return FakeTask
