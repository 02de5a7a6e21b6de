"""How a task enters the library: one workplace per task, and a permanent fault is never retried."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from widedeep.errors import PermanentError
from widedeep_airflow.spans import actor

if TYPE_CHECKING:
    from airflow.sdk import Context

    from widedeep.steps import Workplace


@contextmanager
def permanent_faults_fail_at_once() -> Iterator[None]:
    """Turn a PermanentError into Airflow's "do not retry". Everything else propagates and is retried with back-off."""
    try:
        yield
    except PermanentError as error:
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error


@contextmanager
def opened(context: "Context") -> Iterator[tuple[ModuleType, "Workplace"]]:
    """The steps and an open workplace. The import stands here because it costs seconds that parsing must not pay."""
    from widedeep import steps

    with permanent_faults_fail_at_once(), steps.open_workplace(os.environ, actor=actor(context)) as place:
        yield steps, place
