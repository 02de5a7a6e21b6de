"""What the figures beside the AUC see of a wide, a deep and a joint model: over-generalisation (Cheng et al. 2016, §1).

    python -m benchmarks.relevance

In the simulated app store each model learns ten days of 20,000 rows in one pass, ranks what held-out users of the eleventh were
shown, and recommends ten apps to each of them. Means over five seeds and their range; also how long a model of the paper's size
takes for the lists of the largest sample. Writes `benchmarks/results/relevance.json`. A minute on one core.
"""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.machine import RESULTS, described
from benchmarks.quality.chains import changed, learnt
from widedeep.artifacts import Value
from widedeep.data.catalogue import extend_catalogue
from widedeep.data.contract import Contract, load_contract
from widedeep.data.split import split
from widedeep.evaluation import audience
from widedeep.evaluation.metrics import measure
from widedeep.evaluation.report import measuring
from widedeep.evaluation.report.compiling import Work, work
from widedeep.features.encoding import labels
from widedeep.simulation import Simulation, simulation_settings

APPSTORE = load_contract(Path(__file__).parents[1] / "dags" / "contracts" / "appstore.yaml")
CONTRACT = changed(APPSTORE, {"training.bootstrap_passes": 1})
MODELS = {"wide": ["wide"], "deep": ["deep"], "joint": ["wide", "deep"]}
SEEDS, DAYS, ROWS = range(5), 10, 20_000


def main() -> None:
    runs = [trial(seed) for seed in SEEDS]
    figures = {name: {figure: _told([run[name][figure] for run in runs]) for figure in runs[0][name]} for name in MODELS}
    result = {
        "machine": described(),
        "seeds": len(SEEDS),
        "days": DAYS,
        "rows_per_day": ROWS,
        "models": figures,
        "lists": lists_s(),
    }
    (RESULTS / "relevance.json").write_text(json.dumps(result, indent=2) + "\n")


def trial(seed: int, rows_per_day: int = ROWS, days: int = DAYS) -> dict[str, dict[str, float]]:
    """The figures of each model."""
    *past, last = Simulation(simulation_settings(rows_per_day=rows_per_day, seed=seed)).days(days + 1)
    catalogue: pa.Table | None = None
    for day in past:
        catalogue = extend_catalogue(catalogue, day.rows, CONTRACT)
    rows = split(last.rows, CONTRACT, last.span).holdout
    y = labels(rows, CONTRACT).astype(np.float64)
    users = pd.factorize(rows[CONTRACT.user].to_pandas())[0].astype(np.int64)
    asked = audience.gather(rows, y, catalogue, CONTRACT)
    assert asked is not None
    works = {}
    for name, parts in MODELS.items():
        contract = changed(CONTRACT, {"model.parts": parts})
        works[name] = work(f"r-{'0' * 16}", learnt(None, past, contract, seed), rows, asked, contract)
    return {name: _figures(made, works["joint"], asked, y, users) for name, made in works.items()}


def _figures(made: Work, reference: Work, asked: audience.Audience, y: np.ndarray, users: np.ndarray) -> dict[str, float]:
    unseen = measuring.unseen_crosses(asked, made.lists, reference.vocabularies, reference.quantiles, CONTRACT)
    found: Value = measuring.recommendations(y, made.scores, users, asked, made.lists, unseen)
    wanted = ("ndcg", "hit_rate", "list_hit_rate", "coverage", "popularity_bias", "unmatched", "unseen_crosses")
    return {"auc": measure(y, made.scores, users).auc} | {name: getattr(found, name) for name in wanted}


def _told(values: list[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 4), "low": round(min(values), 4), "high": round(max(values), 4)}


def lists_s(contract: Contract = CONTRACT) -> dict[str, float]:
    """Seconds in which a model of the paper's size makes lists for as many pairs as the sample allows."""
    paper = changed(contract, {"model.embedding": 32, "model.hidden": [1024, 512, 256]})
    day = next(iter(Simulation(simulation_settings(rows_per_day=ROWS, seed=0)).days(1)))
    items = extend_catalogue(None, day.rows, paper)
    bundle, y = learnt(None, [day], paper, 0), labels(day.rows, paper).astype(np.float64)
    asked = audience.gather(day.rows, y, items, paper)
    assert asked is not None
    began = time.process_time()
    work(f"r-{'0' * 16}", bundle, day.rows.slice(0, 1), asked, paper)
    return {"users": asked.users.num_rows, "items": asked.items.num_rows, "cpu_s": round(time.process_time() - began, 2)}


if __name__ == "__main__":
    main()
