"""Nothing outlives its leash: real processes, killed in every way."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from widedeep import leash as module

LEASH = Path(module.__file__)
LEASHED = [sys.executable, "-I", str(LEASH)]
# A part with two workers that ignore SIGTERM; the second has left the session and its parent, as a daemon does.
PART = """
import os, signal, subprocess, sys, time
mark = sys.argv[1]
worker = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
run = [sys.executable, "-c", worker, mark]
subprocess.Popen(run, stdout=subprocess.PIPE).stdout.readline()
daemon = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=-1).stdout.readline()"
subprocess.run([sys.executable, "-c", daemon, *run])
print(flush=True)
time.sleep(float(sys.argv[2]))
"""
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def mark() -> Iterator[str]:
    """Stands in the command line of every process of the test."""
    mark = uuid.uuid4().hex
    yield mark
    for process in marked(mark):
        process.kill()


@pytest.fixture
def start(mark: str) -> Start:
    def start(*options: str, lasting_s: float = 600, code: str = PART, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        command = [*before, *LEASHED, *options, "--", sys.executable, "-c", code, mark, str(lasting_s)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    return start


def marked(mark: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or ())]


def leashes(mark: str) -> list[psutil.Process]:
    return [p for p in marked(mark) if str(LEASH) in p.cmdline()]


def part_of(mark: str) -> psutil.Process:
    (part,) = (p for p in marked(mark) if PART in p.cmdline() and str(LEASH) not in p.cmdline())
    return part


def none_left(mark: str, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not marked(mark)


def test_the_test_sees_the_part_and_both_workers(start: Start, mark: str) -> None:
    start("--workers-grace-s", "0")

    assert len(marked(mark)) == 4


def test_a_part_that_ends_takes_its_workers_along_before_the_leash_ends(start: Start, mark: str) -> None:
    leash = start("--workers-grace-s", "0.2", lasting_s=0.2)

    leash.wait(timeout=30)

    assert marked(mark) == []


def test_a_killed_part_takes_its_workers_along_before_the_leash_ends(start: Start, mark: str) -> None:
    leash = start("--workers-grace-s", "0.2")

    part_of(mark).kill()

    assert leash.wait(timeout=30) == signal.SIGKILL
    assert marked(mark) == []


def test_a_stopped_leash_ends_the_part_and_its_workers(start: Start, mark: str) -> None:
    leash = start("--workers-grace-s", "0.2")

    leash.terminate()

    assert leash.wait(timeout=30) == 0
    assert marked(mark) == []


def test_a_killed_leash_takes_its_part_along_and_the_leash_above_ends_the_workers(start: Start, mark: str) -> None:
    start("--workers-grace-s", "0.2", before=(*LEASHED, "--workers-grace-s", "0.2", "--"))
    outer, inner = sorted(leashes(mark), key=lambda leash: leash.create_time())

    inner.kill()

    assert none_left(mark, within_s=30)
    assert not outer.is_running() or outer.status() == psutil.STATUS_ZOMBIE


def test_a_leash_whose_parent_is_killed_ends_everything(start: Start, mark: str) -> None:
    parent = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    process = start("--workers-grace-s", "0.2", before=(sys.executable, "-c", parent))

    process.kill()

    assert none_left(mark, within_s=30)


def test_a_detached_leash_outlives_its_parent(start: Start, mark: str) -> None:
    parent = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    process = start("--detached", before=(sys.executable, "-c", parent))

    process.kill()
    process.wait()
    time.sleep(0.5)

    (leash,) = leashes(mark)
    assert leash.is_running()


def test_a_worker_whose_parent_died_alone_is_ended_while_the_part_goes_on(start: Start, mark: str) -> None:
    middle = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(600)"
    sleeper = f"[sys.executable, '-c', {middle!r}, sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]]"
    start(code=f"import subprocess, sys, time; p = subprocess.Popen({sleeper}); print(p.pid, flush=True); time.sleep(600)")
    (killed,) = (p for p in marked(mark) if middle in p.cmdline() and len(p.children()) <= 1 and str(LEASH) not in p.cmdline())
    deadline = time.monotonic() + 10
    while len(marked(mark)) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(marked(mark)) == 4

    killed.kill()

    while len(marked(mark)) > 2 and time.monotonic() < deadline + 20:
        time.sleep(0.1)
    assert len(marked(mark)) == 2


def test_a_part_that_ignores_the_request_to_stop_is_killed_after_its_grace(start: Start, mark: str) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    leash = start("--grace-s", "0.3", code=deaf)

    leash.terminate()

    leash.wait(timeout=30)
    assert marked(mark) == []


def test_a_part_gets_the_stop_signal_of_its_own_and_time_to_finish(start: Start) -> None:
    handler = "signal.signal(signal.SIGINT, lambda *_: sys.exit(print('finished')))"
    code = f"import signal, sys, time; {handler}; print(flush=True); time.sleep(600)"
    leash = start("--stop-signal", "INT", code=code)

    output, _ = (leash.terminate(), leash.communicate(timeout=30))[1]

    assert output == b"finished\n"


def test_a_part_that_fails_gives_its_exit_status(start: Start) -> None:
    leash = start(code="import sys; print(flush=True); sys.exit(7)")

    assert leash.wait(timeout=30) == 7


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a part as somebody else")
def test_a_part_of_another_user_has_no_right_of_root_and_dies_with_its_leash() -> None:
    # Not Python: the interpreter may lie where only root can enter.
    shell = ["/bin/sh", "-c", "echo $(id -u) $(id -G) $$; exec sleep 600"]
    leash = subprocess.Popen([*LEASHED, "--user", "nobody", "--", *shell], stdout=subprocess.PIPE)
    assert leash.stdout is not None
    user, *groups, pid = leash.stdout.readline().decode().split()
    part = psutil.Process(int(pid))

    leash.kill()

    assert "0" not in {user, *groups}
    assert len(groups) == 1
    part.wait(timeout=30)
