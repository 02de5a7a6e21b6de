"""One protocol for all peers: learn weeks 1 to 8 at once, then predict each week before learning it.

    python with_<peer>.py WEEKS.npz JOBS.jsonl

A line of the jobs is {"settings": …, "seed": …, "last": weeks in all, "retrain": "warm" or "scratch", "out": file}; one that
retrains from scratch may name the `first` week to predict. A job whose file exists is done. This file imports numpy and torch
only, since it runs in the environments of the peers.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

HISTORY = 8


@dataclass(frozen=True)
class Weeks:
    """The arrays of `benchmarks.quality.progressive.weeks`, or some rows of them."""

    arrays: dict[str, np.ndarray]

    def __getattr__(self, name: str) -> Any:
        return self.arrays[name]

    def where(self, chosen: np.ndarray) -> "Weeks":
        rows = len(self.arrays["week"])
        return Weeks({name: a[chosen] if a.shape[:1] == (rows,) else a for name, a in self.arrays.items()})


class Model(Protocol):
    def fit(self, weeks: Weeks) -> None:
        """Learn these rows, from where the model stands."""
        ...

    def predict(self, weeks: Weeks) -> np.ndarray:
        """(B,) probabilities."""
        ...


Build = Callable[[dict[str, Any], int, Weeks], Model]


def main(build: Build) -> None:
    torch.set_num_threads(1)
    weeks = Weeks(dict(np.load(sys.argv[1])))
    for line in Path(sys.argv[2]).read_text().splitlines():
        job = json.loads(line)
        if not Path(job["out"]).exists():
            scores, cpu_s = progressive(build, weeks, job)
            np.savez(job["out"] + ".part.npz", scores=scores, cpu_s=cpu_s)
            Path(job["out"] + ".part.npz").replace(job["out"])


def progressive(build: Build, weeks: Weeks, job: dict[str, Any]) -> tuple[np.ndarray, float]:
    """(B,) scores, NaN where no prediction was asked for, and the CPU seconds that it took."""
    began = time.process_time()
    torch.manual_seed(job["seed"])
    np.random.seed(job["seed"])
    scores = np.full(len(weeks.week), np.nan)
    model = None
    for week in range(job.get("first", HISTORY), job["last"]):
        if model is None or job["retrain"] == "scratch":
            model = build(job["settings"], job["seed"], weeks)
            model.fit(weeks.where(weeks.week < week))
        else:
            model.fit(weeks.where(weeks.week == week - 1))
        now = weeks.week == week
        scores[now] = model.predict(weeks.where(now))
    return scores, time.process_time() - began
