"""What ordinary chains owe to a twin from scratch, and what it takes to know.

    python -m benchmarks.audit            # three simulated stores, four weeks of 20,000 rows a day; half an hour
    python -m benchmarks.audit --quick    # one store, two weeks of 2,000 rows; writes no file

Each store is learnt by the real steps: a bootstrap of seven days, then one day after the other, and an audit after each week.
Writes `benchmarks/results/audit.json`.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import RESULTS, described
from widedeep.artifacts import Audit
from widedeep.local.alone import store_alone
from widedeep.simulation import simulation_settings
from widedeep.steps import Workplace, audit, bootstrap, open_workplace, run_span
from widedeep.steps.simulated import deliver_simulated, simulate

CONTRACT = Path(__file__).parents[1] / "dags" / "contracts" / "appstore.yaml"
FIRST = date(2026, 1, 1)
WEEK = 7


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit")
    parser.add_argument("--quick", action="store_true", help="one store, two weeks of 2,000 rows; writes no file")
    quick = parser.parse_args(arguments).quick
    stores, weeks, rows = (1, 2, 2_000) if quick else (3, 4, 20_000)
    found = [told for seed in range(stores) for told in _chain(seed, weeks, rows)]
    result = {
        "machine": described(),
        "rows_per_day": rows,
        "above_the_limit": sum(each["over"] for each in found),
        "audits": found,
    }
    if not quick:
        (RESULTS / "audit.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def _chain(seed: int, weeks: int, rows: int) -> Iterator[dict[str, Any]]:
    with TemporaryDirectory(prefix="widedeep-bench-") as folder, store_alone(Path(folder, "store"), FIRST) as settings:
        elsewhere = {**settings, "WIDEDEEP_CONTRACT": str(CONTRACT)}
        with open_workplace(elsewhere, actor="benchmark") as place:
            simulated = Path(folder, "simulated")
            world = simulation_settings(rows_per_day=rows, seed=seed, start=FIRST)
            deliver_simulated(place, simulated, simulate(world, weeks * WEEK, simulated, lambda *_: None))
            bootstrap(place, FIRST, FIRST + timedelta(days=WEEK - 1))
            for day in range(WEEK, weeks * WEEK):
                run_span(place, FIRST + timedelta(days=day))
                if day % WEEK == WEEK - 1:
                    yield {"store": seed, "day": day} | _told(place)


def _told(place: Workplace) -> dict[str, Any]:
    began = time.monotonic()
    found = audit(place)
    assert isinstance(found, Audit), found
    told: dict[str, Any] = found.model_dump(mode="json", include={"span", "spans", "rows", "debt", "limit", "over"})
    told |= {"users": found.metrics.users, "seconds": round(time.monotonic() - began, 1)}
    sys.stderr.write(f"{told}\n")
    return told


if __name__ == "__main__":
    main(sys.argv[1:])
