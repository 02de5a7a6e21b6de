"""What live tests share: free ports, commands in a stack's environment, and a wait for Airflow that ends at the first failure."""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from widedeep.errors import StackError
from widedeep.local import environment, ports
from widedeep.local.chain import BOOTSTRAP, AirflowApi
from widedeep.local.lifetime import tail
from widedeep.local.stack import Place, Stack, load_stack

COMMAND = str(Path(sys.executable).with_name("widedeep"))
RETRAIN, ROLLBACK, REVIEW = "widedeep_retrain", "widedeep_rollback", "widedeep_review"
REPLAY, PROMOTE = "widedeep_replay", "widedeep_promote_lane"
PATIENCE_S = 1200  # the bootstrap and three spans took four minutes on two busy cores


def free_base() -> int:
    """A base port whose ports are all free."""
    return next(base for base in iter(lambda: 10_000 + secrets.randbelow(1_200) * 10, 0) if not ports.busy(ports.OFFSETS, base))


def widedeep(place: Place, *arguments: str, settings: dict[str, str] | None = None) -> str:
    """What the command prints; a failure shows the ends of the stack's logs."""
    result = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False, env=settings)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}\n" + "\n".join(
        tail(log) for log in place.logs.glob("*.log")
    )
    return result.stdout


def told_in_stack(place: Place, *arguments: str) -> str:
    """What the command prints in the stack's environment, also where the stack runs another checkout's DAGs and contract."""
    stack = load_stack(place)
    assert stack is not None
    settings = environment.complete(environment.generated(place, stack), os.environ)
    return widedeep(place, *arguments, settings=settings)


def in_stack(place: Place, *arguments: str) -> Any:
    return json.loads(told_in_stack(place, *arguments))


def await_settled(place: Place, stack: Stack) -> dict[str, dict[str, Any]]:
    """The live lane's outcomes by span, once the scheduler has done all that was delivered before the start."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = {outcome["span"]: outcome for outcome in in_stack(place, "spans", "--json")}
        if stack.last_delivered.isoformat() in found:
            return found
        with contextlib.suppress(StackError):  # an overloaded server does not always answer in time
            refuse_failed(place, AirflowApi(stack))
        time.sleep(5)
    raise AssertionError(f"not settled in {PATIENCE_S} s:\n{widedeep(place, 'local', 'status', '--state', str(place.state))}")


def refuse_failed(place: Place, api: AirflowApi) -> None:
    """Show the end of a failed task's log at once, rather than wait for it in vain."""
    for dag in (BOOTSTRAP, RETRAIN):
        for task in api.get(f"dags/{dag}/dagRuns/~/taskInstances?state=failed")["task_instances"]:
            folder = place.airflow_home / "logs" / f"dag_id={dag}" / f"run_id={task['dag_run_id']}" / f"task_id={task['task_id']}"
            raise AssertionError(f"{dag} {task['dag_run_id']} {task['task_id']} failed:\n{tail(max(folder.glob('*.log')))}")


def await_state(api: AirflowApi, path: str, wanted: str, patience_s: int = 120) -> None:
    deadline = time.monotonic() + patience_s
    while (state := _state(api, path)) != wanted:
        assert state not in {"success", "failed"}, f"{path} is {state}, wanted {wanted}"
        assert time.monotonic() < deadline, f"{path} is {state} after {patience_s} s, wanted {wanted}"
        time.sleep(0.5)


def _state(api: AirflowApi, path: str) -> str | None:
    """None while the server does not answer, or not with a state."""
    status, answer = api.call("GET", path)
    return str(answer["state"]) if status == 200 else None


def answer(api: AirflowApi, run: str, task: str, fits: Callable[[str], bool], **form: str) -> dict[str, Any]:
    """Answer a required action with the option that fits, as the page does. Returns what was asked."""
    await_state(api, f"{run}/taskInstances/{task}", "awaiting_input")
    # No person is as fast as this: an answer before the scheduler has heard that the task waits is taken for a fault.
    time.sleep(2)
    where = f"{run}/taskInstances/{task}/-1/hitlDetails"
    asked: dict[str, Any] = api.get(where)
    option = next(option for option in asked["options"] if fits(option))
    assert api.call("PATCH", where, {"chosen_options": [option], "params_input": form})[0] == 200
    return asked
