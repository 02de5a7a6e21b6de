"""One process beside 2 and 4 that share the tables (`training.engine: torchrec`): what they learn, how fast, and what it costs.

    python -m benchmarks.scaling            # 500k rows, three worlds; a quarter of an hour
    python -m benchmarks.scaling --quick    # small, for development; writes no file

Rows of the Criteo shape (`benchmarks.engine.criteo`), each seed a world of its own. A model learns the first part of a world, its
child a second part, and the child is scored on a third one. The engines take turns; each run is a process of its own. `switched`
learns the first part with 2 processes and the second with one. How much an AUC is worth is told by the one process with another
seed: other initial weights, another order of rows.

Writes `benchmarks/results/scaling.json`: AUC, rows per second while learning, how long ranks take to start and to hand over their
shards, CPU time of all processes over all, and peak memory of the coordinator and of the largest rank.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from typing import Any

import numpy as np

from benchmarks.engine import criteo
from benchmarks.engine.contract import contract, training
from benchmarks.machine import RESULTS, described
from widedeep.artifacts import Part
from widedeep.data.contract import Contract
from widedeep.evaluation.metrics import auc
from widedeep.features.encoding import encode
from widedeep.model.forward import scores
from widedeep.training.candidate import train_candidate
from widedeep.training.distributed.rank import REPORT_BATCHES

BATCH = 4096
ENGINES = {"1": (1, 1), "1 again": (1, 1), "2": (2, 2), "4": (4, 4), "switched": (2, 1)}
"""How many processes learn the first and the second part."""


def settings(processes: int) -> Contract:
    changed = {"engine": "torchrec", "processes": processes} if processes > 1 else {}
    return contract().model_copy(update={"training": training("float32", BATCH).model_copy(update=changed)})


def run(world: int, engine: str, rows: int, processes: tuple[int, int]) -> dict[str, Any]:
    """Learn two parts of `rows` rows, and score a third one."""
    table = criteo.rows(2 * rows + rows // 2, world)
    seed = 1 if engine == "1 again" else 0
    bundle, told = None, []
    for day, count in enumerate(processes):
        part = Part(span=date(2026, 1, 1 + day), version=1, digest=f"{day:064x}", part="train")
        moments: list[tuple[int, float, float]] = []

        def hear(learnt: int, _total: int, moments: list[tuple[int, float, float]] = moments) -> None:
            moments.append((learnt, *_now()))

        own = table.slice(day * rows, rows)
        bundle, _ = train_candidate(bundle, [(part, own)], settings(count), seed, hear)
        moments.append((rows, *_now()))
        told.append(moments)
    held_out = table.slice(2 * rows)
    encoded = encode(held_out, bundle.vocabularies, bundle.quantiles, contract())
    of_self, of_ranks = (resource.getrusage(who).ru_maxrss / 2**10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    learning = [_learning(moments) for moments in told]
    return {
        "world": world,
        "engine": engine,
        "auc": round(float(auc(np.asarray(encoded.labels, np.float64), scores(bundle, encoded))), 6),
        "rows_per_s": round(2 * rows / sum(each[0] for each in learning)),
        "start_s": round(statistics.mean(each[1] for each in learning), 1),
        "end_s": round(statistics.mean(each[2] for each in learning), 1),
        "cpu_s": round(sum(_now()[1:]), 1),
        "coordinator_mb": round(of_self),
        "largest_rank_mb": round(of_ranks) if max(processes) > 1 else None,
    }


def _now() -> tuple[float, float]:
    """Seconds of wall-clock, and of CPU time of this process and of those children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(each.ru_utime + each.ru_stime for each in used)


def _learning(moments: list[tuple[int, float, float]]) -> tuple[float, float, float]:
    """Seconds that all rows take, at the rate from the first report of some batches on; until that one; after the last one.

    The first moment says that nothing is learnt yet, the last one that the bundle is there.
    """
    rows, first, *_ = next(m for m in moments if m[0] >= BATCH * REPORT_BATCHES)
    last = next(m for m in moments if m[0] == moments[-1][0])
    return (last[1] - first) / (last[0] - rows) * last[0], first - moments[0][1], moments[-1][1] - last[1]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, for development; writes no file")
    quick = parser.parse_args(arguments).quick
    rows, worlds = (150_000, 1) if quick else (250_000, 3)
    runs = [_child(world, engine, rows) for world in range(worlds) for engine in ENGINES]
    by = {engine: [r for r in runs if r["engine"] == engine] for engine in ENGINES}
    told = {
        engine: {
            "auc_minus_one": [round(r["auc"] - one["auc"], 6) for r, one in zip(own, by["1"], strict=True)],
            "rows_per_s_to_one": _ratio(own, by["1"], "rows_per_s"),
            "cpu_to_one": _ratio(own, by["1"], "cpu_s"),
        }
        for engine, own in by.items()
        if engine != "1"
    }
    result = {"machine": described(), "rows": 2 * rows, "batch": BATCH, "beside_one_process": told, "runs": runs}
    if not quick:
        (RESULTS / "scaling.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def _ratio(own: list[dict[str, Any]], one: list[dict[str, Any]], figure: str) -> float:
    return round(statistics.median(a[figure] / b[figure] for a, b in zip(own, one, strict=True)), 2)


def _child(world: int, engine: str, rows: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scaling", "--run", str(world), engine, str(rows)]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    sys.stderr.write(f"{result}\n")
    return result


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        sys.stdout.write(json.dumps(run(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), ENGINES[sys.argv[3]])))
    else:
        main(sys.argv[1:])
