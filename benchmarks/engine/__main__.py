"""The engine beside its peers. Writes `benchmarks/results/engine.json` and prints its tables.

    python -m benchmarks.engine            # about 25 minutes
    python -m benchmarks.engine --quick    # a few minutes, small tables, for development; writes nothing

Makes the peers' environments if they are missing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.engine.plan import FULL, PRECISIONS, QUICK, Size, Turn, turns
from benchmarks.engine.report import NOTES, Measurement, ratios, rows, tables, tenfold, tenfold_memory
from benchmarks.machine import RESULTS, described
from benchmarks.peers.environments import NAMES, python

ROOT = Path(__file__).parents[2]
THREADS = ("OMP", "MKL", "OPENBLAS", "NUMBA", "POLARS_MAX", "RAYON")
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in THREADS} | {"POLARS_MAX_THREADS": "1", "PYTHONHASHSEED": "0"}
PIPELINE_BATCH = 4096


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description="Measure the engine beside its peers.")
    parser.add_argument("--quick", action="store_true", help="small tables, for development; writes no file")
    quick = parser.parse_args(arguments).quick
    console = Console(width=130)
    pythons = {name: str(python(name)) for name in NAMES}
    with tempfile.TemporaryDirectory(prefix="engine-", dir=ROOT / ".local") as folder:
        result = _measured(QUICK if quick else FULL, folder, pythons, console)
    if not quick:
        (RESULTS / "engine.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    for table in tables(result):
        console.print(table)
    console.print(
        f"load and encode: {result['load_encode']['share']:.1%} of a retraining of {result['load_encode']['rows']:,} rows"
    )


def _measured(size: Size, folder: str, pythons: Mapping[str, str], console: Console) -> dict[str, Any]:
    console.print(f"preparing {size.learnt + size.held_out:,} rows")
    _run(sys.executable, "benchmarks.engine.preparation", folder, size.learnt, size.held_out)
    peaks: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    measurements = list(_in_turns(size, folder, pythons, peaks, console))
    return {
        "machine": described(),
        "notes": NOTES,
        "learnt": size.learnt,
        "held_out": size.held_out,
        "vocabulary": json.loads((Path(folder) / "peers" / "sizes.json").read_text()),
        "gemm_peak_gflops": {precision: [round(p, 1) for p in found] for precision, found in peaks.items()},
        "rows": rows(measurements, peaks),
        "ratios": ratios(measurements),
        "tenfold_vocabulary": tenfold(measurements),
        "tenfold_peak_rss": tenfold_memory(measurements),
        "load_encode": _load_encode(folder, size.pipeline),
    }


def _in_turns(
    size: Size, folder: str, pythons: Mapping[str, str], peaks: dict[str, list[float]], console: Console
) -> Iterator[Measurement]:
    planned = list(turns(size))
    for i, turn in enumerate(planned, 1):
        if len(peaks["float32"]) == turn.round:
            for precision, found in peaks.items():
                found.append(float(_run(sys.executable, "benchmarks.engine.gemm", precision)))
        began = time.monotonic()
        measurement = _measurement(turn, folder, pythons)
        told = f"{turn.side.name}, {turn.precision}, batch {turn.batch}{', tenfold' * turn.roomy}"
        console.print(f"{i}/{len(planned)} {told}: {measurement.rate:,.0f} examples/CPU-s ({time.monotonic() - began:.0f} s)")
        yield measurement


def _measurement(turn: Turn, folder: str, pythons: Mapping[str, str]) -> Measurement:
    environment = turn.side.environment
    interpreter = sys.executable if environment is None else pythons[environment]
    job = json.dumps(turn.job(f"{folder}/roomy" if turn.roomy else folder))
    return Measurement(turn, json.loads(_run(interpreter, "benchmarks.engine.measure", job)))


def _load_encode(folder: str, count: int) -> dict[str, float]:
    seconds = json.loads(_run(sys.executable, "benchmarks.engine.pipeline", folder, count, PIPELINE_BATCH))
    before = seconds["load"] + seconds["encode"]
    return {**seconds, "batch": PIPELINE_BATCH, "share": round(before / (before + seconds["retrain"]), 4)}


def _run(interpreter: str, module: str, *arguments: object) -> str:
    """The last line that a program of one thread writes."""
    command = [interpreter, "-W", "ignore", "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed with {done.returncode}:\n{done.stderr[-4000:]}")
    return (done.stdout.splitlines() or [""])[-1]


if __name__ == "__main__":
    main(sys.argv[1:])
