"""Kills real runs with SIGKILL at random moments, and the store between two of them: readers are served, reruns converge.

    python -m benchmarks.crash                  # 200 kills, half an hour; writes benchmarks/results/crash.json
    python -m benchmarks.crash --kills 5

Every day of the sample is run on two stores. On one nobody disturbs it; on the other it is started ten times and killed at a
moment drawn at random, unless it has finished by then, before it is left alone. After each time the champion's files are read and
verified. In the end both stores must hold the same payload, byte for byte.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

import psutil
from rich.progress import track

from benchmarks.machine import RESULTS, described
from widedeep.artifacts import LIVE
from widedeep.errors import StoreUnavailableError
from widedeep.local.alone import store_alone
from widedeep.publishing import lanes
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import download, load_manifest, releases
from widedeep.publishing.s3 import S3Store
from widedeep.steps import bootstrap, deliver_sample, open_workplace

HISTORY, KILLS_A_DAY, SERVER_EVERY, ENOUGH = 4, 10, 10, 200
TODAY = date(2026, 11, 23)
ROOT = Path(__file__).parents[1]
# The sources beside this file, wherever another copy may be installed.
COMMAND = [sys.executable, "-c", "from widedeep.cli import main; main()"]


@dataclass
class Tally:
    """What was killed, and what was found then. `moments_s`: how long each run had lived."""

    runs_killed: int = 0
    finished_before_the_kill: int = 0
    servers_killed: int = 0
    champions_read: int = 0
    moments_s: list[float] = field(default_factory=list)


def walk(kills: int, seed: int) -> dict[str, object]:
    """Run and kill until there were so many kills. Raises AssertionError at the first thing that is not as it has to be."""
    dice, tally = random.Random(seed), Tally()
    days = -(-kills // KILLS_A_DAY)
    with TemporaryDirectory(prefix="widedeep-crash-") as folder, store_alone(Path(folder), TODAY) as settings:
        first = date.fromisoformat(settings["WIDEDEEP_HISTORY_START"])
        spans = [first + timedelta(days=HISTORY + n) for n in range(days)]
        undisturbed, beaten = (settings | {"WIDEDEEP_STORE": f"s3://widedeep/{name}"} for name in ("undisturbed", "beaten"))
        for each in (undisturbed, beaten):
            with open_workplace(each, actor="crash test") as place:
                deliver_sample(place, first, spans[-1])
                bootstrap(place, first, first + timedelta(days=HISTORY - 1))
        took = [_timed(undisturbed, span) for span in spans]
        with _servers():
            for n in track(range(kills), "kills", disable=not sys.stderr.isatty()):
                span = spans[n // KILLS_A_DAY]
                _kill_a_run(beaten, span, dice.uniform(0, 1.1 * max(took)), tally)
                if n % SERVER_EVERY == SERVER_EVERY - 1:
                    _kill_the_server(_store(beaten), tally)
                _read_champion(_store(beaten), tally)
                if n % KILLS_A_DAY == KILLS_A_DAY - 1 or n == kills - 1:
                    _finish(beaten, span)
            _compare(_store(undisturbed), _store(beaten), spans)
    quantiles = sorted(tally.moments_s)[:: max(1, len(tally.moments_s) // 4)]
    return {
        **{name: value for name, value in vars(tally).items() if name != "moments_s"},
        "quartiles_of_the_moments_s": [round(moment, 2) for moment in quantiles],
        "days": len(spans),
        "seed": seed,
        "payloads_equal": True,
    }


def _timed(environment: Mapping[str, str], span: date) -> float:
    began = time.monotonic()
    _finish(environment, span)
    return time.monotonic() - began


def _finish(environment: Mapping[str, str], span: date) -> None:
    with TemporaryFile() as log:
        status = _run(environment, span, log).wait()
        log.seek(0)
        assert status == 0, f"the run of {span} ends with {status}:\n{log.read().decode()[-2000:]}"


def _run(environment: Mapping[str, str], span: date, log: IO[bytes] | int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    command = [*COMMAND, "run", "--span", span.isoformat()]
    return subprocess.Popen(command, cwd=ROOT, env=dict(environment), start_new_session=True, stdout=log, stderr=log)


def _kill_a_run(environment: Mapping[str, str], span: date, moment_s: float, tally: Tally) -> None:
    """The run and every process that it started."""
    process = _run(environment, span)
    try:
        process.wait(moment_s)
        tally.finished_before_the_kill += 1
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        tally.runs_killed += 1
        tally.moments_s.append(moment_s)


@contextmanager
def _servers() -> Iterator[None]:
    """Ends the servers that were started again."""
    before = set(psutil.Process().children(recursive=True))
    try:
        yield
    finally:
        for process in set(psutil.Process().children(recursive=True)) - before:
            process.terminate()


def _kill_the_server(store: S3Store, tally: Tally) -> None:
    """SIGKILL for the object store, and the same command again over the same files."""
    server = next(p for p in psutil.Process().children(recursive=True) if p.name() == "weed")
    command, environment, folder = server.cmdline(), server.environ(), server.cwd()
    server.kill()
    server.wait()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen(command, env=environment, cwd=folder, **quiet)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            champion(store, LIVE)  # an object that is there: the server answers for missing ones before it can read
            break
        except StoreUnavailableError:
            time.sleep(0.1)
    tally.servers_killed += 1


def _store(environment: Mapping[str, str]) -> S3Store:
    return S3Store(environment["WIDEDEEP_STORE"], environment["WIDEDEEP_S3_ENDPOINT"])


def _read_champion(store: S3Store, tally: Tally) -> None:
    """As a reader does it: the pointer, its manifest, every file, each verified."""
    pointer = champion(store, LIVE)
    assert pointer, "no champion"
    manifest = load_manifest(store, pointer.release_id, published=True, expected_sha256=pointer.manifest_sha256)
    with TemporaryDirectory() as folder:
        download(store, manifest, Path(folder))
    tally.champions_read += 1


def _compare(undisturbed: S3Store, beaten: S3Store, spans: list[date]) -> None:
    wanted, got = (_payload(store) for store in (undisturbed, beaten))
    assert wanted.items() <= got.items(), f"other payload: {sorted(wanted.items() - got.items())[:3]}"
    assert releases(undisturbed) == releases(beaten)
    results = [[(outcome.span, outcome.result) for outcome in lanes.outcomes(store, LIVE)] for store in (undisturbed, beaten)]
    assert results[0] == results[1], "other outcomes"
    assert len(list(moves(undisturbed, LIVE))) == len(list(moves(beaten, LIVE)))
    assert {span for span, _ in results[1]} >= set(spans)


def _payload(store: S3Store) -> dict[str, bytes]:
    keys = [key for key in store.keys("releases/") if "/signatures/" not in key]
    return {key: blob.data for key in keys if (blob := store.get(key))}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crash", description="Kill runs and the store at random moments.")
    parser.add_argument("--kills", type=int, default=ENOUGH, help=f"how many; a file is written from {ENOUGH} on")
    parser.add_argument("--seed", type=int, default=0, help="other moments")
    chosen = parser.parse_args(arguments)
    found = walk(chosen.kills, chosen.seed)
    text = json.dumps({"machine": described(), **found}, indent=2)
    if chosen.kills >= ENOUGH:
        (RESULTS / "crash.json").write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
