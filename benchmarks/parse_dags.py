"""CPU seconds to parse each DAG file in a fresh process, beyond Airflow's own import: paid at each parse and each task start.

    python -m benchmarks.parse_dags

Writes `benchmarks/results/parse_dags.json`.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import RESULTS, described

REPETITIONS = 5
ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import runpy, sys, time
from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable
import airflow.triggers.base
started = time.process_time()
runpy.run_path(sys.argv[1])
print("SECONDS", time.process_time() - started)
"""


def seconds(path: Path) -> float:
    """CPU seconds of one parse."""
    settings = {"WIDEDEEP_STORE": "s3://widedeep", "WIDEDEEP_CONTRACT": "contract.yaml", "WIDEDEEP_START_DATE": "2026-01-01"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, path], env=os.environ | settings, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split("SECONDS")[1])


def main() -> None:
    files = sorted((ROOT / "dags").glob("*.py"))
    medians = {path.name: round(statistics.median(seconds(path) for _ in range(REPETITIONS)), 3) for path in files}
    result = {"machine": described(), "cpu_s": medians}
    (RESULTS / "parse_dags.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(json.dumps(medians) + "\n")


if __name__ == "__main__":
    main()
