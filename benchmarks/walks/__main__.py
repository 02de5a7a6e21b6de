"""Backfills on a real scheduler, in generated combinations; each has to end, say what is wrong, and come to the same chain.

    python -m benchmarks.walks                   # 24 of them, on three stacks; more than an hour
    python -m benchmarks.walks --count 6 --seed 7
    python -m benchmarks.walks --only 17         # one again

On each stack the scheduler first catches up undisturbed: that chain is what every walk on it has to come to, release by release
and byte by byte. After each walk writes `benchmarks/results/backfill_walks.json`; what other runs of the same seed have shown
stays there, so that they can be walked in parts.
"""

import argparse
import json
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import RESULTS, described
from benchmarks.walks.combinations import DAYS, as_json, generated, walked
from benchmarks.walks.stack import backup, put, running
from widedeep.local import ports

STACKS: tuple[tuple[int, Mapping[int, bytes | None]], ...] = ((16, {}), (3, {2: b"no parquet"}), (1, {3: None}))
"""The DAG's `max_active_runs` of each stack, its own and what somebody may set, and what is wrong with a day's delivery: it is
unreadable, or (None) not there at all."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, action="append", help="the number of a combination; may be given again")
    options = parser.parse_args()
    combinations = [c for c in generated(options.count, options.seed) if not options.only or c.number in options.only]
    began = time.monotonic()
    for index, (runs_at_once, wrong) in enumerate(STACKS):
        share = [c for c in combinations if c.number % len(STACKS) == index]
        if not share:
            continue
        with TemporaryDirectory(prefix="walks-") as folder, running(Path(folder), free_port(), DAYS, runs_at_once) as walk:
            with walk.store() as store:
                for number, data in wrong.items():
                    for key in list(store.keys(f"landing/{walk.day(number)}/")):
                        put(store, key, data)
                learnt = backup(store)
                walk.pause(False)
                walk.quiet(walk.day(DAYS))
                wanted, done = walk.chain(), backup(store)
            sys.stderr.write(f"{runs_at_once} runs at once: {wanted}\n")
            for combination in share:
                sys.stderr.write(f"{combination}\n")
                told = walked(walk, combination, learnt, done, wanted)
                sys.stderr.write(f"  {told.seconds} s, cleared {told.clears} times, said {told.said}\n")
                keep(options.seed, {"runs_at_once_of_dag": runs_at_once, **as_json(told)})
    sys.stdout.write(f"{len(combinations)} walks in {(time.monotonic() - began) / 60:.0f} min came to the same chain\n")


def keep(seed: int, told: dict[str, Any]) -> None:
    """Write what a walk has shown in the place of what it had shown before: a run that is broken off has lost nothing."""
    file = RESULTS / "backfill_walks.json"
    before = json.loads(file.read_text()) if file.exists() else {}
    kept = before["walks"] if before.get("seed") == seed else []
    number = told["combination"]["number"]
    walks = [*(each for each in kept if each["combination"]["number"] != number), told]
    walks.sort(key=lambda each: each["combination"]["number"])
    shown = {"combinations": len(walks), "same_chain": sum(each["right"] for each in walks)}
    RESULTS.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": described(), "seed": seed, **shown, "walks": walks}, indent=2) + "\n")


def free_port() -> int:
    """A base port of which all the stack's are free."""
    bases = (10_000 + secrets.randbelow(1_200) * 10 for _ in range(1000))
    return next(base for base in bases if not ports.busy(ports.OFFSETS, base))


if __name__ == "__main__":
    main()
