"""Serving 200 candidates with the paper's architecture: batch × threads, fp32 and bf16, beside stock torch and ONNX Runtime.

    python -m benchmarks.serving            # or make bench-serving; some fifteen minutes
    python -m benchmarks.serving --quick    # small, for development; writes no file

All sides of a table take turns, one scoring each, in an order drawn anew for each round, so that what else the machine does meets
them alike. `of_stock` is the median over rounds of a side's time over stock eager torch's in its round; `processor_ms` is the
median of what a scoring takes of all processors together, which other processes change less. Stock sides get the rows already
encoded; ours are measured so, too, and from the columns, which is what `/rank` does. Over HTTP servers of their own processes are
asked at 50 requests a second, in turns. Then 200 hot swaps under that load. Writes `benchmarks/results/serving.json`.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np

from benchmarks.machine import RESULTS, described
from benchmarks.peers.environments import python
from benchmarks.serving import server
from benchmarks.serving.load import Load, steady
from benchmarks.serving.model import CANDIDATES, SHARED, arrays, candidates, contract, releases, request
from widedeep.features.encoding import encode
from widedeep.model.bundle import load_bundle
from widedeep.model.determinism import deterministic
from widedeep.model.forward import scores
from widedeep.model.scorer import Scorer

ROOT = Path(__file__).parents[2]
CUTS = ((200, 1), (100, 1), (50, 1), (100, 2), (50, 2), (50, 4))
PRECISIONS: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
STOCK = ("eager-float32", "eager-bfloat16", "export-float32", "compiled-float32", "compiled-bfloat16", "onnxruntime-float32")
BASE = "eager-float32, 1 thread"
SERVED = ((200, 1), (100, 2), (50, 4))
RATE, WARM_UP, POLL_S, SOON_S = 50.0, 10, 0.05, 60
Taken = tuple[float, float]
"""Milliseconds of one scoring, by the clock and of the processors."""
Side = Callable[[], Taken]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving")
    parser.add_argument("--quick", action="store_true", help="small, for development; writes no file")
    quick = parser.parse_args(arguments).quick
    history, rounds, turns, seconds, swaps = (20_000, 10, 1, 3, 7) if quick else (1_000_000, 300, 3, 10, 200)
    with tempfile.TemporaryDirectory(prefix="serving-") as scratch:
        folder, objects = Path(scratch), Path(scratch, "objects")
        objects.mkdir()
        store, line = releases(history, folder)
        server.save(store, line, objects)
        result = {
            "machine": described() | {"load_at_start": round(os.getloadavg()[0], 1)},
            "candidates": CANDIDATES,
            "scorer": scorer_table(folder, rounds),
            "http": http_table(objects, turns, seconds),
            "hot_swaps": hot_swaps(objects, swaps, [manifest.release_id for manifest in line]),
        }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    if not quick:
        (RESULTS / "serving.json").write_text(json.dumps(result, indent=2) + "\n")


def scorer_table(folder: Path, rounds: int) -> dict[str, Any]:
    bundle, rows, shape = load_bundle(folder / "0", optimizer=False), candidates(), contract()
    encoded = encode(rows, bundle.vocabularies, bundle.quantiles, shape)
    np.savez(folder / "arrays.npz", **arrays(bundle, encoded))
    sides: dict[str, Side] = {}
    off: dict[str, float] = {}
    with ExitStack() as stack, deterministic(1):
        expected = scores(bundle, encoded)
        sides["ours, float32, as the trainer scores"] = _timed(lambda: scores(bundle, encoded))
        for kind, cut in product(PRECISIONS, CUTS):
            scorer, name = stack.enter_context(Scorer(shape, *cut, kind)), f"ours, {kind}, {cut[0]} x {cut[1]}"
            sides[name] = _timed(lambda s=scorer: s.encoded_scores(bundle, encoded, SHARED))  # type: ignore[misc]
            sides[f"{name}, with encoding"] = _timed(lambda s=scorer: s.scores(bundle, rows, SHARED))  # type: ignore[misc]
            off[name] = float(np.abs(scorer.encoded_scores(bundle, encoded, SHARED) - expected).max())
        for threads, side in product((1, 2), STOCK):
            name = f"{side}, {threads} thread{'s' * (threads > 1)}"
            sides[name], found = stack.enter_context(_stock(side, folder / "arrays.npz", threads))
            off[name] = float(np.abs(found - expected).max())
        times = _interleaved(sides, rounds)
    base = times[BASE][:, 0]
    return {name: _figures(each, base) | {"largest_difference": off.get(name)} for name, each in times.items()}


def _timed(score: Callable[[], object]) -> Side:
    def timed() -> Taken:
        began, processor = time.perf_counter(), time.process_time()
        score()
        return 1000 * (time.perf_counter() - began), 1000 * (time.process_time() - processor)

    return timed


@contextmanager
def _stock(side: str, path: Path, threads: int) -> Iterator[tuple[Side, np.ndarray]]:
    interpreter = python("onnxruntime") if side.startswith("onnxruntime") else sys.executable
    command = [interpreter, ROOT / "benchmarks/serving/peers/stock.py", side, path, str(threads)]
    # Without our own thread settings: each side has the threads that it is told.
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": str(threads)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
    ) as process:
        assert process.stdin
        assert process.stdout
        scores = np.frombuffer(bytes.fromhex(process.stdout.readline()), np.float32)

        def ask() -> Taken:
            process.stdin.write("\n")  # type: ignore[union-attr]
            clock, processor = map(float, process.stdout.readline().split())  # type: ignore[union-attr]
            return clock, processor

        yield ask, scores
        process.stdin.close()


def _interleaved(sides: dict[str, Side], rounds: int) -> dict[str, np.ndarray]:
    """(rounds, 2) of each side."""
    times: dict[str, list[Taken]] = {name: [] for name in sides}
    order, drawn = list(sides), random.Random(0)
    for _ in range(WARM_UP + rounds):
        drawn.shuffle(order)
        for name in order:
            times[name].append(sides[name]())
    return {name: np.array(each[WARM_UP:]) for name, each in times.items()}


def _figures(times: np.ndarray, base: np.ndarray) -> dict[str, Any]:
    told = {f"p{q}_ms": round(float(np.percentile(times[:, 0], q)), 2) for q in (50, 95, 99)}
    ratio, processor_ms = float(np.median(times[:, 0] / base)), float(np.median(times[:, 1]))
    return told | {"of_stock": round(ratio, 3), "processor_ms": round(processor_ms, 2)}


@contextmanager
def _server(objects: Path, batch: int, threads: int, precision: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "benchmarks.serving.server", str(objects), str(batch), str(threads), precision]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        while httpx.get(f"{address}/health").status_code != 200:
            time.sleep(0.05)
        yield address, process
        process.terminate()


def http_table(objects: Path, turns: int, seconds: float) -> list[dict[str, Any]]:
    loads = {(kind, *cut): Load() for kind, cut in product(PRECISIONS, SERVED)}
    for _, (kind, batch, threads) in product(range(turns), loads):
        with _server(objects, batch, threads, kind) as (address, _):
            steady(address, request(), RATE, lambda at: at > 1)
            loads[kind, batch, threads].add(steady(address, request(), RATE, lambda at: at > seconds))
    return [{"precision": kind, "batch": batch, "threads": n, **load.figures()} for (kind, batch, n), load in loads.items()]


def hot_swaps(objects: Path, swaps: int, line: list[str]) -> dict[str, Any]:
    """By a delta, by a delta, in full, and so on; memory before each, under load all the time."""
    done, memory_mib = False, list[float]()
    with _server(objects, 100, 2, "float32") as (address, process), ThreadPoolExecutor(1) as side:
        asked = side.submit(steady, address, request(), RATE, lambda _: done)
        try:
            memory_mib.extend(_swap(process, address, number % len(line), line) for number in range(1, swaps + 1))
        finally:
            done = True
        load = asked.result()
        swapped = [text for text in httpx.get(f"{address}/metrics").text.splitlines() if text.startswith("widedeep_swaps_total")]
    return {
        "swaps": swaps,
        "by": swapped,
        **load.figures(),
        "failures": load.failures[:3],
        "releases_named": len(load.releases),
        "memory_mib_every_tenth": memory_mib[:: max(1, swaps // 10)],
        "memory_mib_per_swap_of_second_half": _slope(np.array(memory_mib[swaps // 2 :])),
    }


def _slope(memory_mib: np.ndarray) -> dict[str, float]:
    """Of a straight line, with twice its standard error. The first half of the swaps fills what is kept: room in the tables."""
    (slope, _), covariance = np.polyfit(np.arange(len(memory_mib)), memory_mib, 1, cov=True)
    return {"slope": round(float(slope), 3), "give_or_take": round(2 * float(np.sqrt(covariance[0, 0])), 3)}


def _swap(process: "subprocess.Popen[str]", address: str, number: int, line: list[str]) -> float:
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{number}\n")
    memory_mib = float(process.stdout.readline())
    began = time.perf_counter()
    while httpx.get(f"{address}/release").json()["release_id"] != line[number]:
        assert time.perf_counter() - began < SOON_S
        time.sleep(POLL_S)
    return memory_mib


if __name__ == "__main__":
    main(sys.argv[1:])
