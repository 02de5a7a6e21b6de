"""Which damaged spans the checks catch, and at which level (benchmarks/validation/faults.py and graded.py), by rows of the span.

Good days are of simulated app stores that nothing was tuned on, after a history of `HISTORY` days. The share that is caught is of
the faults that have to be at that size, which the corpus says beforehand.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.validation.faults import FILES, TABLES, Fault
from benchmarks.validation.good import HISTORY, Good, contract, good_days
from benchmarks.validation.graded import GRADED, NEEDED, NOISE_SIZES, standard_errors
from benchmarks.validation.seeds import DAMAGED
from widedeep.artifacts import Finding
from widedeep.data.conform import conform
from widedeep.data.contract import Contract
from widedeep.data.sources import Unreadable, read_delivery
from widedeep.data.validation import assess

MOST = 1e6  # standard errors: the good days have nothing like it
LEVELS = {"critical": "quarantined", "drastic": "held", "rows": "rows", "warning": "warning"}
STORES = {3_000: 5, 100_000: 5, 1_000_000: 2}
CORPUS: tuple[Fault, ...] = (*TABLES, *FILES, *GRADED)


def findings_on(fault: Fault, good: Good, rule: Contract, seed: int) -> tuple[Finding, ...]:
    """What the checks find in a damaged span."""
    spoiled = fault.spoil(fault.of(good), np.random.default_rng(seed))
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


def meant(fault: Fault, rows: int) -> bool:
    return fault.from_rows is not None and rows >= fault.from_rows


def damaged(*, quick: bool) -> Iterator[dict[str, Any]]:
    """The figures of all stores so far, after each store."""
    rule, sizes = contract(), {3_000: 1} if quick else STORES
    faults: dict[str, dict[str, Any]] = {f.name: {"wanted": list(f.levels), "from_rows": f.from_rows} for f in CORPUS}
    for rows, fault in product(sizes, CORPUS):
        faults[fault.name][f"{rows:,}"] = {"caught": 0, "of": 0, "levels": []}
    for rows in (size for size in sizes if size in NOISE_SIZES):
        for name, errors in standard_errors(rule, rows).items():
            faults[name].setdefault("standard_errors", {})[f"{rows:,}"] = round(min(errors, MOST), 1)
    for rows, stores in sizes.items():
        for seed in DAMAGED[:stores]:
            _judge(faults, rule, rows, seed)
            told = {"kinds": len(CORPUS), "seeds": DAMAGED, "history": HISTORY, "standard_errors_needed": round(NEEDED, 2)}
            yield told | {"caught": {f"{size:,}": _shares(faults, size) for size in sizes}, "faults": faults}


def _judge(faults: dict[str, dict[str, Any]], rule: Contract, rows: int, seed: int) -> None:
    """Every fault in one store."""
    day = good_days(rule, seed, rows)
    for fault in CORPUS:
        try:
            findings, reached = (found := findings_on(fault, day, rule, seed)), level(found)
        except Exception as error:  # a crash is a miss, and no end of the benchmark
            findings, reached = (), f"crash: {type(error).__name__}"
        result = faults[fault.name][f"{rows:,}"]
        result["of"] += 1
        result["caught"] += caught(fault, findings)
        result["levels"].append(reached)
        if meant(fault, rows) and not caught(fault, findings):
            said = [f.message[:160] for f in findings][:4]
            sys.stderr.write(f"{rows:,} rows, store {seed}, {fault.name}: {reached}, {said}\n")


def _shares(faults: dict[str, dict[str, Any]], rows: int) -> dict[str, Any]:
    """Of what has to be caught at that size, and of what need not be."""
    due = [faults[f.name][f"{rows:,}"] for f in CORPUS if meant(f, rows)]
    others = [faults[f.name][f"{rows:,}"] for f in CORPUS if not meant(f, rows)]
    found, of = sum(r["caught"] for r in due), sum(r["of"] for r in due)
    too_small = {"kinds": len(others), "caught": sum(r["caught"] for r in others), "of": sum(r["of"] for r in others)}
    return {"share": round(found / max(1, of), 4), "caught": found, "of": of, "too_small": too_small}


def table(figures: dict[str, Any]) -> str:
    """In brackets what need not be caught at that size."""
    sizes = list(figures["caught"])
    lines = [f"{'(a) damaged spans':44} {'has to be':24}" + "".join(f"{size + ' rows':>24}" for size in sizes)]
    for fault in CORPUS:
        cells = (_cell(fault, figures["faults"][fault.name], size) for size in sizes)
        lines.append(f"{fault.name:44} {' or '.join(fault.levels):24}" + "".join(f"{cell:>24}" for cell in cells))
    for size, share in figures["caught"].items():
        small = share["too_small"]
        lines.append(
            f"{size} rows: {share['caught']} of {share['of']} caught at the right level ({share['share']:.1%}); "
            f"of {small['kinds']} kinds too small for that, {small['caught']} of {small['of']}"
        )
    return "\n".join(lines)


def _cell(fault: Fault, result: dict[str, Any], size: str) -> str:
    one = result[size]
    text = f"{one['caught']}/{one['of']} {'/'.join(dict.fromkeys(one['levels']))}"
    return text if meant(fault, int(size.replace(",", ""))) else f"({text})"
