"""Real processes: each test has a state folder and ports of its own, and whatever it started is gone afterwards."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from widedeep.local import ports
from widedeep.local.down import down, remove
from widedeep.local.stack import Place, Stack, find_place, load_stack
from widedeep.local.supervisor import Supervisor
from widedeep.local.up import up


@dataclass(frozen=True)
class Rig:
    """A stack without Airflow: its store and its database, which start in a second."""

    place: Place
    base: int

    def up(self) -> Stack:
        return up(self.place, self.base, None, date(2026, 11, 23), Console(quiet=True), with_airflow=False)

    def down(self) -> bool:
        return down(self.place)

    def supervisor(self) -> Supervisor:
        stack = load_stack(self.place)
        assert stack is not None
        return Supervisor(stack)

    def processes(self) -> list[psutil.Process]:
        """Every process of the stack: the outer leash and what descends from it."""
        leash = psutil.Process(int((self.place.state / "leash.pid").read_text()))
        return [leash, *leash.children(recursive=True)]

    def process(self, words: str) -> psutil.Process:
        """The one process with these words in its command, apart from the leash that it runs on."""
        commands = {p: " ".join(p.cmdline()) for p in self.processes()}
        (found,) = (p for p, command in commands.items() if words in command and "leash.py" not in command)
        return found


def free_base() -> int:
    """A base port whose ports are all free; below the range from which the kernel gives out ports to clients."""
    while True:
        candidate = 10_000 + secrets.randbelow(1_200) * 10
        if not ports.busy(ports.OFFSETS, candidate):
            return candidate


@pytest.fixture
def base() -> int:
    return free_base()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A stack that was never started."""
    yield from _rig(tmp_path)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A stack that runs, shared by the tests that leave it running."""
    for rig in _rig(tmp_path_factory.mktemp("running")):
        rig.up()
        yield rig


def _rig(folder: Path) -> Iterator[Rig]:
    place = find_place(folder / "a space and a 50% sign")
    rig = Rig(place, free_base())
    yield rig
    remove(place)
    ports.remove_sockets(rig.base)  # those of a stack that was killed stay in /tmp
