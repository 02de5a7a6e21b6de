"""Equal inputs give equal floats, whatever the process was set to: training and scoring both run inside `deterministic`."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic as torch_fills

FILLS = "fill_uninitialized_memory"  # a property of that module, which type checkers don't see


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Torch's process-wide switches, put back afterwards. For one thread of a process at a time: they are the process's."""
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode(), getattr(torch_fills, FILLS)
    kinds = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    torch.set_num_threads(threads)
    # `use_deterministic_algorithms` sets the same, and imports torch's compiler first: 1.6 s and 75 MB of each process.
    torch.set_deterministic_debug_mode("error")
    # Filling new memory before it is written costs 2.4 % of a training step, and nothing here reads what it did not write.
    setattr(torch_fills, FILLS, False)
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        setattr(torch_fills, FILLS, before[2])
        torch.set_default_dtype(kinds[0])
        torch.set_float32_matmul_precision(kinds[1])
