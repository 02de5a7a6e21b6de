"""Our side on a CUDA device: examples a second, and how near that is to the device's own bandwidth and matrix products.

    python -m benchmarks.engine.gpu    # needs a CUDA build of torch; writes benchmarks/results/engine_gpu.json

Same rows, same numbers of batches and same scores as `ours` in engine.json, so the AUCs can be laid beside each other.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.engine.contract import load_encoded
from benchmarks.engine.measure import auc
from benchmarks.engine.plan import FULL, PRECISIONS, WARM_UP
from benchmarks.engine.preparation import prepare
from benchmarks.engine.report import flops_per_example
from benchmarks.engine.settings import HIDDEN, WIDTH
from benchmarks.engine.sides.ours import Ours
from benchmarks.machine import RESULTS, described
from widedeep.features.encoding import EncodedBatch

BATCHES = (4096, 32_768)
BYTES = {"float32": 4, "bfloat16": 2}


def rows(folder: Path, device: str = "cuda") -> list[dict[str, Any]]:
    """A row per batch size and precision, from the rows that `prepare` left in the folder."""
    bandwidth, products = peak_bandwidth(device), {p: peak_flops(getattr(torch, p), device) for p in PRECISIONS}
    return [_row(folder, device, batch, p, bandwidth, products[p]) for batch in BATCHES for p in PRECISIONS]


def _row(folder: Path, device: str, batch: int, precision: str, bandwidth: float, products: float) -> dict[str, Any]:
    side = Ours(folder / "ours", precision, batch, device, time.perf_counter)
    learnt = FULL.learnt // batch * batch
    side.learn(0, WARM_UP * batch)
    side.learn(WARM_UP * batch, learnt)
    rate = (learnt - WARM_UP * batch) / side.steps_s
    encoded = load_encoded(folder / "ours" / "learnt")
    embedded = encoded.rows.shape[1] * WIDTH
    return {
        **{"side": "ours", "device": device, "batch": batch, "precision": precision, "examples_per_s": round(rate)},
        "bandwidth_share": round(rate * least_bytes_per_example(encoded, batch, BYTES[precision]) / bandwidth, 4),
        "gemm_share": round(rate * flops_per_example(embedded + encoded.dense.shape[1], embedded) / products, 4),
        "auc": round(auc(side.scores(), np.load(folder / "peers" / "held_out" / "labels.npy"))["auc"], 4),
        "scored_after": learnt,
    }


def least_bytes_per_example(encoded: EncodedBatch, batch: int, size: int) -> float:
    """What a step has to move if everything is touched once: the rows of both tables, activations, and the layers.

    A distinct embedding row is read to compute, and read and written with its sum to learn; an entry of the wide part has a
    weight, z and n. An activation of `size` bytes is written and read forward and backward. A layer's weight and sum are read and
    written, its copy for the products written once and read three times.
    """
    first = encoded.take(np.arange(min(batch, len(encoded))))
    embeddings = 5 * len(np.unique(first.rows)) * WIDTH * 4
    wide = 7 * len(np.unique(first.wide.flat)) * 4
    widths = [encoded.rows.shape[1] * WIDTH + encoded.dense.shape[1], *HIDDEN, 1]
    activations = 4 * sum(widths) * size * len(first)
    layers = sum(a * b for a, b in pairwise(widths)) * (4 * 4 + 4 * size)
    return (embeddings + wide + activations + layers) / len(first)


def peak_bandwidth(device: str, size: int = 2**28) -> float:
    """Bytes a second of copying one large tensor into another: each byte is read and written."""
    source, target = torch.ones(size, device=device), torch.empty(size, device=device)
    return 2 * 4 * size / _seconds(lambda: target.copy_(source), device)


def peak_flops(dtype: torch.dtype, device: str, size: int = 8192) -> float:
    """FLOP/s of one large square product, in float32 without TensorFloat-32."""
    a, b = (torch.randn((size, size), device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / _seconds(lambda: a @ b, device)


def _seconds(work: Callable[[], object], device: str, calls: int = 20) -> float:
    """Seconds of one call, the first apart."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    work(), wait()
    began = time.perf_counter()
    for _ in range(calls):
        work()
    wait()
    return (time.perf_counter() - began) / calls


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit(f"torch {torch.__version__} finds no CUDA device: run this on a machine with one, with a CUDA build of torch")
    with tempfile.TemporaryDirectory(prefix="engine-gpu-") as folder:
        prepare(Path(folder), FULL.learnt, FULL.held_out)
        found = rows(Path(folder))
    result = {"machine": {**described(), "device": torch.cuda.get_device_name()}, "rows": found}
    text = json.dumps(result, indent=2)
    (RESULTS / "engine_gpu.json").write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
