"""All benchmarks, one after the other, or those that are named: `make bench`, `make bench ONLY=engine`.

Each writes its file into `benchmarks/results/`.
"""

import sys

from benchmarks import (
    audit,
    backfill,
    big_span,
    delta,
    local_stack,
    parse_dags,
    quantile_refit,
    releases_page,
    relevance,
    rollback,
    sample_chain,
    scaling,
    transfer,
)
from benchmarks.dry_run import __main__ as dry_run
from benchmarks.engine import __main__ as engine
from benchmarks.gate import __main__ as gate
from benchmarks.quality import movielens, simulated
from benchmarks.serving import __main__ as serving
from benchmarks.validation import __main__ as validation

PARTS = {
    "parse-dags": parse_dags.main,
    "sample-chain": sample_chain.main,
    "local-stack": local_stack.main,
    "backfill": lambda: backfill.main([]),
    "quantile-refit": quantile_refit.main,
    "transfer": lambda: transfer.main([]),
    "engine": lambda: engine.main([]),
    "scaling": lambda: scaling.main([]),
    "audit": lambda: audit.main([]),
    "rollback": lambda: rollback.main([]),
    "releases-page": lambda: releases_page.main([]),
    "delta": lambda: delta.main([]),
    "serving": lambda: serving.main([]),
    "gate": lambda: gate.main([]),
    "dry-run": lambda: dry_run.main([]),
    "validation": lambda: validation.main([]),
    "big-span": lambda: big_span.main([]),
    "quality-simulated": lambda: simulated.main([]),
    "relevance": relevance.main,
    "quality-movielens": lambda: movielens.main([]),
}

named = sys.argv[1:] or list(PARTS)
if unknown := [name for name in named if name not in PARTS]:
    sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(PARTS)}")
for name in named:
    PARTS[name]()
