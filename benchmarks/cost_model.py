"""What 1e9 and 5e11 examples would take, by arithmetic on what was measured: `python -m benchmarks.cost_model`.

Reads big_span.json, validation.json, transfer.json and scaling.json, and writes `benchmarks/results/cost_model.json`. 5e11 is the
scale of the paper (Cheng et al. 2016, §4.2). Prices are assumptions, not measurements: put yours in.
"""

import json
import math
import sys
from itertools import pairwise
from typing import Any

from benchmarks.engine.settings import HIDDEN, WIDTH
from benchmarks.machine import RESULTS

EXAMPLES = (1e9, 5e11)
CORE_HOUR, GB_MONTH = 0.04, 0.023
"""Dollars: a core of a large general-purpose machine on demand, and a month of a GB in an object store."""
CATEGORIES, NUMBERS, BATCH = 26, 13, 4096


def measured() -> dict[str, float]:
    """Rows are of the Criteo shape: 13 numbers, 26 categories, 3 crosses; 40 columns in the validation."""
    spans, checks, transfer, scaling = (_read(name) for name in ("big_span", "validation", "transfer", "scaling"))
    runs = [run for run in spans["runs"] if run["how"] == "file"]
    few, many = (choose(runs, key=lambda run: run["rows"]) for choose in (min, max))
    ours = checks["speed"]["sides"]["ours"]
    return {
        "learnt_rows_per_cpu_s": many["rows_per_cpu_s"],
        "parquet_bytes_per_row": spans["file_mb"] * 2**20 / many["rows"],
        "tables_mb": many["tables_mb"],
        "tables_rows": many["rows"],
        # Tables grow with a power of the examples (Heaps' law); its exponent, between the smallest and the largest run.
        "tables_exponent": math.log(many["tables_mb"] / few["tables_mb"]) / math.log(many["rows"] / few["rows"]),
        "validated_rows_per_cpu_s": checks["speed"]["rows"] / ours["cpu_s"],
        "published_mb_per_s": transfer["size_mb"] / transfer["compared"]["publish"]["seconds"],
        "two_processes_to_one": scaling["beside_one_process"]["2"]["rows_per_s_to_one"],
    }


def network_bytes_per_row() -> float:
    """What a rank sends for each of its rows: embeddings and their gradients, and its share of the layers' gradients.

    A ring all-reduce moves twice the gradients; a rank has BATCH rows of a batch.
    """
    inputs = CATEGORIES * WIDTH + 2 * NUMBERS
    widths = [inputs, *HIDDEN, 1]
    layers = sum(a * b + b for a, b in pairwise(widths))
    return 2 * 4 * CATEGORIES * WIDTH + 2 * 4 * layers / BATCH


def modelled(examples: float, by: dict[str, float]) -> dict[str, float]:
    """One pass over so many examples, each validated and learnt once, and the release that comes of it."""
    learn_h, validate_h = (examples / by[f"{what}_rows_per_cpu_s"] / 3600 for what in ("learnt", "validated"))
    tables_gb = by["tables_mb"] / 1024 * (examples / by["tables_rows"]) ** by["tables_exponent"]
    stored_tb = examples * by["parquet_bytes_per_row"] / 1e12
    efficiency = by["two_processes_to_one"] / 2
    processes = math.ceil(learn_h / 24 / efficiency)
    return {
        "examples": examples,
        "learn_core_hours": round(learn_h, 1),
        "validate_core_hours": round(validate_h, 1),
        "one_process_days": round(learn_h / 24, 1),
        "processes_for_one_day": processes if learn_h > 24 else 1,
        "learn_dollars": round(learn_h / (efficiency if learn_h > 24 else 1) * CORE_HOUR, 2),
        "validate_dollars": round(validate_h * CORE_HOUR, 2),
        "stored_tb": round(stored_tb, 2),
        "stored_dollars_a_month": round(stored_tb * 1000 * GB_MONTH, 2),
        "tables_gb": round(tables_gb, 1),
        "publish_minutes": round(tables_gb * 1024 / by["published_mb_per_s"] / 60, 1),
    }


def main() -> None:
    by = measured()
    result = {
        "measured": {name: round(value, 3) for name, value in by.items()},
        "assumed": {"dollars_a_core_hour": CORE_HOUR, "dollars_a_gb_month": GB_MONTH},
        "network_bytes_per_row": round(network_bytes_per_row()),
        "modelled": [modelled(examples, by) for examples in EXAMPLES],
    }
    (RESULTS / "cost_model.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def _read(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return told


if __name__ == "__main__":
    main()
