"""When a stack lives: from its outer leash's start to that leash's end, which comes after every other process's.

    leash (holds `leash.lock`) ── supervisord ── leash ── store
                                              ├─ leash ── postgres
                                              └─ leash ── api-server …

The stack is down if, and only if, the lock is free: the kernel keeps it, so no stale file and no reused pid can deceive.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from widedeep.errors import StackError
from widedeep.leash import leashed
from widedeep.local.configuration import GRACE_S, render
from widedeep.local.parts import Part
from widedeep.local.stack import Place, Stack, write_private
from widedeep.local.supervisor import Supervisor

INTERRUPTS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
SUPERVISORD = "supervisor.supervisord"


def launch(place: Place, stack: Stack, parts: Iterable[Part], environment: Mapping[str, str]) -> Supervisor:
    """Start supervisord with all parts stopped, detached from this terminal. Only for a stack that is down.

    Raises:
        StackError: supervisord does not come up.
    """
    configuration = place.state / "supervisord.conf"
    write_private(configuration, render(stack, parts))
    log = place.logs / "leash.log"
    # The whole stack's time to stop, then that of the parts if supervisord is killed.
    options = ("--detached", "--grace-s", str(4 * GRACE_S), "--workers-grace-s", str(2 * GRACE_S))
    command = leashed([sys.executable, "-m", SUPERVISORD, "--configuration", str(configuration)], *options)
    process = _detach(place, command, environment, log)
    supervisor = Supervisor(stack)
    while not supervisor.is_running():
        if process.poll() is not None:
            raise StackError(f"the supervisor ended at once. The end of {log}:\n{tail(log)}")
        time.sleep(0.1)
    return supervisor


def _detach(place: Place, command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with _lock(place).open("a") as lock, log.open("ab") as output, _uninterrupted():
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process = subprocess.Popen(
            command, env=environment, cwd=place.state, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, pass_fds=(lock.fileno(),),
        )  # fmt: skip
        _leash_file(place).write_text(f"{process.pid}\n")
    return process


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Between a process's start and the note of its pid, Ctrl-C waits: it could not be undone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def is_down(place: Place) -> bool:
    """Whether no process of the place's stack is left."""
    try:
        with _lock(place).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def await_down(place: Place, patience_s: float) -> bool:
    """Whether the stack was down before the patience ended."""
    deadline = time.monotonic() + patience_s
    while not (down := is_down(place)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return down


def kill_supervisor(place: Place) -> None:
    """Kill supervisord, upon which its leash ends everything else in good order. Only while the place is not down."""
    with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
        for process in psutil.Process(_leash(place)).children():
            if SUPERVISORD in process.cmdline():
                process.kill()


def kill_leash(place: Place) -> None:
    """Kill the outer leash, the last resort. Only while the place is not down, so that the pid can't be anybody else's."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(_leash(place), signal.SIGKILL)


def _leash(place: Place) -> int:
    return int(_leash_file(place).read_text())


def _leash_file(place: Place) -> Path:
    return place.state / "leash.pid"


def _lock(place: Place) -> Path:
    return place.state / "leash.lock"


def run_to_end(command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """Run a command and return its exit status; it ends with this process, whatever ends this process."""
    with log.open("wb") as file:
        return subprocess.run(
            leashed(command), env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False
        ).returncode


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, indented, or that there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            found = file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        found = []
    return "\n".join(f"    {line}" for line in found) or "    (nothing was logged)"
