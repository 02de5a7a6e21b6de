"""CPU seconds to parse each DAG file in a fresh process, beyond Airflow's own import: paid at each parse and each task start.

python benchmarks/parse_dags.py [repetitions]
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

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
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for path in sorted((ROOT / "dags").glob("*.py")):
        print(f"{path.name:24} {statistics.median(seconds(path) for _ in range(repetitions)):.3f} CPU-s")


if __name__ == "__main__":
    main()
