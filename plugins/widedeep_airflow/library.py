"""How a task enters the library: one workplace per task, and a fault that a retry can't mend is never retried."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from widedeep.errors import PermanentError, StaleError
from widedeep_airflow.connection import task_environment
from widedeep_airflow.spans import actor

if TYPE_CHECKING:
    from airflow.sdk import Context

    from widedeep.steps import Workplace


@contextmanager
def permanent_faults_fail_at_once(decider: str = "gate") -> Iterator[None]:
    """Turn a PermanentError into Airflow's "do not retry". Everything else propagates and is retried with back-off.

    A StaleError too: a retry would come with the same decision, and only the task that made it, the `decider`, can decide again.
    """
    try:
        yield
    except PermanentError as error:
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
    except StaleError as error:
        raise AirflowFailException(f"StaleError: {error} To decide again, clear {decider} with Downstream.") from error


@contextmanager
def opened(context: "Context", decider: str = "gate") -> Iterator[tuple[ModuleType, "Workplace"]]:
    """The steps and an open workplace. The import stands here because it costs seconds that parsing must not pay."""
    from widedeep import steps

    with (
        permanent_faults_fail_at_once(decider),
        steps.open_workplace(task_environment(os.environ), actor=actor(context)) as place,
    ):
        yield steps, place
