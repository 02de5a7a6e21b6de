"""Whether data can be left to the checks: (a) the damage that they catch, (b) the clean days that they stop, (c) what they cost.

    python -m benchmarks.validation                    # all parts, some two hours
    python -m benchmarks.validation clean-days         # one part
    python -m benchmarks.validation --quick            # small, for development; writes no file

Writes `benchmarks/results/validation.json`, a part at a time; the other parts stay as they are.
"""

import argparse
import json
import sys
from typing import Any

from benchmarks.machine import RESULTS, described
from benchmarks.validation import clean_days, corpus, speed

PARTS = {
    "faults": (corpus.damaged, corpus.table),
    "clean-days": (clean_days.tallied, clean_days.table),
    "speed": (speed.measured, speed.table),
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validation")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    parser.add_argument("--quick", action="store_true", help="small, for development; writes no file")
    chosen = parser.parse_args(arguments)
    for name in chosen.parts or PARTS:
        measured, table = PARTS[name]
        for figures in measured(quick=chosen.quick):
            if not chosen.quick:
                _keep(name, {"machine": described()} | figures)
        sys.stdout.write(table(figures) + "\n\n")
        sys.stdout.flush()


def _keep(name: str, figures: dict[str, Any]) -> None:
    file = RESULTS / "validation.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({part: kept[part] for part in PARTS if part in kept} | {name: figures}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
