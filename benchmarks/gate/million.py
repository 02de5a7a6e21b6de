"""A decision on a million held-out rows, given scores, in a process of its own that prints how long it took as JSON.

`python -m benchmarks.gate.million prepare FOLDER` writes rows and scores, `decide FOLDER` reads them and decides, on one core.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.special import expit, logit

from benchmarks.gate.worlds import CONTRACT, Judged, candidate_of, verdict
from widedeep.model.bundle import load_bundle, save_bundle
from widedeep.simulation import SimulatedDay, Simulation, simulation_settings

ROWS = 1_000_000


def prepare(folder: Path) -> None:
    day = next(iter(Simulation(simulation_settings(rows_per_day=ROWS, seed=90)).days(1)))
    save_bundle(candidate_of(None, Judged.of(day, CONTRACT, 50_000), 0), folder)
    rng = np.random.default_rng(0)
    np.save(folder / "scores.npy", [expit(logit(day.probability) + 0.05 * rng.normal(size=ROWS)) for _ in range(3)])
    pq.write_table(day.rows, folder / "rows.parquet")


def decide(folder: Path) -> dict[str, float]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    champion, rows = load_bundle(folder, optimizer=False), pq.read_table(folder / "rows.parquet")
    mine, theirs, older = np.load(folder / "scores.npy")
    day = SimulatedDay(0, simulation_settings().start, rows, mine)
    began, cpu = time.perf_counter(), time.process_time()
    asked = Judged(CONTRACT, day, rows, mine, day).sliced(champion)
    found = verdict(asked, mine, theirs, older, CONTRACT)
    return {
        "rows": ROWS,
        "users": len(np.unique(asked.users)),
        "slices": len(found.slices),
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_mb_with_rows_and_libraries": _peak_mb(),
    }


def _peak_mb() -> int:
    """Of this program: `getrusage` also knows that of the larger one that it was forked from."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024)


if __name__ == "__main__":
    what, where = sys.argv[1:]
    if what == "prepare":
        prepare(Path(where))
    else:
        sys.stdout.write(json.dumps(decide(Path(where))) + "\n")
