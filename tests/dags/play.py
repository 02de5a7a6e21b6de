"""Plays DAG runs on a real metadata database, in a process of its own, and prints what became of them as JSON.

    python play.py '[{"dag_id": …, "logical_date": "2026-01-02", "conf": {…}, "environment": {…}}, …]' [FAKE_STEPS.py]

`dag.test` runs the scheduler's rules, the task runner and the execution API in this process. Retries wait for nothing here. What
a DAG does when a run has failed is not done here, as `dag.test` does it, but in a real process of the DAG processor.
"""

import importlib.util
import json
import os
import selectors
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path


def main(runs: str, fake_steps: str | None = None) -> None:
    if fake_steps:
        _stand_in("widedeep.steps", Path(fake_steps))
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunTriggeredByType

    DagRun.execute_dag_callbacks = _in_a_dag_processor
    told = []
    for run in json.loads(runs):
        os.environ.update(run.get("environment", {}))
        # Anew for each run, as for each task: a Param remembers the configuration of the run before.
        dag = _load(run.get("dag_id", "widedeep_retrain"))
        day = run["logical_date"]
        moment = datetime.fromisoformat(day).replace(tzinfo=UTC) if day else None
        dag_run = dag.test(logical_date=moment, run_conf=run.get("conf") or {})
        with create_session() as session:
            tasks = {ti.task_id: (str(ti.state), ti.try_number) for ti in dag_run.get_task_instances(session=session)}
            pushed = session.query(XComModel).filter_by(run_id=dag_run.run_id).all()
            xcoms = {x.task_id: x.value for x in pushed if x.key == "return_value"}
            started = session.query(DagRun).filter_by(triggered_by=DagRunTriggeredByType.OPERATOR).all()
            asked = {run.run_id: [run.dag_id, run.conf] for run in started}
        told.append({"state": str(dag_run.state), "tasks": tasks, "xcoms": xcoms, "started": asked})
    print("PLAYED", json.dumps(told, default=str))


def _in_a_dag_processor(dag_run, dag, success=True, relevant_ti=None, reason="success") -> None:
    """What a scheduler asks of the DAG processor: to parse the DAG's file anew and call what it names."""
    import structlog
    from airflow.api_fastapi.execution_api.app import InProcessExecutionAPI
    from airflow.callbacks.callback_requests import DagCallbackRequest, DagRunContext
    from airflow.dag_processing.processor import DagFileProcessorProcess
    from airflow.sdk.api.client import Client
    from uuid6 import uuid7

    asked = DagCallbackRequest(
        filepath=f"{dag.dag_id}.py",
        dag_id=dag.dag_id,
        run_id=dag_run.run_id,
        bundle_name="dags-folder",
        bundle_version=None,
        context_from_server=DagRunContext(dag_run=dag_run, last_ti=relevant_ti),
        is_failure_callback=not success,
        msg=reason,
    )
    client = Client(base_url=None, token="", dry_run=True, transport=InProcessExecutionAPI().transport)
    client.base_url = "http://in-process.invalid./"
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    with Path(os.devnull).open("ab") as nowhere:
        process = DagFileProcessorProcess.start(
            id=uuid7(),
            path=folder / f"{dag.dag_id}.py",
            bundle_path=folder,
            bundle_name="dags-folder",
            dag_file_rel_path=f"{dag.dag_id}.py",
            callbacks=[asked],
            selector=selectors.DefaultSelector(),
            logger=structlog.get_logger("dag_processor"),
            logger_filehandle=nowhere,
            client=client,
        )
        while not process.is_ready:
            process._service_subprocess(0.1)


def _hurry(dag) -> None:
    """Nothing here has to wait: neither for a retry, nor for the next poll, nor (`dag.test`) for the next look at the states."""
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, 0.01))
    for task in dag.tasks:
        task.retry_delay, task.retry_exponential_backoff = timedelta(0), 0
        if hasattr(task, "poll_s"):
            task.poll_s, task.grace = 0.01, timedelta(0)


def _load(dag_id: str):
    dag = _execute(dag_id, Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], f"{dag_id}.py")).dag
    _hurry(dag)
    return dag


def _stand_in(name: str, path: Path) -> None:
    import widedeep

    module = _execute(name, path)
    sys.modules[name] = module
    widedeep.steps = module


def _execute(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(*sys.argv[1:])
