"""Where training computes. A device that is asked for and not there is an error: a release names its numeric profile."""

import torch

from widedeep.errors import UsageError


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
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
