"""A backfill of all 23 daily spans of the sample on the local stack, pressed with the form's defaults: how long, and on what.

    python -m benchmarks.backfill             # once with each executor, half an hour; writes benchmarks/results/backfill.json
    python -m benchmarks.backfill --spans 4   # small, for development; writes no file

The same backfill runs on two stacks: with workers that have imported what tasks need (what `make local-airflow` has), and with
Airflow's own LocalExecutor, whose every task imports anew. By task, seconds of all spans: `scheduled` (until the scheduler sends
it off), `queued` (until a worker has it), `worked`. What tasks work longer with the plain executor is what imports cost. A
task that waits without a worker (`wait_turn`, and `ingest` before its delivery) is counted apart, as `waited`.
"""

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from benchmarks.machine import RESULTS, described
from benchmarks.walks.__main__ import free_port
from benchmarks.walks.stack import Run, Walk, running
from widedeep.local import environment

EXECUTORS = {"preloaded": "widedeep_airflow.executor.PreloadedLocalExecutor", "plain": "LocalExecutor"}
SPANS = 23
LIMIT_S = 40 * 60
TASKS = ("ingest", "validate", "wait_turn", "train", "dry_run", "gate", "publish", "settle", "ask")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=SPANS)
    options = parser.parse_args(arguments)
    found = {name: measured(executor, options.spans) for name, executor in EXECUTORS.items()}
    result = {
        **found,
        "imports_s_per_span": round(found["plain"]["worked_s_per_span"] - found["preloaded"]["worked_s_per_span"], 1),
        "time_of_plain": round(found["preloaded"]["seconds"] / found["plain"]["seconds"], 2),
        "same_releases": found["preloaded"].pop("releases") == found["plain"].pop("releases"),
    }
    if options.spans == SPANS:
        (RESULTS / "backfill.json").write_text(json.dumps({"machine": described(), **result}, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def measured(executor: str, spans: int) -> dict[str, Any]:
    """One backfill on a stack of its own. Its runs are made while the DAG is paused: they take the dates before the scheduler."""
    generated = environment.generated

    def with_executor(*arguments: Any) -> Mapping[str, str]:
        return {**generated(*arguments), "AIRFLOW__CORE__EXECUTOR": executor}

    with (
        mock.patch.object(environment, "generated", with_executor),
        TemporaryDirectory(prefix="backfill-") as folder,
        running(Path(folder), free_port(), spans) as walk,
    ):
        days = [walk.day(number) for number in range(1, spans + 1)]
        began = time.monotonic()
        walk.backfill(days[0], days[-1])
        walk.pause(False)
        runs = walk.quiet(*days, patience_s=LIMIT_S)
        seconds = time.monotonic() - began
        assert {run["state"] for run in runs} == {"success"}, walk.told()
        chain = walk.chain()
        assert [*chain] == days
        results = [result for result, _ in chain.values()]
        return {
            "seconds": round(seconds),
            "seconds_per_span": round(seconds / spans, 1),
            "results": {result: results.count(result) for result in sorted(set(results))},
            **spent(walk, runs),
            "releases": list(chain.values()),
        }


def spent(walk: Walk, runs: list[Run]) -> dict[str, Any]:
    """Seconds by task, the mean of all spans."""
    by_task: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for name, task in walk.tasks(run).items():
            if task["start_date"] is None or task["queued_when"] is None:
                continue
            queued, started, ended = (datetime.fromisoformat(task[at]) for at in ("queued_when", "start_date", "end_date"))
            scheduled = datetime.fromisoformat(task["scheduled_when"])
            waits = name == "wait_turn"
            by_task[name]["scheduled_s"].append(max((queued - scheduled).total_seconds(), 0))
            by_task[name]["queued_s"].append(max((started - queued).total_seconds(), 0))
            by_task[name]["waited_s" if waits else "worked_s"].append((ended - started).total_seconds())
    tasks = {
        name: {what: round(statistics.mean(values), 2) for what, values in by_task[name].items()}
        for name in TASKS
        if by_task[name]
    }
    total = {
        what: round(sum(task.get(what, 0) for task in tasks.values()), 1) for what in ("scheduled_s", "queued_s", "worked_s")
    }
    return {
        "queue_and_start_s_per_span": round(total["scheduled_s"] + total["queued_s"], 1),
        "worked_s_per_span": total["worked_s"],
        "tasks": tasks,
    }


if __name__ == "__main__":
    main()
