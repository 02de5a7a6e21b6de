"""One measurement, in a process of its own: warm up, learn a fixed number of rows, say what it took.

    python -m benchmarks.engine.measure '{"side": "stock", "folder": …, "precision": "float32", "batch": 256, "rows": 20000, …}'

The last line of standard output is a JSON object; all other output goes to standard error. Runs in any side's environment.
"""

import contextlib
import importlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.engine.plan import WARM_UP


class Side(Protocol):
    def learn(self, start: int, stop: int) -> None:
        """Learn these rows once, in batches."""
        ...

    def scores(self) -> NDArray[np.float64]:
        """Probabilities of the held-out rows."""
        ...


def measured(side: Side, batch: int, rows: int) -> dict[str, float]:
    """Learn `rows` rows after the warm-up."""
    warm = WARM_UP * batch
    side.learn(0, warm)
    began = time.process_time()
    side.learn(warm, warm + rows)
    cpu_s = time.process_time() - began
    return {"cpu_s": cpu_s, "steps_cpu_s": getattr(side, "steps_s", cpu_s), "rows": rows, "peak_rss_mb": peak_rss_mb()}


def peak_rss_mb() -> float:
    """This program's own peak; getrusage's also counts what the parent had when it forked."""
    kib = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert kib is not None
    return int(kib[1]) / 1024


def auc(scores: NDArray[np.float64], labels: NDArray[np.float32]) -> dict[str, float]:
    """The area, and its standard error (Hanley & McNeil 1982)."""
    _, tie, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[tie]
    positives = float(labels.sum())
    negatives = len(labels) - positives
    area = float((ranks[labels > 0].sum() - positives * (positives + 1) / 2) / (positives * negatives))
    by_positive, by_negative = area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
    variance = area * (1 - area) + (positives - 1) * by_positive + (negatives - 1) * by_negative
    return {"auc": area, "auc_standard_error": float(np.sqrt(variance / (positives * negatives)))}


def main(job: dict[str, Any]) -> dict[str, float]:
    torch.set_num_threads(1)
    folder = Path(job["folder"])
    module = importlib.import_module(f"benchmarks.engine.sides.{job['side'].replace('-', '_')}")
    side = module.make(folder, job["precision"], job["batch"])
    result = measured(side, job["batch"], job["rows"])
    if job["score"]:
        labels = np.load(folder / "peers" / "held_out" / "labels.npy")
        result |= auc(side.scores(), labels)
    return result


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        answer = main(json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps(answer) + "\n")
