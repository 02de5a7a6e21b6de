"""Parses the DAG folder as Airflow does, in a process of its own, and prints what there is as JSON."""

import json
import sys

from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag


def params(dag):
    return [(name, dag.params.get_param(name)) for name in dag.params]


bag = DagBag()
plugins = plugins_manager.get_plugin_info(["source"])
modules = sorted(sys.modules)
told = {
    "errors": bag.import_errors,
    "modules": modules,
    "plugin_errors": plugins_manager.get_import_errors(),
    "plugin_files": [str(plugin["source"]) for plugin in plugins],
    "dags": {
        dag.dag_id: {
            "edges": sorted([task.task_id, below] for task in dag.tasks for below in task.downstream_task_ids),
            "start": str(dag.start_date),
            "timetable": type(dag.timetable).__name__,
            "schedule": dag.schedule if isinstance(dag.schedule, str) else None,
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "paused_upon_creation": dag.is_paused_upon_creation,
            "doc": dag.doc_md,
            "alerts": dag.has_on_failure_callback,
            "deadlines_s": [alert.interval.total_seconds() for alert in dag.deadline or ()],
            "rules": {task.task_id: str(task.trigger_rule) for task in dag.tasks},
            "bounded": all(task.execution_timeout is not None for task in dag.tasks),
            "retries": sorted({task.retries for task in dag.tasks}),
            "params": {name: [param.value if param.has_value else None, param.schema] for name, param in params(dag)},
        }
        for dag in bag.dags.values()
    },
}
print("PARSED", json.dumps(told))
