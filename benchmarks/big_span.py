"""A span that is larger than memory: trained from its Parquet file, row group by row group, beside the same rows held in memory.

    python -m benchmarks.big_span            # 20M rows from the file; 2M rows both ways, in turns; half an hour
    python -m benchmarks.big_span --quick    # small, for development; writes no file

Each run is a process of its own. Writes `benchmarks/results/big_span.json`: rows per second of wall-clock and of CPU time in the
learning phase and over all (sampling, growth, warm start, learning), peak memory, and what of it the model's tables take.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.engine import criteo
from benchmarks.engine.contract import contract, training
from benchmarks.machine import RESULTS, described
from widedeep.artifacts import Part
from widedeep.data.rows import GROUP_ROWS, RowsInFile, RowsInMemory
from widedeep.training.candidate import train_candidate

BATCH = 4096
WRITTEN_AT_ONCE = 8 * GROUP_ROWS


def write(path: Path, count: int) -> None:
    writer = None
    for seed, start in enumerate(range(0, count, WRITTEN_AT_ONCE)):
        table = criteo.rows(min(WRITTEN_AT_ONCE, count - start), seed)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=GROUP_ROWS)
    if writer:
        writer.close()


def run(path: Path, rows: int, how: str) -> dict[str, Any]:
    """Learn the rows of the file once, `how`: file or memory."""
    began = time.perf_counter(), time.process_time()
    source = RowsInFile(path, np.ones(rows, np.bool_)) if how == "file" else RowsInMemory(pq.read_table(path))
    moments: list[tuple[int, float, float]] = []

    def hear(learnt: int, _total: int) -> None:
        moments.append((learnt, time.perf_counter(), time.process_time()))

    settings = contract().model_copy(update={"training": training("bfloat16", BATCH)})
    part = Part(span=date(2026, 1, 1), version=1, digest="0" * 64, part="train")
    _, report = train_candidate(None, [(part, source)], settings, 0, hear)
    # From the second batch on: the first one waits for its chunk, and compiles.
    (first, *from_), (last, *to) = moments[2], moments[-1]
    whole = time.perf_counter() - began[0], time.process_time() - began[1]
    tables_mb = report.parts[0].growth.table_bytes / 2**20
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {
        "how": how,
        "rows": rows,
        "learning_rows_per_s": round((last - first) / (to[0] - from_[0])),
        "learning_rows_per_cpu_s": round((last - first) / (to[1] - from_[1])),
        "rows_per_s": round(rows / whole[0]),
        "rows_per_cpu_s": round(rows / whole[1]),
        "peak_rss_mb": round(peak_mb),
        "tables_mb": round(tables_mb),
        "above_tables_mb": round(peak_mb - tables_mb),
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.big_span")
    parser.add_argument("--quick", action="store_true", help="small, for development; writes no file")
    big, small, rounds = (1_000_000, 600_000, 1) if parser.parse_args(arguments).quick else (20_000_000, 2_000_000, 1)
    with tempfile.TemporaryDirectory(prefix="big-span-") as folder:
        paths = {rows: Path(folder, f"{rows}.parquet") for rows in (small, big)}
        for rows, path in paths.items():
            write(path, rows)
        runs = [_child(paths[small], small, how) for _ in range(rounds) for how in ("file", "memory")]
        runs.append(_child(paths[big], big, "file"))
        size_mb = paths[big].stat().st_size / 2**20
    file, memory = (
        statistics.median(r["learning_rows_per_cpu_s"] for r in runs if (r["how"], r["rows"]) == (how, small))
        for how in ("file", "memory")
    )
    result = {
        "machine": described(),
        "batch": BATCH,
        "file_mb": round(size_mb),
        "file_to_memory": round(file / memory, 3),
        "runs": runs,
    }
    if big > small * 2:
        (RESULTS / "big_span.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def _child(path: Path, rows: int, how: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.big_span", "--run", str(path), str(rows), how]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    sys.stderr.write(f"{result}\n")
    return result


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        sys.stdout.write(json.dumps(run(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
    else:
        main(sys.argv[1:])
