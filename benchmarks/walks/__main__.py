"""Backfills on a real scheduler, in generated combinations; each has to end, say what is wrong, and come to the same chain.

    python -m benchmarks.walks                   # 24 of them, on three stacks; some three quarters of an hour
    python -m benchmarks.walks --count 6 --seed 7
    python -m benchmarks.walks --only 17         # one again

On each stack the scheduler first catches up undisturbed: that chain is what every walk on it has to come to, release by release
and byte by byte. Writes `benchmarks/results/backfill_walks.json`.
"""

import argparse
import json
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import RESULTS, described
from benchmarks.walks.combinations import DAYS, Told, as_json, generated, walked
from benchmarks.walks.stack import backup, put, running
from widedeep.local import ports

STACKS: tuple[tuple[int, Mapping[int, bytes | None]], ...] = ((16, {}), (3, {2: b"no parquet"}), (1, {3: None}))
"""The DAG's `max_active_runs` of each stack, its own and what somebody may set, and what is wrong with a day's delivery: it is
unreadable, or (None) not there at all."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, action="append", help="the number of a combination")
    options = parser.parse_args()
    combinations = [c for c in generated(options.count, options.seed) if not options.only or c.number in options.only]
    told: list[tuple[int, Told]] = []
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
                told.append((runs_at_once, walked(walk, combination, learnt, done, wanted)))
                sys.stderr.write(f"  {told[-1][1].seconds} s, cleared {told[-1][1].clears} times, said {told[-1][1].said}\n")
    result = {
        "combinations": len(told),
        "same_chain": sum(each.right for _, each in told),
        "minutes": round((time.monotonic() - began) / 60),
        "walks": [{"runs_at_once_of_dag": at_once, **as_json(each)} for at_once, each in told],
    }
    if not options.only:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "backfill_walks.json").write_text(json.dumps({"machine": described(), **result}, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def free_port() -> int:
    """A base port of which all the stack's are free."""
    bases = (10_000 + secrets.randbelow(1_200) * 10 for _ in range(1000))
    return next(base for base in bases if not ports.busy(ports.OFFSETS, base))


if __name__ == "__main__":
    main()
