"""Taking the stack down: when this returns, no process of it is left. One command at a time works on a stack."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from widedeep.errors import StackError
from widedeep.local import database, ports
from widedeep.local.configuration import GRACE_S
from widedeep.local.lifetime import await_down, is_down, kill_leash, kill_supervisor
from widedeep.local.parts import parts_of
from widedeep.local.stack import Place, Stack, load_stack
from widedeep.local.supervisor import Supervisor

ENDING_S = 6 * GRACE_S  # both stages and the supervisor, each at its slowest
OWN = ("airflow", "store", "postgres", "logs")  # below the state folder; the sample, a download, stays
OWN_FILES = ("stack.json", "environment", "supervisord.conf", "supervisord.pid", "leash.lock", "leash.pid")


def down(place: Place) -> bool:
    """Stop everything. False if nothing ran.

    Raises:
        StackError: another command is at work on the stack, or a process can't be ended.
    """
    with alone(place):
        stack = load_stack(place)
        if stack is None or is_down(place):
            return False
        stop_all(place, stack)
    return True


def remove(place: Place) -> None:
    """Stop everything and delete all that the stack has made: its store, its database, its secrets, its logs.

    A damaged stack file does not stand in the way: removing is what its error message advises.
    """
    with alone(place):
        if not is_down(place):
            stop_all(place, _readable_stack(place))
        database.remove(database.find_home(place.state))
        for name in OWN:
            shutil.rmtree(place.state / name, ignore_errors=True)
        for name in OWN_FILES:
            (place.state / name).unlink(missing_ok=True)


def _readable_stack(place: Place) -> Stack | None:
    try:
        return load_stack(place)
    except StackError:
        return None


def stop_all(place: Place, stack: Stack | None) -> None:
    """Stop Airflow, then what it stands on, then the supervisor; by force if it does not answer, or can't be asked (no stack)."""
    if stack and (supervisor := Supervisor(stack)).is_running():
        parts = parts_of(place, stack)
        for stage in sorted({part.stage for part in parts}, reverse=True):
            supervisor.stop(part.name for part in parts if part.stage == stage)
        supervisor.shut_down()
    else:
        kill_supervisor(place)
    if not await_down(place, ENDING_S):
        kill_leash(place)
        if not await_down(place, GRACE_S):
            raise StackError(f"a process of the stack can't be ended; {place.state / 'leash.pid'} has its pid.")
    if stack:
        ports.remove_sockets(stack.port)


@contextmanager
def alone(place: Place) -> Iterator[None]:
    """Hold the place against other commands.

    Raises:
        StackError: another command holds it. Nothing was done.
    """
    place.state.mkdir(parents=True, exist_ok=True)
    with (place.state / "command.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise StackError(
                f"another start or stop is at work on this stack (pid {lock.read().strip()}); nothing was done. Wait for it."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
