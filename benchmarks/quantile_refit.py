"""What a silent refit of the quantile boundaries costs: two warm chains, alike in all else, each predicting the next span.

    python -m benchmarks.quantile_refit

One chain keeps the boundaries of its first rows; the other fits them anew on each span, under weights that learnt the old ones.
On MovieLens (two numeric features among ten), and on numbers that mean the same every day while their level walks, or is another
one at weekends. Writes `benchmarks/results/quantile_refit.json`. Less than a minute on one core.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.machine import RESULTS, described
from widedeep.artifacts import Part
from widedeep.data.contract import AdaGrad, Column, Contract, Gate, Label, Model, SplitRule, Training, load_contract
from widedeep.data.movielens import deliveries
from widedeep.evaluation.metrics import auc, row_losses
from widedeep.features.encoding import labels
from widedeep.features.quantiles import Quantiles
from widedeep.model.bundle import Bundle
from widedeep.model.scoring import score_rows
from widedeep.training.candidate import train_candidate

ROOT = Path(__file__).parents[1]
FIRST = date(2026, 1, 1)
BOOTSTRAP_SPANS = 8
SEEDS = range(3)
NUMBERS = tuple(f"x{k}" for k in range(5))
SYNTHETIC_SPANS, SYNTHETIC_ROWS = 29, 4000

Spans = list[tuple[date, pa.Table]]


def main() -> None:
    movielens = load_contract(ROOT / "dags/contracts/movielens.yaml")
    smaller = movielens.model_copy(update={"model": Model(embedding=16, hidden=(128, 64))})
    weeks = list(deliveries(ROOT / ".local/sample", FIRST))
    result = {
        "machine": described(),
        "bootstrap_spans": BOOTSTRAP_SPANS,
        "seeds": len(SEEDS),
        "movielens": _trial(smaller, dict.fromkeys(SEEDS, weeks)),
        "walking_level": _trial(_synthetic_contract(), {seed: list(_synthetic(seed, daily_step=0.15)) for seed in SEEDS}),
        "weekend_level": _trial(_synthetic_contract(), {seed: list(_synthetic(seed, weekend=1.0)) for seed in SEEDS}),
    }
    (RESULTS / "quantile_refit.json").write_text(json.dumps(result, indent=2) + "\n")


def _trial(contract: Contract, spans: dict[int, Spans]) -> dict[str, Any]:
    """Each span's AUC and log loss by both chains, means over seeds, and what refitting adds on average over spans."""
    frozen, refit = (
        np.mean([list(_chain(contract, own, seed, refit=refits)) for seed, own in spans.items()], axis=0)
        for refits in (False, True)
    )
    difference = refit - frozen
    error = difference.std(axis=0, ddof=1) / np.sqrt(len(difference))
    told = {"mean": _named(difference.mean(axis=0)), "standard_error_over_spans": _named(error)}
    sys.stdout.write(json.dumps(told) + "\n")
    rows = [{"frozen": _named(one), "refit": _named(other)} for one, other in zip(frozen, refit, strict=True)]
    return {"refit_minus_frozen": told, "spans": rows}


def _chain(contract: Contract, spans: Spans, seed: int, *, refit: bool) -> Iterator[tuple[float, float]]:
    """AUC and log loss of each span after the bootstrap, predicted before it is learnt."""
    bundle = _learnt(None, spans[:BOOTSTRAP_SPANS], contract, seed)
    for span, rows in spans[BOOTSTRAP_SPANS:]:
        positive, scores = labels(rows, contract).astype(np.float64), score_rows(bundle, rows, contract)
        yield auc(positive, scores) or 0.5, float(row_losses(positive, scores).mean())
        bundle = _learnt(replace(bundle, quantiles=Quantiles()) if refit else bundle, [(span, rows)], contract, seed)


def _learnt(parent: Bundle | None, spans: Spans, contract: Contract, seed: int) -> Bundle:
    parts = [(Part(span=span, version=1, digest="0" * 64, part="train"), rows) for span, rows in spans]
    return train_candidate(parent, parts, contract, seed, lambda _learnt, _total: None)[0]


def _synthetic_contract() -> Contract:
    return Contract(
        name="synthetic",
        user="who",
        time="at",
        label=Label(column="y"),
        columns={
            **{name: Column(type="number", role="numeric") for name in NUMBERS},
            "who": Column(type="integer"),
            "at": Column(type="timestamp"),
            "y": Column(type="boolean"),
        },
        model=Model(hidden=(64, 32), parts=("deep",)),
        training=Training(batch_size=64, adagrad=AdaGrad(learning_rate=0.02)),
        split=SplitRule(salt="s"),
        gate=Gate(margin=0.01),
    )


def _synthetic(seed: int, *, daily_step: float = 0.0, weekend: float = 0.0) -> Iterator[tuple[date, pa.Table]]:
    """Numbers of standard deviation 1. Their mean walks by `daily_step` a day, and lies `weekend` higher on two days of seven."""
    random = np.random.default_rng(seed)
    walked = np.zeros(len(NUMBERS))
    for day in range(SYNTHETIC_SPANS):
        walked += random.normal(0, daily_step, len(NUMBERS))
        level = walked + weekend * (day % 7 > 4)
        x = random.normal(level, 1, (SYNTHETIC_ROWS, len(level)))
        logit = np.sin(2 * x).sum(axis=1) + 0.5 * x[:, 0]
        columns = dict(zip(NUMBERS, x.T, strict=True))
        fixed = {"who": np.arange(SYNTHETIC_ROWS), "at": np.zeros(SYNTHETIC_ROWS, np.int64)}
        yield (
            FIRST + timedelta(days=day),
            pa.table(columns | fixed | {"y": random.random(SYNTHETIC_ROWS) < 1 / (1 + np.exp(-logit))}),
        )


def _named(pair: np.ndarray) -> dict[str, float]:
    return dict(zip(("auc", "log_loss"), pair.round(5).tolist(), strict=True))


if __name__ == "__main__":
    main()
