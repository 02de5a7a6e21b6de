"""What the dry run blocks and lets pass: a corpus of poisoned candidates (benchmarks/dry_run/poisons.py), and 200 good ones.

    python -m benchmarks.dry_run                   # all
    python -m benchmarks.dry_run --good 5          # fewer good ones; writes no file

Each is rehearsed as in the chain, on real server processes and beside its champion, from a store in memory. Good ones differ
in data, size, precision and seed: each is a day of one of 40 chains. Writes `benchmarks/results/dry_run.json`.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.dry_run.chain import Chain, Size, contract, days
from benchmarks.dry_run.poisons import POISONS
from benchmarks.machine import RESULTS, described
from widedeep.artifacts import DryRunReport

GOOD, DAYS, MINUTES = 200, 5, 40
"""Good candidates, how many of them each chain has, and in what time."""

POISONED = Size(20_000, 1024, (64, 64, 64))
SIZES = tuple(
    Size(rows, embedding, hidden, precision)
    for rows, precision in ((300, "float32"), (1_000, "bfloat16"), (3_000, "float32"))
    for embedding, hidden in ((4, (16, 8)), (16, (64, 32)), (32, (256, 128, 64)))
)
LONGEST_S = 30.0


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dry_run")
    parser.add_argument("--good", type=int, default=GOOD)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for the good ones: as many are rehearsed as fit")
    asked = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="dry-runs-") as folder:
        poisoned = [*rehearsed_poisons(Path(folder))]
    passing = [*rehearsed_good(asked.good, asked.minutes)]
    result = {"machine": described(), "load_average": round(os.getloadavg()[1], 1), **summed(poisoned, passing)}
    sys.stdout.write(json.dumps({name: result[name] for name in ("poisoned", "good")}, indent=2) + "\n")
    if asked.good == GOOD:
        (RESULTS / "dry_run.json").write_text(json.dumps(result, indent=2) + "\n")


def rehearsed_poisons(folder: Path, names: frozenset[str] = frozenset(), size: Size = POISONED) -> Iterator[dict[str, Any]]:
    """What became of those that are named, or of all."""
    (folder / "chain").mkdir()
    chain = Chain(contract(size), folder / "chain", 0)
    first, second = days(size.rows, 1, 2, chain.rule)
    chain.publish(chain.stage(0, chain.train(0, first)))
    good = chain.train(1, second)
    for i, poison in enumerate(POISONS):
        if not names or poison.name in names:
            candidate = poison.staged(chain, 1, good, folder / str(i), i)
            began = time.perf_counter()
            report = chain.rehearse(candidate, poison.server)
            told = _told(report, time.perf_counter() - began)
            named = any(poison.words in failure for failure in report.failures)
            yield {"name": poison.name, "words": poison.words, "blocked": bool(report.failures), "reason_named": named, **told}


def rehearsed_good(count: int, minutes: float = MINUTES) -> Iterator[dict[str, Any]]:
    done, end = 0, time.monotonic() + 60 * minutes
    for seed in range(count):
        size = SIZES[seed % len(SIZES)]
        with TemporaryDirectory(prefix="dry-runs-") as folder:
            chain = Chain(contract(size), Path(folder), seed)
            for day, rows in enumerate(days(size.rows, 100 + seed, DAYS + 1, chain.rule)):
                candidate = chain.stage(day, chain.train(day, rows))
                if day:
                    began = time.perf_counter()
                    report = chain.rehearse(candidate)
                    sized = {"rows": size.rows, "hidden": size.hidden, "precision": size.precision, "seed": seed, "day": day}
                    yield sized | _told(report, time.perf_counter() - began)
                    done += 1
                    if done == count or time.monotonic() > end:
                        return
                chain.publish(candidate)


def _told(report: DryRunReport, seconds: float) -> dict[str, Any]:
    kept = {"score_p50_ms", "champion_p50_ms", "release_mb", "growth_mb", "rank_agreement", "largest_score_error", "timed_again"}
    sys.stderr.write(f"{seconds:.1f} s: {'; '.join(report.failures)[:300] or 'passed'}\n")
    return {"seconds": round(seconds, 1), "failures": report.failures, **{name: getattr(report, name) for name in sorted(kept)}}


def summed(poisoned: list[dict[str, Any]], passing: list[dict[str, Any]]) -> dict[str, Any]:
    blocked = [each for each in poisoned if each["blocked"] and each["reason_named"]]
    return {
        "poisoned": {
            "count": len(poisoned),
            "blocked_with_reason": len(blocked),
            "within_30_s": sum(each["seconds"] < LONGEST_S for each in poisoned),
            "slowest_s": max(each["seconds"] for each in poisoned),
        },
        "good": {
            "count": len(passing),
            "blocked": sum(bool(each["failures"]) for each in passing),
            "timed_again": sum(each.get("timed_again", False) for each in passing),
            "lowest_agreement": min(
                (each["rank_agreement"] for each in passing if each.get("rank_agreement") is not None), default=None
            ),
            "median_s": sorted(each["seconds"] for each in passing)[len(passing) // 2] if passing else None,
        },
        "each_poisoned": poisoned,
        "each_good": passing,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
