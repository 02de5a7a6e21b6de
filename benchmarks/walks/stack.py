"""A running stack and what a person does to it: ask for backfills, clear, pause, kill; and what became of it."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from rich.console import Console

from widedeep.artifacts import LIVE, Outcome
from widedeep.local import environment
from widedeep.local.chain import BOOTSTRAP, AirflowApi, bootstrap_run
from widedeep.local.down import remove
from widedeep.local.stack import Place, Stack
from widedeep.local.up import up
from widedeep.publishing import lanes, layout
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.store import ObjectStore
from widedeep.steps import open_workplace

RETRAIN = "widedeep_retrain"
ENDED = frozenset({"success", "failed"})
CONFLICT = 409
CHECKOUT = Path(__file__).parents[2]
Run = dict[str, Any]
Chain = dict[date, tuple[str, str | None]]


@contextmanager
def running(folder: Path, port: int, daily_spans: int, runs_at_once: int | None = None) -> Iterator["Walk"]:
    """A new stack with the history learnt and the daily spans delivered, whose daily DAG is paused before it has learnt one.

    `runs_at_once`: another `max_active_runs` than the DAG's own.
    """
    place = Place(folder / "checkout", folder / "state")
    for name in ("dags", "plugins"):
        shutil.copytree(CHECKOUT / name, place.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    if runs_at_once:
        dag = place.checkout / "dags" / "widedeep_retrain.py"
        text = dag.read_text()
        dag.write_text(text.replace("max_active_runs=16", f"max_active_runs={runs_at_once}"))
        assert dag.read_text() != text or runs_at_once == 16
    (place.checkout / ".local").mkdir()
    (place.checkout / ".local" / "sample").symlink_to(CHECKOUT / ".local" / "sample")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # what was started is stopped
    try:
        walk = Walk(place, up(place, port, daily_spans, datetime.now(UTC).date(), Console(quiet=True)))
        walk.pause(True)
        walk.until(walk.bootstrapped, "the history is learnt")
        yield walk
    finally:
        remove(place)


class PatientApi(AirflowApi):
    """Waits longer, and asks again where nobody answers: servers are killed here, and two cores are busy."""

    within_s = 60

    def call(self, method: str, path: str, body: object = None) -> tuple[int | None, Any]:
        for _ in range(30):
            status, answer = super().call(method, path, body)
            if status is not None or method == "POST":
                break
            time.sleep(2)
        return status, answer


@dataclass(frozen=True)
class Walk:
    """One running stack."""

    place: Place
    stack: Stack

    @cached_property
    def api(self) -> AirflowApi:
        return PatientApi(self.stack)

    @cached_property
    def settings(self) -> Mapping[str, str]:
        return environment.complete(environment.generated(self.place, self.stack), os.environ)

    @contextmanager
    def store(self) -> Iterator[ObjectStore]:
        with open_workplace(self.settings, actor="walk") as place:
            yield place.store

    def day(self, number: int) -> date:
        """The daily span with that number, from 1."""
        return self.stack.start_date + timedelta(days=number - 1)

    def bootstrapped(self) -> bool:
        run = self.api.get(f"dags/{BOOTSTRAP}/dagRuns/{bootstrap_run(*self.stack.history)}")
        assert run["state"] != "failed", run
        return bool(run["state"] == "success")

    # What a person asks of Airflow

    def backfill(self, first: date, last: date, **form: Any) -> int:
        """Ask for one as the form does, with its defaults, once no other is active. Returns its id."""

        def asked() -> Any:
            status, answer = self.ask_for_backfill(first, last, **form)
            assert status in {200, CONFLICT}, answer
            return answer if status == 200 else None

        return int(self.until(asked, "no other backfill is active", 120)["id"])

    def ask_for_backfill(self, first: date, last: date, **form: Any) -> tuple[int | None, Any]:
        asked = {"dag_id": RETRAIN, "from_date": midnight(first), "to_date": midnight(last), "dag_run_conf": {}}
        return self.api.call("POST", "backfills", asked | form)

    def backfill_state(self, number: int) -> Run:
        found: Run = self.api.get(f"backfills/{number}")
        return found

    def clear(self, run: str) -> None:
        """The button of that name on a run."""
        body = {"dry_run": False, "only_failed": False}
        status, answer = self.api.call("POST", f"dags/{RETRAIN}/dagRuns/{quote(run)}/clear", body)
        assert status == 200, answer

    def pause(self, paused: bool) -> None:
        assert self.api.call("PATCH", f"dags/{RETRAIN}", {"is_paused": paused})[0] == 200

    # What became of it

    def runs(self, *days: date) -> list[Run]:
        """The runs of these days, all if none is named, the earliest first."""
        found = self.api.get(f"dags/{RETRAIN}/dagRuns?limit=100&order_by=logical_date")["dag_runs"]
        wanted = {str(day) for day in days}
        return [run for run in found if not days or (run["logical_date"] or "")[:10] in wanted]

    def run_of(self, day: date) -> Run:
        (run,) = self.runs(day)
        return run

    def tasks(self, run: Run) -> dict[str, Run]:
        found = self.api.get(f"dags/{RETRAIN}/dagRuns/{quote(run['dag_run_id'])}/taskInstances")["task_instances"]
        return {task["task_id"]: task for task in found}

    def log(self, run: Run, task: str) -> str:
        """The text of a task's last try."""
        path = f"dags/{RETRAIN}/dagRuns/{quote(run['dag_run_id'])}/taskInstances/{task}"
        lines = self.api.get(f"{path}/logs/{self.api.get(path)['try_number']}?full_content=true")["content"]
        return "\n".join(f"{line.get('event', '')} {line.get('error_detail') or ''}" for line in lines)

    def chain(self, lane: str = LIVE) -> Chain:
        """How each daily span of the lane was settled, and the release."""
        with self.store() as store:
            return {o.span: (o.result, o.release_id) for o in lanes.outcomes(store, lane) if o.span >= self.stack.start_date}

    def outcome(self, day: date, lane: str = LIVE) -> Outcome | None:
        with self.store() as store:
            return lanes.outcome(store, lane, day)

    def payloads(self, chain: Chain) -> dict[str, dict[str, str]]:
        """By release, the digests of its payload's files."""
        with self.store() as store:
            manifests = {release: load_manifest(store, release, published=False) for _, release in chain.values() if release}
        return {release: {f.name: f.sha256 for f in made.files} for release, made in manifests.items()}

    def lane_of(self, run: Run) -> str:
        """The lane that the scheduler told a backfill's run."""
        return str(run["conf"]["backfill"]["lane"])

    def until(self, reached: Callable[[], Any], what: str, patience_s: float = 600) -> Any:
        """What `reached` returns, once that is true."""
        deadline = time.monotonic() + patience_s
        while not (found := reached()):
            assert time.monotonic() < deadline, f"{what}: not within {patience_s:.0f} s\n{self.told()}"
            time.sleep(0.5)
        return found

    def quiet(self, *days: date, patience_s: float = 600) -> list[Run]:
        """The runs of these days, once all have ended."""

        def ended() -> list[Run] | None:
            runs = self.runs(*days)
            return runs if runs and all(run["state"] in ENDED for run in runs) else None

        found: list[Run] = self.until(ended, f"runs of {', '.join(map(str, days)) or 'all days'} end", patience_s)
        return found

    def told(self) -> str:
        """Where each run stands, for a failing test."""
        lines = []
        for run in self.runs():
            tasks = ", ".join(f"{name} {task['state']}" for name, task in self.tasks(run).items() if task["state"])
            lines.append(f"{run['dag_run_id']} {run['run_type']} {run['state']}: {tasks}")
        return "\n".join(lines)

    # What happens to it

    def kill(self, part: str) -> None:
        """SIGKILL a part's own process; whoever started it starts it again."""
        own = [p for p in self._processes() if f"airflow {part}" in _said(p) and "leash.py" not in _said(p)]
        assert own, f"no process of {part}"
        for process in own:
            process.send_signal(signal.SIGKILL)

    def kill_store(self) -> None:
        for process in self._processes():
            if "weed" in _said(process).split(" ")[0]:
                process.send_signal(signal.SIGKILL)

    def kill_task(self, run: Run, task: str) -> bool:
        """SIGKILL the process that executes a task, if one does right now."""
        title = f"airflow worker -- {self.tasks(run)[task]['id']}"
        found = [p for p in self._processes() if _said(p).strip() == title]
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        return bool(found)

    def _processes(self) -> list[psutil.Process]:
        leash = psutil.Process(int((self.place.state / "leash.pid").read_text()))
        return leash.children(recursive=True)

    @contextmanager
    def damaged(self, keys: Mapping[str, bytes]) -> Iterator[None]:
        """Objects that lost their end on a failing disk, until they are restored. Given whole; they need not be there before."""
        with self.store() as store:
            there = {key: store.get(key) for key in keys}
            for key, whole in keys.items():
                put(store, key, whole[: len(whole) // 2])
            try:
                yield
            finally:
                for key, blob in there.items():
                    put(store, key, blob.data if blob else None)


def backup(store: ObjectStore) -> dict[str, bytes]:
    """All that the store holds but what was delivered to it."""
    kept = (key for key in store.keys("") if not key.startswith("landing/"))
    return {key: blob.data for key in kept if (blob := store.get(key))}


def restore(store: ObjectStore, saved: Mapping[str, bytes]) -> None:
    """Bring the store back to a backup, the champion last."""
    for key in list(store.keys("")):
        if not key.startswith("landing/") and key not in saved:
            store.delete(key)
    for key, data in sorted(saved.items(), key=lambda item: item[0] == layout.champion(LIVE)):
        put(store, key, data)


def put(store: ObjectStore, key: str, data: bytes | None) -> None:
    """Make the object what it is told to be; None: not there."""
    there = store.get(key)
    if data is None:
        store.delete(key)
    elif there is None:
        store.create(key, data)
    elif there.data != data:
        store.swap(key, data, there.etag)


def midnight(day: date) -> str:
    return f"{day}T00:00:00Z"


def _said(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
