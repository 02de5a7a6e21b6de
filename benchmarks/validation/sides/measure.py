"""One validation, in a process of its own: read the file, validate it once, say what that took and which columns failed.

    python measure.py SIDE FOLDER FILE

`FOLDER` has the rules; `FILE` in it is a Parquet file. Knows nothing of our code, but for the side `ours`. The last line of
standard output is a JSON object. Time is that of the validation, memory the peak of the whole process.
"""

import contextlib
import importlib
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Validation = Callable[[], set[str]]
"""Names of the columns that fail."""


def main(side: str, folder: Path, file: str) -> dict[str, Any]:
    began = time.process_time()
    make: Callable[[Path, Path], Validation] = importlib.import_module(side).prepared
    validate = make(folder, folder / file)
    ready = time.process_time(), time.perf_counter()
    failed = validate()
    taken = time.process_time(), time.perf_counter()
    return {
        "start_cpu_s": ready[0] - began,
        "cpu_s": taken[0] - ready[0],
        "wall_s": taken[1] - ready[1],
        "peak_rss_mb": peak_rss_mb(),
        "failed": sorted(failed),
    }


def peak_rss_mb() -> float:
    kib = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert kib is not None
    return int(kib[1]) / 1024


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        answer = main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
    sys.stdout.write(json.dumps(answer) + "\n")
