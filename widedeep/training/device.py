"""Where training computes. A device that is asked for and not there is an error: a release names its numeric profile."""

import os

import torch

from widedeep.errors import UsageError
from widedeep.model.linear import linear


def training_device(wanted: str) -> torch.device:
    """`auto`: a CUDA device where there is one, else the CPU.

    Raises:
        UsageError: `cuda` is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"training.device is cuda, but torch {torch.__version__} finds no CUDA device here. "
            "Run it on a machine with one (and a CUDA build of torch), or set training.device to auto or cpu."
        )
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    # Without a workspace of its own for each product cuBLAS is not deterministic, and torch refuses it
    # (https://docs.nvidia.com/cuda/cublas, "Results reproducibility").
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.device("cuda")


def require_precision(device: torch.device, precision: str) -> None:
    """Raises UsageError if the device can't multiply in bfloat16 and that is wanted."""
    if precision != "bfloat16":
        return
    one = torch.ones((1, 1), dtype=torch.bfloat16, device=device)
    try:
        linear(one, one)
    except RuntimeError as error:
        raise UsageError(
            f"training.precision is bfloat16, which the {device.type} here can't compute ({error}). Train on a processor with "
            "AVX-512 or on a newer GPU, or set training.precision to float32."
        ) from error
