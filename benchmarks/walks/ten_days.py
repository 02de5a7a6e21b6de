"""Ten days as backfills on one stack: with 1, 4 and 16 runs at once, unchanged, and with every part killed in the middle.

    python -m benchmarks.walks.ten_days             # some twenty minutes; writes benchmarks/results/backfill_ten_days.json
    python -m benchmarks.walks.ten_days --days 3    # small, for development; writes no file

The scheduler first catches up undisturbed. *Unchanged*: the same days once more, whose releases are there; nothing may be
trained, and a run has to be short. *Backfills*: each starts from the store as it was before the days, and has to come to the same
releases, bit by bit. *Killed*: so does one in which the process of a task in training, the scheduler, the triggerer and the store
are killed (SIGKILL), one after the other; what failed is cleared, the oldest run first, as a person would.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import RESULTS, described
from benchmarks.walks.__main__ import free_port
from benchmarks.walks.combinations import forget
from benchmarks.walks.stack import ENDED, Chain, Run, Walk, backup, restore, running

DAYS = 10
AT_ONCE = (1, 4, 16)
MOST_CLEARS = 12


@dataclass(frozen=True)
class Past:
    """The stack, its days, what its store held before and after them, and the chain that they gave, with all files' digests."""

    walk: Walk
    days: list[date]
    learnt: dict[str, bytes]
    done: dict[str, bytes]
    chain: Chain
    payloads: dict[str, dict[str, str]]

    def again(self, at_once: int, meanwhile: Callable[[], Any] = lambda: None) -> dict[str, Any]:
        """The days once more, from before the first, as runs that were never there before."""
        with self.walk.store() as store:
            restore(store, self.learnt)
        self.walk.pause(True)  # else the scheduler makes runs of these days before the backfill does
        forget(self.walk, self.days)
        began = time.monotonic()
        self.walk.backfill(self.days[0], self.days[-1], max_active_runs=at_once)
        self.walk.pause(False)
        meanwhile()
        clears = self.mended()
        assert self.walk.chain() == self.chain, self.walk.told()
        assert self.walk.payloads(self.chain) == self.payloads
        return {
            "max_active_runs": at_once,
            "seconds": round(time.monotonic() - began),
            "cleared_runs": clears,
            "same_bytes": True,
        }

    def mended(self) -> int:
        """Clear what failed until nothing has. How many runs that were."""
        clears = 0
        while failed := [run for run in self.walk.quiet(*self.days, patience_s=1800) if run["state"] == "failed"]:
            clears += len(failed)
            assert clears <= MOST_CLEARS * len(self.days), self.walk.told()
            for run in failed:
                self.walk.clear(run["dag_run_id"])
        return clears

    def unchanged(self, at_once: int) -> dict[str, Any]:
        """The days once more, all of which are settled: seconds of each run, from its first task on."""
        number = self.walk.backfill(self.days[0], self.days[-1], max_active_runs=at_once, reprocess_behavior="completed")
        runs = self.walk.quiet(*self.days)
        trained = [run for run in runs if "learnt" in self.walk.log(run, "train")]
        assert {run["state"] for run in runs} == {"success"}, self.walk.told()
        self.walk.until(lambda: self.walk.backfill_state(number)["completed_at"], "the backfill counts as completed", 120)
        took = [seconds(run) for run in runs]
        return {
            "max_active_runs": at_once,
            "trained_again": len(trained),
            "median_s": round(statistics.median(took), 1),
            "longest_s": round(max(took), 1),
        }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=DAYS)
    options = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="ten-days-") as folder, running(Path(folder), free_port(), options.days) as walk:
        result = measured(walk, options.days)
    if options.days == DAYS:
        (RESULTS / "backfill_ten_days.json").write_text(json.dumps({"machine": described(), **result}, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def measured(walk: Walk, count: int) -> dict[str, Any]:
    days = [walk.day(number) for number in range(1, count + 1)]
    with walk.store() as store:
        learnt = backup(store)
        walk.pause(False)
        walk.quiet(*days, patience_s=1800)
        chain = walk.chain()
        past = Past(walk, days, learnt, backup(store), chain, walk.payloads(chain))
    results = [result for result, _ in chain.values()]
    said("caught up", results)
    killed: list[str] = []
    return {
        "days": count,
        "results": {result: results.count(result) for result in sorted(set(results))},
        "unchanged": [told(past.unchanged(at_once)) for at_once in (1, 10)],
        "backfills": [told(past.again(at_once)) for at_once in AT_ONCE],
        "killed": {"parts": killed, **told(past.again(10, lambda: kill_all(walk, days, killed)))},
    }


def kill_all(walk: Walk, days: list[date], killed: list[str]) -> None:
    """Each part once, while the days run."""

    def in_training() -> bool:
        running = [run for run in walk.runs(*days) if walk.tasks(run).get("train", {}).get("state") == "running"]
        return any(walk.kill_task(run, "train") for run in running)

    def at_work() -> bool:
        return any(run["state"] not in ENDED for run in walk.runs(*days))

    for part, kill in (
        ("a task in training", lambda: walk.until(in_training, "a day is in training", 300)),
        ("scheduler", lambda: walk.kill("scheduler")),
        ("triggerer", lambda: walk.kill("triggerer")),
        ("store", walk.kill_store),
    ):
        assert at_work(), f"all had ended before the {part} was killed"
        kill()
        killed.append(part)
        said("killed", part)
        time.sleep(8)


def seconds(run: Run) -> float:
    return (datetime.fromisoformat(run["end_date"]) - datetime.fromisoformat(run["start_date"])).total_seconds()


def told(value: Any) -> Any:
    said("", value)
    return value


def said(*what: object) -> None:
    sys.stderr.write(f"{' '.join(map(str, what)).strip()}\n")


if __name__ == "__main__":
    main()
