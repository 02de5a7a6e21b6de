"""Kills real runs, and the store under them, with SIGKILL at random moments: readers are served, reruns converge.

    python -m benchmarks.crash                  # 200 runs killed, some 45 minutes; writes benchmarks/results/crash.json
    python -m benchmarks.crash --kills 5

Every day of the sample is run undisturbed on one store. On another it is disturbed at a random moment, again and again, until a
run of it has ended before its moment came. Half of the moments are any, half lie within the next burst of writes. Mostly the run
is killed, each fifth time or so the store under it, which comes back a little later: the run gets over that, or fails and says
so. After each kill the champion's files are read and verified. In the end both stores must hold the same objects, the payload
byte for byte. Then the same again with another store, until enough runs were killed.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO
from urllib.parse import urlsplit

import psutil

from benchmarks.machine import RESULTS, described
from widedeep.artifacts import LIVE
from widedeep.errors import StoreUnavailableError
from widedeep.local.alone import store_alone
from widedeep.local.configuration import leashed
from widedeep.publishing import lanes
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import download, load_manifest, releases
from widedeep.publishing.s3 import S3Store
from widedeep.steps import bootstrap, deliver_sample, open_workplace

HISTORY, DAYS, ENOUGH = 4, 20, 200
SERVERS_SHARE, WRITING_SHARE = 0.2, 0.5
BURST_S = 0.2  # a step's writes follow each other within so much, measured on two cores
DOWN_S = 2.0  # the store is away for up to so much, and for the second that it takes to start
PATIENCE_S = 180  # five tries of 20 s each, and a run beside them
TODAY = date(2026, 11, 23)
ROOT = Path(__file__).parents[1]
# The sources beside this file, wherever another copy may be installed.
COMMAND = [sys.executable, "-c", "from widedeep.cli import main; main()"]


@dataclass
class Tally:
    """What was killed and read.

    `servers_killed`: under live runs, of which `runs_recovered` ended well. `amid_writes`: how many kills of both
    fell within a burst of writes. `stores`: how many went through all days. `moments_s`: how long each killed run had lived.
    """

    runs_killed: int = 0
    servers_killed: int = 0
    runs_recovered: int = 0
    amid_writes: int = 0
    champions_read: int = 0
    stores: int = 0
    moments_s: list[float] = field(default_factory=list)

    def is_enough(self, kills: int) -> bool:
        return self.runs_killed >= kills and self.servers_killed > 0


@dataclass(frozen=True)
class Killer:
    """Kills runs on one store, or its server, whose files lie in `folder`. `took_s`: the longest undisturbed run."""

    environment: Mapping[str, str]
    folder: Path
    dice: random.Random
    took_s: float
    tally: Tally

    def disturbs(self, span: date) -> bool:
        """Whether a run of the span was killed, or failed because the server was."""
        with TemporaryFile() as log:
            began = time.monotonic()
            process = _run(self.environment, span, log)
            writing = self._await_moment(process)
            if process.poll() is not None:
                return False
            self.tally.amid_writes += writing
            if self.dice.random() < SERVERS_SHARE:
                return self._kill_the_server_under(process, log)
            os.killpg(process.pid, signal.SIGKILL)
        self.tally.runs_killed += process.wait() == -signal.SIGKILL
        self.tally.moments_s.append(time.monotonic() - began)
        _read_champion(_store(self.environment), self.tally)
        return True

    def _await_moment(self, process: "subprocess.Popen[bytes]") -> bool:
        """Until a random moment of the run, or the burst of writes after it, or the run's end. Whether it waited for writes."""
        with suppress(subprocess.TimeoutExpired):
            process.wait(self.dice.uniform(0, self.took_s))
        if self.dice.random() >= WRITING_SHARE:
            return False
        stored = self._stored_bytes()
        while process.poll() is None and self._stored_bytes() == stored:
            time.sleep(0.001)
        time.sleep(self.dice.uniform(0, BURST_S))
        return True

    def _stored_bytes(self) -> int:
        """How much SeaweedFS has appended to its volumes."""
        return sum(volume.stat().st_size for volume in self.folder.rglob("*.dat"))

    def _kill_the_server_under(self, process: "subprocess.Popen[bytes]", log: IO[bytes]) -> bool:
        """SIGKILL for the object store, then the same command again over the same files. Whether the run failed by that."""
        port = f"-s3.port={urlsplit(self.environment['WIDEDEEP_S3_ENDPOINT']).port}"
        server = next(p for p in psutil.Process().children(recursive=True) if p.name() == "weed" and port in p.cmdline())
        command, environment, folder = server.cmdline(), server.environ(), server.cwd()
        server.kill()
        server.wait()
        self.tally.servers_killed += 1
        time.sleep(self.dice.uniform(0, DOWN_S))
        subprocess.Popen(leashed(command), env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _await_champion(_store(self.environment), self.tally)
        status = process.wait(PATIENCE_S)
        self.tally.runs_recovered += status == 0
        log.seek(0)
        last_words = log.read().decode()[-2000:]
        assert status == 0 or (status == 1 and "error: store s3://" in last_words), f"no clear error ({status}):\n{last_words}"
        return status != 0


def walk(kills: int, seed: int, days: int = DAYS) -> dict[str, object]:
    """Run and kill until so many runs were killed, and a server. AssertionError: something is not as it has to be."""
    tally = Tally()
    with TemporaryDirectory(prefix="widedeep-crash-") as folder, store_alone(Path(folder), TODAY) as settings, _servers():
        spans = [date.fromisoformat(settings["WIDEDEEP_HISTORY_START"]) + timedelta(days=HISTORY + n) for n in range(days)]
        undisturbed = _begun(settings, "undisturbed", spans)
        took_s, dice = max(_timed(undisturbed, span) for span in spans), random.Random(seed)
        while not tally.is_enough(kills):
            tally.stores += 1
            beaten = _begun(settings, f"beaten-{tally.stores}", spans)
            killer = Killer(beaten, Path(folder), dice, took_s, tally)
            for span in spans:
                while not tally.is_enough(kills) and killer.disturbs(span):
                    pass
                _finish(beaten, span)
                sys.stderr.write(f"store {tally.stores}, {span}: {tally.runs_killed} and {tally.servers_killed} servers killed\n")
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


@contextmanager
def _servers() -> Iterator[None]:
    """Ends the servers that were started again."""
    before = set(psutil.Process().children(recursive=True))
    try:
        yield
    finally:
        started = set(psutil.Process().children(recursive=True)) - before
        for process in started:
            process.terminate()
        psutil.wait_procs(started)


def _await_champion(store: S3Store, tally: Tally) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return _read_champion(store, tally)
        except StoreUnavailableError:
            assert time.monotonic() < deadline, "the store does not come back"
            time.sleep(0.1)


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
    for prefix in ("spans/", "snapshots/", "releases/", "lanes/"):
        assert list(undisturbed.keys(prefix)) == list(beaten.keys(prefix)), f"other objects below {prefix}"
    wanted, got = (_payload(store) for store in (undisturbed, beaten))
    assert wanted == got, f"other payload: {sorted(key for key in wanted if wanted[key] != got[key])[:3]}"
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
