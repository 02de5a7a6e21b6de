"""Where tasks that train run, if the executor can choose: apart from all others, with the memory or the GPU that they need.

CeleryExecutor sends them to workers of the queue `training`, KubernetesExecutor makes their pods by this template, if the file is
there (docker/kubernetes/); LocalExecutor heeds neither.
"""

from typing import Any

TRAINING: dict[str, Any] = {
    "queue": "training",
    "executor_config": {"pod_template_file": "/opt/airflow/pod_templates/training.yaml"},
}
"""Arguments of an operator."""
