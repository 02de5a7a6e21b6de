"""Kills real runs with SIGKILL at random moments, and the store between two of them: readers are served, reruns converge.

    python -m benchmarks.crash                  # 200 kills, half an hour; writes benchmarks/results/crash.json
    python -m benchmarks.crash --kills 5

Every day of the sample is run undisturbed on one store. On another it is killed, at a moment drawn at random, until a run of it
has ended before its moment came; after each kill the champion's files are read and verified. In the end both stores must hold the
same payload, byte for byte. Then the same again with another store, until there were enough kills.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

import psutil

from benchmarks.machine import RESULTS, described
from widedeep.artifacts import LIVE
from widedeep.errors import StoreUnavailableError
from widedeep.local.alone import store_alone
from widedeep.publishing import lanes
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import download, load_manifest, releases
from widedeep.publishing.s3 import S3Store
from widedeep.steps import bootstrap, deliver_sample, open_workplace

HISTORY, DAYS, SERVER_EVERY, ENOUGH = 4, 20, 10, 200
TODAY = date(2026, 11, 23)
ROOT = Path(__file__).parents[1]
# The sources beside this file, wherever another copy may be installed.
COMMAND = [sys.executable, "-c", "from widedeep.cli import main; main()"]


@dataclass
class Tally:
    """What was killed and read. `stores`: how many went through all days. `moments_s`: how long each killed run had lived."""

    runs_killed: int = 0
    servers_killed: int = 0
    champions_read: int = 0
    stores: int = 0
    moments_s: list[float] = field(default_factory=list)


def walk(kills: int, seed: int, days: int = DAYS) -> dict[str, object]:
    """Run and kill until there were so many kills. Raises AssertionError at the first thing that is not as it has to be."""
    dice, tally = random.Random(seed), Tally()
    with TemporaryDirectory(prefix="widedeep-crash-") as folder, store_alone(Path(folder), TODAY) as settings, _servers():
        spans = [date.fromisoformat(settings["WIDEDEEP_HISTORY_START"]) + timedelta(days=HISTORY + n) for n in range(days)]
        undisturbed = _begun(settings, "undisturbed", spans)
        took = max(_timed(undisturbed, span) for span in spans)
        while tally.runs_killed < kills:
            tally.stores += 1
            beaten = _begun(settings, f"beaten-{tally.stores}", spans)
            for span in spans:
                _beat(beaten, span, lambda: dice.uniform(0, took), kills, tally)
            _compare(_store(undisturbed), _store(beaten))
    moments = sorted(tally.moments_s)
    quartiles = [round(moments[int(q * (len(moments) - 1))], 2) for q in (0, 0.25, 0.5, 0.75, 1)]
    counts = {name: value for name, value in vars(tally).items() if name != "moments_s"}
    return {**counts, "quartiles_of_the_moments_s": quartiles, "days": days, "seed": seed, "payloads_equal": True}


def _begun(settings: Mapping[str, str], name: str, spans: list[date]) -> dict[str, str]:
    """A store of its own with the history learnt and the days delivered."""
    environment = {**settings, "WIDEDEEP_STORE": f"s3://widedeep/{name}"}
    with open_workplace(environment, actor="crash test") as place:
        first = spans[0] - timedelta(days=HISTORY)
        deliver_sample(place, first, spans[-1])
        bootstrap(place, first, spans[0] - timedelta(days=1))
    return environment


def _beat(environment: Mapping[str, str], span: date, moment: Callable[[], float], kills: int, tally: Tally) -> None:
    """Start the day and kill it, again and again, until it ends before its moment, or there were enough kills."""
    while tally.runs_killed < kills and _killed(environment, span, moment(), tally):
        if tally.runs_killed % SERVER_EVERY == 0:
            _kill_the_server(_store(environment), tally)
        _read_champion(_store(environment), tally)
    _finish(environment, span)


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


def _killed(environment: Mapping[str, str], span: date, moment_s: float, tally: Tally) -> bool:
    """Whether the run still lived at that moment; then it and every process that it started were killed."""
    process = _run(environment, span)
    try:
        process.wait(moment_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        tally.runs_killed += 1
        tally.moments_s.append(moment_s)
        return True
    return False


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


def _compare(undisturbed: S3Store, beaten: S3Store) -> None:
    wanted, got = (_payload(store) for store in (undisturbed, beaten))
    assert wanted.items() <= got.items(), f"other payload: {sorted(key for key in wanted if wanted[key] != got.get(key))[:3]}"
    assert releases(undisturbed) == releases(beaten), "other releases"
    results = [[(outcome.span, outcome.result) for outcome in lanes.outcomes(store, LIVE)] for store in (undisturbed, beaten)]
    assert results[0] == results[1], "other outcomes"
    assert len(list(moves(undisturbed, LIVE))) == len(list(moves(beaten, LIVE))), "other moves"


def _payload(store: S3Store) -> dict[str, bytes]:
    keys = [key for key in store.keys("releases/") if "/signatures/" not in key]
    return {key: blob.data for key in keys if (blob := store.get(key))}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crash", description="Kill runs and the store at random moments.")
    parser.add_argument("--kills", type=int, default=ENOUGH, help=f"how many; a file is written from {ENOUGH} on")
    parser.add_argument("--seed", type=int, default=0, help="other moments")
    chosen = parser.parse_args(arguments)
    found = walk(chosen.kills, chosen.seed, min(DAYS, chosen.kills))
    text = json.dumps({"machine": described(), **found}, indent=2)
    if chosen.kills >= ENOUGH:
        (RESULTS / "crash.json").write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
