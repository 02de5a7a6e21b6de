"""The object store alone, for as long as somebody works with it: what the demo and the benchmarks run on."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from random import Random

from widedeep.errors import StackError
from widedeep.leash import leashed
from widedeep.local import environment, health, ports
from widedeep.local.parts import Part, parts_of
from widedeep.local.stack import DAILY_SPANS, Place, Stack, create_stack, find_place


@contextmanager
def store_alone(state: Path, today: date) -> Iterator[dict[str, str]]:
    """SeaweedFS on free ports and on a leash: nothing of it outlives the context. Yields the environment of its users.

    The standard AWS variables of this process are set too, since that is where boto3 looks.

    Raises:
        StackError: it does not start; the text has its last words.
    """
    place, stack = find_place(state), _free_stack(today)
    settings = environment.complete(environment.generated(place, stack), os.environ)
    os.environ.update({name: value for name, value in settings.items() if name.startswith("AWS_")})
    with _running(parts_of(place, stack)[0], place, stack, settings):
        yield settings


@contextmanager
def _running(part: Part, place: Place, stack: Stack, settings: dict[str, str]) -> Iterator[None]:
    part.folder.mkdir(parents=True)
    log = place.state / "store.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            leashed(part.command), cwd=part.folder, env={**settings, **part.environment}, stdout=sink, stderr=sink
        )
    try:
        _await_health(part, stack, process, log)
        yield
    finally:
        process.terminate()
        process.wait()


def _await_health(part: Part, stack: Stack, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + part.patience_s
    while not health.is_healthy(part, stack):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StackError(f"the store does not start; its last words:\n{log.read_text()[-500:]}")
        time.sleep(0.1)


def _free_stack(today: date) -> Stack:
    random = Random()  # noqa: S311  (not a secret)
    for _ in range(100):
        stack = create_stack(today, random.randrange(20_000, ports.LARGEST_BASE), DAILY_SPANS)
        if not ports.busy(ports.OFFSETS, stack.port):
            return stack
    raise StackError("found no free ports on 127.0.0.1 for a store")
