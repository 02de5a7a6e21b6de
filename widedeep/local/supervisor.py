"""The one process that starts, watches, restarts and stops the parts: supervisord, itself on a leash.

    leash (holds `leash.lock`) ── supervisord ── leash ── store
                                              ├─ leash ── postgres
                                              └─ leash ── api-server …

The outer leash ends last and holds the lock until then: the stack is down if, and only if, the lock is free.
"""

import contextlib
import fcntl
import http.client
import os
import shlex
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from widedeep.errors import StackError
from widedeep.local.parts import Part
from widedeep.local.ports import HOST, port_of
from widedeep.local.stack import Place, Stack, write_private

LEASH = Path(__file__).with_name("leash.py")
GRACE_S = 20  # a part's time to stop in good order: a task that is under way gets most of it
STOPPED_STATES = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})
FAILED_STATES = frozenset({"FATAL", "BACKOFF", "EXITED"})


@dataclass(frozen=True)
class Process:
    """What supervisord knows of a part. `pid` is that of its leash, 0 when it is not running."""

    state: str
    pid: int
    detail: str


class Supervisor:
    """A running supervisord, over XML-RPC on a loopback port and with the stack's password."""

    def __init__(self, stack: Stack) -> None:
        address = f"widedeep:{stack.supervisor_password}@{HOST}:{port_of('supervisor', stack.port)}"
        # Any, since every method of the proxy is made when it is called.
        self._rpc: Any = xmlrpc.client.ServerProxy(f"http://{address}/RPC2").supervisor

    def is_running(self) -> bool:
        try:
            return bool(self._rpc.getState()["statename"] == "RUNNING")
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False

    def processes(self) -> Mapping[str, Process]:
        found = cast("list[dict[str, Any]]", self._rpc.getAllProcessInfo())
        return {p["name"]: Process(p["statename"], p["pid"], p["spawnerr"] or p["description"]) for p in found}

    def start(self, names: Iterable[str]) -> None:
        for name in names:
            with _tolerating("ALREADY_STARTED"):
                self._rpc.startProcess(name, False)

    def stop(self, names: Iterable[str]) -> None:
        """Stop parts at the same time, and wait until nothing of them is left."""
        names = tuple(names)
        for name in names:
            with _tolerating("NOT_RUNNING"):
                self._rpc.stopProcess(name, False)
        while any(p.state not in STOPPED_STATES for name, p in self.processes().items() if name in names):
            time.sleep(0.1)

    def shut_down(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
            self._rpc.shutdown()


@contextlib.contextmanager
def _tolerating(fault: str) -> Iterator[None]:
    try:
        yield
    except xmlrpc.client.Fault as error:
        if not error.faultString.startswith(fault):
            raise StackError(f"the supervisor refuses: {error.faultString}. Its log is supervisord.log.") from error


def launch(place: Place, stack: Stack, parts: Iterable[Part], environment: Mapping[str, str]) -> Supervisor:
    """Start supervisord with all parts stopped, detached from this terminal.

    Raises:
        StackError: an earlier stack of this place has not ended yet, or supervisord does not come up.
    """
    configuration = place.state / "supervisord.conf"
    write_private(configuration, render(place, stack, parts))
    lock = place.state / "leash.lock"
    with lock.open("a") as held, (place.logs / "leash.log").open("ab") as log:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError("the stack is still stopping; nothing was started. Wait a moment, or run `make stop`.") from error
        command = [sys.executable, "-I", str(LEASH), "--detached", "--grace-s", str(4 * GRACE_S), "--workers-grace-s", str(2 * GRACE_S), "--"]
        command += [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(configuration)]
        process = subprocess.Popen(
            command, env=environment, cwd=place.state, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, pass_fds=(held.fileno(),),
        )  # fmt: skip
        (place.state / "leash.pid").write_text(f"{process.pid}\n")
    supervisor = Supervisor(stack)
    while not supervisor.is_running():
        if process.poll() is not None:
            raise StackError(f"the supervisor ended at once:\n{tail(place.logs / 'leash.log')}")
        time.sleep(0.1)
    return supervisor


def is_down(place: Place) -> bool:
    """Whether no process of the place's stack is left."""
    try:
        with (place.state / "leash.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def kill(place: Place, signum: signal.Signals) -> None:
    """Signal the outer leash of a stack that is not down, so that the pid in its file can't be anybody else's."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((place.state / "leash.pid").read_text()), signum)


def await_down(place: Place, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while not (down := is_down(place)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return down


def render(place: Place, stack: Stack, parts: Iterable[Part]) -> str:
    """supervisord's configuration. `%` starts an expansion there, so it is doubled."""
    head: dict[str, object] = {
        "nodaemon": "true", "silent": "true", "umask": "022",
        "logfile": place.logs / "supervisord.log", "logfile_maxbytes": "5MB", "logfile_backups": 1,
        "pidfile": place.state / "supervisord.pid",
    }  # fmt: skip
    if os.geteuid() == 0:
        head["user"] = "root"  # otherwise it warns
    http_server = {
        "port": f"{HOST}:{port_of('supervisor', stack.port)}",
        "username": "widedeep",
        "password": stack.supervisor_password,
    }
    rpc = {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}
    sections: dict[str, Mapping[str, object]] = {
        "supervisord": head,
        "inet_http_server": http_server,
        "rpcinterface:supervisor": rpc,
    }
    sections |= {f"program:{part.name}": _program(place, part) for part in parts}
    return "\n".join(_section(name, entries) for name, entries in sections.items())


def _program(place: Place, part: Part) -> dict[str, object]:
    leash = [sys.executable, "-I", str(LEASH), "--stop-signal", part.stop_signal, "--grace-s", str(GRACE_S)]
    leash += ["--user", part.user] if part.user else []
    return {
        "command": shlex.join([*leash, "--", *part.command]),
        "directory": part.folder,
        "autostart": "false", "autorestart": "true", "startsecs": 1, "startretries": 3,
        "stopwaitsecs": GRACE_S + 20, "killasgroup": "true",
        "priority": part.stage,
        "redirect_stderr": "true",
        "stdout_logfile": place.logs / f"{part.name}.log", "stdout_logfile_maxbytes": "10MB", "stdout_logfile_backups": 2,
    }  # fmt: skip


def _section(name: str, entries: Mapping[str, object]) -> str:
    return f"[{name}]\n" + "".join(f"{key}={str(value).replace('%', '%%')}\n" for key, value in entries.items())


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, indented, or that there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            found = file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        found = []
    return "\n".join(f"    {line}" for line in found) or "    (nothing was logged)"
