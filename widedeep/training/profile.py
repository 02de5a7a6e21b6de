"""What the bytes of a model depend on beside its inputs: the numeric profile and the library's own sources (second law)."""

import hashlib
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
import torch

import widedeep
from widedeep.artifacts import Digest, NumericProfile
from widedeep.data.contract import Training
from widedeep.training.device import training_device


def numeric_profile(training: Training) -> NumericProfile:
    """How this process would train.

    Raises:
        UsageError: the contract wants a device that is not there.
    """
    device = training_device(training.device)
    return NumericProfile(
        precision=training.precision,
        instruction_set=torch.backends.cpu.get_cpu_capability(),
        threads=training.threads,
        engine="compiled" if device.type == "cpu" else torch.cuda.get_device_name(device),
        torch=torch.__version__,
        numba=numba.__version__,
        numpy=np.__version__,
        pandas=pd.__version__,
        pyarrow=pa.__version__,
    )


def source_digest() -> Digest:
    """SHA-256 over the names and bytes of every .py file of the installed library, in order of their names."""
    root = Path(widedeep.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
