"""A decision on a million held-out rows, given scores, in a process of its own that prints how long it took as JSON."""

import json
import os
import resource
import sys
import time

import numpy as np
from scipy.special import expit, logit

from benchmarks.gate.worlds import CONTRACT, Judged, candidate_of, verdict
from widedeep.simulation import Simulation, simulation_settings

ROWS = 1_000_000


def main() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    day = next(iter(Simulation(simulation_settings(rows_per_day=ROWS, seed=90)).days(1)))
    small = Judged.of(day, CONTRACT, 50_000)
    champion = candidate_of(None, small, 0)
    rng = np.random.default_rng(0)
    theirs, mine, older = (expit(logit(day.probability) + 0.05 * rng.normal(size=ROWS)) for _ in range(3))
    everything = Judged(CONTRACT, day, day.rows, day.probability, small.train)
    before_mb, began, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.perf_counter(), time.process_time()
    asked = everything.sliced(champion)
    found = verdict(asked, mine, theirs, older, CONTRACT)
    told = {
        "rows": ROWS,
        "users": len(np.unique(asked.users)),
        "slices": len(found.slices),
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peak_before_mb": round(before_mb),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
