"""Which damaged spans the checks catch, and at which level (benchmarks/validation/faults.py).

    python -m benchmarks.validation                    # 3,000, 100,000 and a million rows; some 50 minutes
    python -m benchmarks.validation --rows 1000000     # one size; writes no file

Good days are of simulated app stores, whose seeds were not used while the checks were written, after a history of `HISTORY` days.
Writes `benchmarks/results/validation.json`; benchmarks.validation.clean_days has the other side, how often a good day is stopped.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.machine import RESULTS, described
from benchmarks.validation.faults import FILES, TABLES, Fault
from benchmarks.validation.good import HISTORY, Good, contract, good_days
from widedeep.artifacts import Finding
from widedeep.data.conform import conform
from widedeep.data.contract import Contract
from widedeep.data.sources import Unreadable, read_delivery
from widedeep.data.validation import assess

LEVELS = {"critical": "quarantined", "drastic": "held", "rows": "rows", "warning": "warning"}
SEEDS = (60, 61)
SIZES = (3_000, 100_000, 1_000_000)


def findings_on(fault: Fault, good: Good, rule: Contract, seed: int) -> tuple[Finding, ...]:
    """What the checks find in a damaged span."""
    spoiled = fault.spoil(good.rows, np.random.default_rng(seed))
    table = spoiled if isinstance(spoiled, pa.Table) else _read(spoiled, rule)
    if isinstance(table, Unreadable):
        return table.findings
    return assess(conform(table, rule), rule, good.span, good.past).findings


def _read(files: dict[str, bytes], rule: Contract) -> pa.Table | Unreadable:
    return read_delivery(list(files.items()), types={name: column.type for name, column in rule.columns.items()})


def level(findings: Sequence[Finding]) -> str:
    """What becomes of the span."""
    found = {finding.severity for finding in findings}
    return next((name for severity, name in LEVELS.items() if severity in found), "nothing")


def caught(fault: Fault, findings: Sequence[Finding]) -> bool:
    """At the right level, by a message of that level that names column and damage."""
    reached = level(findings)
    told = [f"{f.column or ''} {f.message}" for f in findings if LEVELS[f.severity] == reached]
    return reached in fault.levels and any(all(word in message for word in fault.words) for message in told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int)
    sizes = (chosen,) if (chosen := parser.parse_args().rows) else SIZES
    rule = contract()
    found: dict[str, dict[str, Any]] = {fault.name: {"wanted": list(fault.levels)} for fault in (*TABLES, *FILES)}
    right: Counter[int] = Counter()
    for rows in sizes:
        days = [good_days(rule, seed, rows) for seed in SEEDS]
        for fault in (*TABLES, *FILES):
            results = [findings_on(fault, day, rule, seed) for seed, day in zip(SEEDS, days, strict=True)]
            well = sum(caught(fault, findings) for findings in results)
            right[rows] += well
            found[fault.name][f"{rows:,}"] = {"caught": well, "of": len(SEEDS), "levels": [level(f) for f in results]}
            if well < len(SEEDS):
                worst = next(f for f in results if not caught(fault, f))
                sys.stderr.write(f"{rows:,} {fault.name}: {level(worst)}, {[f.message[:160] for f in worst][:4]}\n")
    total = len(found) * len(SEEDS)
    shares = {f"{rows:,}": round(right[rows] / total, 4) for rows in sizes}
    _print(found, sizes, shares)
    if not chosen:
        report = {
            "machine": described(),
            "kinds": len(found),
            "seeds": SEEDS,
            "history": HISTORY,
            "caught": shares,
            "faults": found,
        }
        (RESULTS / "validation.json").write_text(json.dumps(report, indent=2) + "\n")


def _print(found: dict[str, dict[str, Any]], sizes: Sequence[int], shares: dict[str, float]) -> None:
    for name, result in found.items():
        cells = "  ".join(f"{result[f'{rows:,}']['caught']}/{len(SEEDS)} {result[f'{rows:,}']['levels'][0]:12}" for rows in sizes)
        sys.stdout.write(f"{name:48} {' or '.join(result['wanted']):24} {cells}\n")
    sys.stdout.write(
        "caught at the right level: " + ", ".join(f"{rows} rows {share:.1%}" for rows, share in shares.items()) + "\n"
    )


if __name__ == "__main__":
    main()
