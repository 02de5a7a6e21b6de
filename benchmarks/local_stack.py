"""How long a newcomer waits: from a clean clone to a healthy UI, to the first release, to the last of the daily spans.

    python -m benchmarks.local_stack [--checkout REPOSITORY]

Clones the repository into an empty folder and types what the README says. Writes `benchmarks/results/local_stack.json`. The
figures are of one machine on one day, with a package index near by; look at their order of magnitude.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

from benchmarks.machine import RESULTS, described
from widedeep.local.chain import AirflowApi
from widedeep.local.stack import Stack

LIMIT_S = 40 * 60
POLL_S = 2.0
STEPS = ("ingest", "validate", "train", "dry_run", "gate", "publish", "settle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkout", default=".", help="the repository to clone")
    parser.add_argument("--port", type=int, default=18_080, help="base port of the stack")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="widedeep-bench-") as folder:
        subprocess.run(["git", "clone", "--quiet", options.checkout, folder], check=True)
        result = measure(Path(folder), options.port)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "local_stack.json").write_text(json.dumps({"machine": described(), **result}, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def measure(clone: Path, port: int) -> dict[str, Any]:
    memory = _MemoryWatch()
    began = time.monotonic()
    try:
        _make(clone, "local-airflow", f"PORT={port}")
        up_s = time.monotonic() - began
        stack = Stack.model_validate_json((clone / ".local" / "stack.json").read_bytes())
        memory.watch(clone)
        released_s = _until(lambda: _settled(clone) != {}, began)
        settled_s = _until(lambda: len(_settled(clone)) >= stack.daily_spans + 8, began)
        outcomes, runs = _settled(clone), _runs(AirflowApi(stack))
        _make(clone, "stop")
        again = time.monotonic()
        _make(clone, "local-airflow")
        restart_s = time.monotonic() - again
    finally:
        memory.stop()
        _make(clone, "stop")
    return {
        "clean_clone_to_stack_up_s": round(up_s),
        "clean_clone_to_first_release_s": round(released_s),
        "clean_clone_to_all_daily_spans_settled_s": round(settled_s),
        "restart_to_healthy_s": round(restart_s),
        "peak_memory_mib": round(memory.peak / 2**20),
        "run_s_median": statistics.median(run["seconds"] for run in runs),
        "run_s_max": max(run["seconds"] for run in runs),
        "runs": runs,
        "results": outcomes,
    }


def _make(clone: Path, *words: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"}}
    subprocess.run(["make", *words], cwd=clone, env=environment, check=True)


def _settled(clone: Path) -> dict[str, str]:
    """Result by span, once the bootstrap's release is promoted."""
    command = [".venv/bin/widedeep", "local", "env", "--", "widedeep", "spans", "--json"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    found = {o["span"]: o["result"] for o in json.loads(done.stdout)} if done.returncode == 0 else {}
    return found if "promoted" in found.values() else {}


def _until(reached: Any, began: float) -> float:
    while not reached():
        if time.monotonic() - began > LIMIT_S:
            raise TimeoutError(f"not reached within {LIMIT_S / 60:.0f} minutes")
        time.sleep(POLL_S)
    return time.monotonic() - began


def _runs(api: AirflowApi) -> list[dict[str, Any]]:
    """Each daily run, end to end, and its tasks."""
    found = api.get("dags/widedeep_retrain/dagRuns?limit=100&order_by=logical_date")["dag_runs"]
    return [_run(api, run) for run in found if run["state"] == "success"]


def _run(api: AirflowApi, run: dict[str, Any]) -> dict[str, Any]:
    tasks = api.get(f"dags/widedeep_retrain/dagRuns/{run['dag_run_id']}/taskInstances")["task_instances"]
    first = min(t["start_date"] for t in tasks if t["start_date"])
    done = {t["task_id"]: round(t["duration"] or 0, 1) for t in tasks}
    return {
        "run": run["dag_run_id"],
        "seconds": round(_seconds(first, run["end_date"]), 1),
        "tasks_s": {step: done[step] for step in STEPS if step in done},
    }


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


class _MemoryWatch:
    """Peak of the summed PSS of all processes that run from the clone, sampled every few seconds."""

    def __init__(self) -> None:
        self.peak = 0
        self._done = Event()
        self._thread: Thread | None = None

    def watch(self, clone: Path) -> None:
        self._thread = Thread(target=self._sample, args=(clone,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        if self._thread:
            self._thread.join()

    def _sample(self, clone: Path) -> None:
        while not self._done.wait(3):
            status = [".venv/bin/python", "-c", _TOTAL]
            done = subprocess.run(status, cwd=clone, capture_output=True, text=True, check=False)
            self.peak = max(self.peak, int(done.stdout or 0))


_TOTAL = """
from widedeep.local.stack import find_place, load_stack
from widedeep.local.status import rows
place = find_place(None)
print(sum(row.memory_bytes or 0 for row in rows(place, load_stack(place))))
"""

if __name__ == "__main__":
    main()
