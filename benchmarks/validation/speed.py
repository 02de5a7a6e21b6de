"""What validating a span of a million rows and 40 columns takes on one core, beside plain Great Expectations and pandera.

Each side has the same rules and a process of its own, pinned to one core; they take turns, and ratios are taken within a round.
Reading the file and imports are not in the time, but all of the process is in the memory. Ours also measures drift of every
column against 28 spans, takes bad rows out, profiles the span and writes Data Docs. Before that each side has to find the same
planted damage in a small span.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.environments import python
from benchmarks.validation.wide_span import SPAN, contract, damaged, rows, rules
from widedeep.data.conform import conform
from widedeep.data.profiles import profile_of

ROOT = Path(__file__).parents[2]
ROWS, ROUNDS = 1_000_000, 3
SIDES = {"ours": "ours", "plain Great Expectations": "plain_gx", "pandera": "with_pandera"}
THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS")


def measured(*, quick: bool) -> Iterator[dict[str, Any]]:
    """The figures of all rounds so far, after each round."""
    count, rounds = (20_000, 1) if quick else (ROWS, ROUNDS)
    with tempfile.TemporaryDirectory(prefix="validation-") as scratch:
        folder = Path(scratch)
        prepare(folder, count)
        planted = sorted(damaged(rows(1_000))[1])
        found = {side: len({*planted} & {*run(side, folder, "damaged.parquet")["failed"]}) for side in SIDES}
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for number, side in product(range(rounds), SIDES):
            runs[side].append(run(side, folder, "rows.parquet"))
            if len(runs["pandera"]) > number:
                yield _told(count, len(planted), found, runs)


def prepare(folder: Path, count: int) -> None:
    """The rules, a profile of an earlier span, a good span and a small damaged one."""
    wanted = contract()
    (folder / "rules.json").write_text(json.dumps(rules(wanted)))
    (folder / "profile.json").write_bytes(profile_of(conform(rows(count, 1), wanted), wanted, SPAN).to_bytes())
    for name, table in (("rows", rows(count)), ("damaged", damaged(rows(1_000))[0])):
        pq.write_table(table, folder / f"{name}.parquet")
    pa.default_memory_pool().release_unused()


def run(side: str, folder: Path, file: str) -> dict[str, Any]:
    interpreter = python("pandera") if side == "pandera" else sys.executable
    core = str(max(os.sched_getaffinity(0)))
    command = [
        "taskset",
        "--cpu-list",
        core,
        interpreter,
        ROOT / "benchmarks/validation/sides/measure.py",
        SIDES[side],
        folder,
        file,
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT) if side == "ours" else "",
        "GX_ANALYTICS_ENABLED": "False",
    } | dict.fromkeys(THREADS, "1")
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _told(count: int, planted: int, found: dict[str, int], runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "rows": count,
        "columns": len(contract().columns),
        "rounds": len(runs["pandera"]),
        "planted": planted,
        "sides": {side: {"found": found[side]} | _figures(runs[side], runs["ours"]) for side in SIDES},
    }


def _figures(own: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds; `of_ours` is the median ratio of processor times."""
    names = ("wall_s", "cpu_s", "start_cpu_s", "peak_rss_mb")
    spread = {f"{name}_range": [round(min(r[name] for r in own), 2), round(max(r[name] for r in own), 2)] for name in names[:2]}
    ratio = median(one["cpu_s"] / other["cpu_s"] for one, other in zip(own, ours, strict=True))
    return {name: round(median(r[name] for r in own), 2) for name in names} | spread | {"of_ours": round(ratio, 2)}


def table(figures: dict[str, Any]) -> str:
    lines = [f"(c) {figures['rows']:,} rows, {figures['columns']} columns, one core, median of {figures['rounds']}"]
    lines.append(f"{'':28}{'seconds':>10}{'of the core':>14}{'of ours':>10}{'peak MB':>10}{'planted damage found':>24}")
    for side, one in figures["sides"].items():
        cells = f"{one['wall_s']:>10.1f}{one['cpu_s']:>14.1f}{one['of_ours']:>10.2f}{one['peak_rss_mb']:>10,.0f}"
        lines.append(f"{side:28}{cells}{one['found']:>18} of {figures['planted']}")
    return "\n".join(lines)
