"""Server processes to be driven: real ones, each of one release, that end with the process that started them, however it ends.

Each is a fork of a process that has imported the modules and done nothing else, so that they are imported once for all of them:
nothing of a release is in memory before the server itself has fetched it from the store.
"""

import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from widedeep.errors import IntegrityError, PermanentError, UnknownOutcomeError, WidedeepError
from widedeep.serving.rehearsal.traffic import Request

OK = 200

STOP_S = 5.0
"""In which a server ends that is told to, and says whether it is there."""

IN_TIME = "within the time that a dry run has"

Main = Callable[[Callable[[str], None]], None]
"""What a server's process runs; it tells its address once it answers."""


class LateError(UnknownOutcomeError):
    """A server did not answer in time, or its process was killed: the server `of`, or the machine, is at fault."""

    def __init__(self, of: str, text: str) -> None:
        super().__init__(f"{of}: {text}")
        self.of = of


@dataclass(frozen=True)
class Answer:
    """`status` 0: none came, and `told` says why under `error`."""

    status: int
    told: dict[str, Any]
    ms: float


class Server:
    """A handle on one. `deadline`, on the monotonic clock: until when anything is waited for."""

    def __init__(self, name: str, process: ForkProcess, pipe: Connection, deadline: float) -> None:
        self.name = name
        self._process, self._pipe, self._deadline = process, pipe, deadline
        self._connections = threading.local()
        self.base_mb = self.load_s = 0.0
        self._place = ""

    def wait(self) -> None:
        """Until it answers.

        Raises:
            IntegrityError: it refuses its release, and why.
            PermanentError, UnknownOutcomeError: something else keeps it from serving.
            LateError: it does not within the deadline, or was killed.
        """
        _, self.base_mb = self._hear()
        address, self.load_s = self._hear()
        self._place = urlsplit(address).netloc

    def ask(self, request: Request) -> Answer:
        """Raises LateError: no answer came within the deadline."""
        began = time.perf_counter()
        try:
            status, told = self._ask(request)
        except TimeoutError as error:
            raise LateError(self.name, f"did not answer a request to {request.path} {IN_TIME}") from error
        except (OSError, HTTPException) as error:
            self._connections.__dict__.clear()
            return Answer(0, {"error": f"{type(error).__name__}: {error}"}, 0.0)
        return Answer(status, told, 1000 * (time.perf_counter() - began))

    def answers(self) -> bool:
        """Whether it is there, in `STOP_S`."""
        if not self._place:
            return False
        connection = HTTPConnection(self._place, timeout=STOP_S)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def memory_mb(self) -> tuple[float, float]:
        """What the process holds, and what it held at its peak. Raises LateError: it has ended."""
        try:
            return _memory_mb(self._process.pid)
        except (OSError, KeyError):
            raise self._ended() from None

    def stop(self) -> None:
        for end in (self._process.terminate, self._process.kill):
            end()
            self._process.join(STOP_S)

    def _ask(self, request: Request) -> tuple[int, dict[str, Any]]:
        connection = self._connections.__dict__.setdefault("one", HTTPConnection(self._place))
        connection.timeout = max(0.01, self._deadline - time.monotonic())
        if connection.sock:
            connection.sock.settimeout(connection.timeout)
        connection.request(request.method, request.path, request.body, request.headers)
        answer = connection.getresponse()
        body = answer.read()
        try:
            told = json.loads(body)
        except ValueError:
            told = {}
        return answer.status, told if isinstance(told, dict) else {}

    def _hear(self) -> tuple[str, float]:
        try:
            if not self._pipe.poll(max(0.0, self._deadline - time.monotonic())):
                raise LateError(self.name, f"could not be asked {IN_TIME}")
            kind, text, number = self._pipe.recv()
        except EOFError:
            raise self._ended() from None
        if kind in FAULTS:
            raise FAULTS[kind](text)
        return text, number

    def _ended(self) -> LateError:
        self._process.join(STOP_S)
        return LateError(self.name, f"its server's process ended, with exit status {self._process.exitcode}")


UNFIT, PERMANENT, UNKNOWN = "unfit", "permanent", "unknown"

FAULTS: dict[str, type[WidedeepError]] = {UNFIT: IntegrityError, PERMANENT: PermanentError, UNKNOWN: UnknownOutcomeError}
"""What a server's process can say of why it does not serve, the narrowest first."""


@contextmanager
def started(name: str, main: Main, deadline: float, scratch: Path) -> Iterator[Server]:
    """A server of its own; it is over when the block is left. Its temporary files lie in `scratch`: it may have to be killed."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(main, theirs, ours, time.monotonic(), scratch), daemon=True)
    process.start()
    theirs.close()
    server = Server(name, process, ours, deadline)
    try:
        yield server
    finally:
        server.stop()


def _serve(main: Main, pipe: Connection, other_end: Connection, began: float, scratch: Path) -> None:
    other_end.close()
    tempfile.tempdir = str(scratch)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pipe.send(("base", "", _memory_mb(os.getpid())[0]))
    try:
        main(lambda address: pipe.send(("address", address, time.monotonic() - began)))
    except WidedeepError as error:
        pipe.send((next((kind for kind, fault in FAULTS.items() if isinstance(error, fault)), UNKNOWN), str(error), 0.0))
    except Exception as error:  # a release that makes a server crash is unfit
        pipe.send((UNFIT, f"the server ends with {type(error).__name__}: {error}", 0.0))


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _memory_mb(process_id: int | None) -> tuple[float, float]:
    """RSS and its peak, as the kernel tells them (proc(5))."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process_id}/status").read_text().splitlines())
    return _kb(lines["VmRSS"]) / 1024, _kb(lines["VmHWM"]) / 1024


def _kb(text: str) -> int:
    return int(text.split(maxsplit=1)[0])
