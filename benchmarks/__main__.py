"""All benchmarks, one after the other, or those that are named: `make bench`, `make bench ONLY=engine`.

Each writes its file into `benchmarks/results/`.
"""

import sys

from benchmarks import local_stack, parse_dags, sample_chain
from benchmarks.engine import __main__ as engine

PARTS = {
    "parse-dags": parse_dags.main,
    "sample-chain": sample_chain.main,
    "local-stack": local_stack.main,
    "engine": lambda: engine.main([]),
}

named = sys.argv[1:] or list(PARTS)
if unknown := [name for name in named if name not in PARTS]:
    sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(PARTS)}")
for name in named:
    PARTS[name]()
