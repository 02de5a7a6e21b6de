"""Our side of the protocol: the same jobs as the peers', through `train_candidate` and `score_rows`, as a chain runs them.

    python -m benchmarks.quality.progressive.ours SAMPLE CONTRACT JOBS.jsonl

Settings that a job leaves out are the contract's; `roles` gives columns other roles than the contract does.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.quality.progressive.history import contract_with_history
from benchmarks.quality.progressive.weeks import HISTORY, tables
from widedeep.artifacts import Part
from widedeep.data.contract import Contract, load_contract
from widedeep.model.bundle import Bundle
from widedeep.model.scoring import score_rows
from widedeep.training.candidate import train_candidate

Spans = Sequence[tuple[date, pa.Table]]


def main() -> None:
    spans, contract = tables(Path(sys.argv[1])), contract_with_history(load_contract(Path(sys.argv[2])))
    for line in Path(sys.argv[3]).read_text().splitlines():
        job = json.loads(line)
        if not Path(job["out"]).exists():
            began = time.process_time()
            scores = progressive(spans, varied(contract, job["settings"]), job)
            part = Path(job["out"] + ".part.npz")
            np.savez(part, scores=scores, cpu_s=time.process_time() - began)
            part.replace(job["out"])


def varied(contract: Contract, settings: dict[str, Any]) -> Contract:
    """The contract with a job's settings in place of its own."""
    plain = contract.model_dump(mode="json")
    model, training = plain["model"], plain["training"]
    homes = {
        **{name: (model, name) for name in ("embedding", "hidden", "parts")},
        "batch": (training, "batch_size"),
        **{name: (training["ftrl"], name) for name in ("alpha", "l1", "l2", "beta")},
        **{name: (training["adagrad"], name) for name in ("learning_rate", "embedding_learning_rate")},
        "cross_min_count": (plain["crosses"][0], "min_count"),
    }
    for name in settings.keys() & homes:
        home, key = homes[name]
        home[key] = settings[name]
    for name, role in settings.get("roles", {}).items():
        plain["columns"][name]["role"] = role
    return Contract.model_validate(plain)


def progressive(spans: Spans, contract: Contract, job: dict[str, Any]) -> NDArray[np.float64]:
    """(B,) scores, NaN where no prediction was asked for."""
    bundle = _learnt(None, spans[:HISTORY], contract, job["seed"])
    scores = [np.full(rows.num_rows, np.nan) for _, rows in spans]
    for week in range(HISTORY, job["last"]):
        span, rows = spans[week]
        scores[week] = score_rows(bundle, rows, contract)
        if week + 1 < job["last"]:
            bundle = _learnt(bundle, [(span, rows)], contract, job["seed"])
    return np.concatenate(scores)


def _learnt(parent: Bundle | None, spans: Spans, contract: Contract, seed: int) -> Bundle:
    parts = [(Part(span=span, version=1, digest="0" * 64, part="train"), rows) for span, rows in spans]
    return train_candidate(parent, parts, contract, seed, lambda *_: None)[0]


if __name__ == "__main__":
    main()
