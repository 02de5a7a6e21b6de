"""A running supervisord, which starts, watches, restarts and stops the parts, as seen over XML-RPC."""

import contextlib
import http.client
import time
import xmlrpc.client
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from widedeep.errors import StackError
from widedeep.local.ports import HOST, port_of
from widedeep.local.stack import Stack

ANSWER_S = 5.0
STOPPED_STATES = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})
FAILED_STATES = frozenset({"FATAL", "BACKOFF", "EXITED"})


@dataclass(frozen=True)
class Process:
    """What supervisord knows of a part. `pid` is that of its leash, 0 when it is not running."""

    state: str
    pid: int
    detail: str


class _Transport(xmlrpc.client.Transport):
    """Gives up on a supervisord that hangs."""

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = ANSWER_S
        return connection


class Supervisor:
    """A running supervisord, over XML-RPC on a loopback port and with the stack's password."""

    def __init__(self, stack: Stack) -> None:
        address = f"widedeep:{stack.supervisor_password}@{HOST}:{port_of('supervisor', stack.port)}"
        # Any, since every method of the proxy is made when it is called.
        self._rpc: Any = xmlrpc.client.ServerProxy(f"http://{address}/RPC2", _Transport()).supervisor

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
