"""How often a clean day is stopped or warned of: simulated app stores with weekly seasonality and slow drift, nothing broken.

    python -m benchmarks.validation.clean_days                                  # 180 days of 100,000 rows, 10 stores
    python -m benchmarks.validation.clean_days --days 60 --stores 2             # less; writes no file

A stop is a span that is quarantined or held. Each day is measured against the earlier days as the daily chain does it, all of
them learnt: by every fact of the span as a whole that the contract limits, and every `FULL`-th day, in Great Expectations, by its
rows as well. The stores' seeds were not used while the limits were worked out. Writes
`benchmarks/results/validation_clean_days.json` after each store.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from benchmarks.machine import RESULTS, described
from widedeep.artifacts import Finding
from widedeep.data.checks import Check, Subject
from widedeep.data.conform import conform
from widedeep.data.contract import Contract, load_contract
from widedeep.data.profiles import Profile, profile_of
from widedeep.data.span_checks import span_subject
from widedeep.data.validation import assess
from widedeep.simulation import Simulation, simulation_settings

CONTRACT = Path(__file__).parents[2] / "dags" / "contracts" / "appstore.yaml"
FIRST_SEED = 40
FULL = 30
STOPS = {"critical", "drastic"}
LOOKS_BACK = 2  # times `drift.look_back`, as `widedeep.steps.past` does


def store(contract: Contract, seed: int, days: int, rows: int) -> Iterator[tuple[list[Check], list[Finding] | None]]:
    """What each day failed as a whole, and what the full validation found, where it ran."""
    past: list[Profile] = []
    for number, day in enumerate(Simulation(simulation_settings(rows_per_day=rows, seed=seed)).days(days)):
        table = conform(day.rows, contract)
        profile = profile_of(table, contract, day.span)
        recent = past[-LOOKS_BACK * contract.drift.look_back :]
        failed = failures(span_subject(table, table, profile, recent, contract, 0))
        full = assess(table, contract, day.span, recent).findings if number % FULL == FULL - 1 else None
        yield failed, None if full is None else list(full)
        past.append(profile)


def failures(subject: Subject) -> list[Check]:
    """The checks of a span's facts that fail: each fact has to lie between two numbers, or in a set."""
    facts = subject.columns.to_pylist()[0]
    return [check for check in subject.checks if not _holds(facts[check.arguments["column"]], check.arguments)]


def _holds(fact: Any, wanted: dict[str, Any]) -> bool:
    if "value_set" in wanted:
        return fact in wanted["value_set"]
    return bool(wanted["min_value"] <= fact <= wanted["max_value"])


def tally(contract: Contract, seeds: Sequence[int], days: int, rows: int, told: Callable[[dict[str, Any]], None]) -> None:
    """The figures of all stores so far, after each store."""
    counted: Counter[str] = Counter()
    by_check: Counter[str] = Counter()
    for number, seed in enumerate(seeds, 1):
        for failed, full in store(contract, seed, days, rows):
            severities = {check.severity for check in failed}
            counted.update(days=1, stopped=bool(severities & STOPS), warned="warning" in severities)
            by_check.update(f"{check.kind} {check.column}: {check.severity}" for check in failed)
            if full is not None:
                counted.update(validated_in_full=1, stopped_in_full=any(f.severity in STOPS for f in full))
        told(_told(counted, by_check) | {"stores": number, "days_each": days, "rows": rows})


def _told(counted: Counter[str], by_check: Counter[str]) -> dict[str, Any]:
    names = ("days", "stopped", "warned", "validated_in_full", "stopped_in_full")
    return {
        **{name: int(counted[name]) for name in names},
        "stopped_share": _share(counted["stopped"], counted["days"]),
        "warned_share": _share(counted["warned"], counted["days"]),
        "failed": dict(by_check.most_common()),
    }


def _share(found: int, of: int) -> dict[str, float]:
    """With its exact 95 % interval (Clopper and Pearson 1934)."""
    interval = binomtest(found, of).proportion_ci()
    return {"share": round(found / of, 5), "lower": round(interval.low, 5), "upper": round(interval.high, 5)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--stores", type=int, default=10)
    parser.add_argument("--rows", type=int, default=100_000)
    chosen = parser.parse_args()
    whole = (chosen.days, chosen.rows) == (180, 100_000)

    def told(found: dict[str, Any]) -> None:
        text = json.dumps({"machine": described()} | found, indent=2)
        if whole:
            (RESULTS / "validation_clean_days.json").write_text(text + "\n")
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    tally(load_contract(CONTRACT), range(FIRST_SEED, FIRST_SEED + chosen.stores), chosen.days, chosen.rows, told)


if __name__ == "__main__":
    main()
