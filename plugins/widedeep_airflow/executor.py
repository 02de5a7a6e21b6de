"""An executor whose workers have imported once what each task of the chain would otherwise import anew.

Torch, Great Expectations and pandas cost a task up to six seconds of a processor, nine times a span. Airflow's LocalExecutor
forks its workers from the scheduler, and a worker forks a process for each task: what is imported before the first fork is there
in all of them, in memory that they share.

Set `AIRFLOW__CORE__EXECUTOR=widedeep_airflow.executor.PreloadedLocalExecutor`; `make local-airflow` does. A scheduler runs the
code that it has started with: restart it after an upgrade, as Airflow's own.
"""

import importlib
import time

from airflow.executors.local_executor import LocalExecutor

MODULES = (
    "widedeep.steps",
    "widedeep.data.validation",
    "widedeep.training.candidate",
    "widedeep.evaluation.gate",
    "widedeep.evaluation.report.page",
    "widedeep.model.scorer",
)
"""What the steps import when they run."""


class PreloadedLocalExecutor(LocalExecutor):
    """Imports before it forks. With another way to start workers than by a fork it is a plain LocalExecutor."""

    def start(self) -> None:
        """Start the workers."""
        if self.is_mp_using_fork:
            began = time.monotonic()
            preload()
            self.log.info("Imported in %.1f s what tasks need", time.monotonic() - began)
        super().start()


def preload() -> None:
    """Import what the steps need, and remember which sources that was: a release names the code that made it."""
    for module in MODULES:
        importlib.import_module(module)
    importlib.import_module("widedeep.training.profile").source_digest()
