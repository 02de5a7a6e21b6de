"""The machine's peak in matrix products: the best rate of one thread over shapes and over the two ways that torch offers.

    python -m benchmarks.engine.gemm bfloat16

Prints GFLOP/s. In float32 `a @ b.T` goes to BLAS, the fused linear operator to oneDNN: which is faster depends on the
processor.

`M` rows, `K` inputs, `N` outputs.
"""

import sys
import time
from collections.abc import Callable

import torch

# The step's own products at batch 4096, and two square ones.
SHAPES = ((4096, 858, 1024), (4096, 1024, 512), (4096, 512, 256), (1024, 4096, 858), (2048, 2048, 2048), (4096, 1024, 1024))
SECONDS = 0.2


def peak_gflops(dtype: torch.dtype) -> float:
    return max(rate for shape in SHAPES for rate in _rates(*shape, dtype))


def _rates(m: int, k: int, n: int, dtype: torch.dtype) -> list[float]:
    """GFLOP/s of (M, K) by (K, N), each way."""
    x, w = torch.randn(m, k).to(dtype), torch.randn(n, k).to(dtype)
    ways = (lambda: x @ w.t(), lambda: torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], ""))
    return [2 * m * k * n / _seconds(way) / 1e9 for way in ways]


def _seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call, the first calls apart."""
    work(), work()
    began, calls = time.process_time(), 0
    while time.process_time() - began < SECONDS:
        work()
        calls += 1
    return (time.process_time() - began) / calls


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.inference_mode():
        sys.stdout.write(f"{peak_gflops(getattr(torch, sys.argv[1]))}\n")
