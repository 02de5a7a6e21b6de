"""What the bytes of a model depend on beside its inputs: the numeric profile and the library's own sources (second law)."""

import hashlib
import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
import safetensors
import torch
from llvmlite.binding import get_host_cpu_name

import widedeep
from widedeep.artifacts import Digest, NumericProfile
from widedeep.data.contract import Training
from widedeep.errors import UsageError
from widedeep.training.device import require_precision, training_device


def numeric_profile(training: Training) -> NumericProfile:
    """How this process would train.

    Raises:
        UsageError: the contract wants a device, a precision or an engine that is not there.
    """
    if training.engine == "torchrec":
        device, engine = torch.device("cpu"), torchrec_engine(training.processes)
    else:
        device = training_device(training.device)
        engine = "compiled" if device.type == "cpu" else torch.cuda.get_device_name(device)
    require_precision(device, training.precision)
    return NumericProfile(
        precision=training.precision,
        instruction_set=_instruction_set(),
        threads=training.threads,
        engine=engine,
        torch=torch.__version__,
        numba=numba.__version__,
        numpy=np.__version__,
        pandas=pd.__version__,
        pyarrow=pa.__version__,
        safetensors=safetensors.__version__,
    )


def torchrec_engine(processes: int) -> str:
    """Its name in a profile: the order of sums depends on how many processes there are, and on nothing else of them.

    Raises:
        UsageError: TorchRec is not installed.
    """
    try:
        versions = version("torchrec"), version("fbgemm-gpu-cpu")
    except PackageNotFoundError as error:
        raise UsageError(
            f"training.engine is torchrec, and {error.name} is not installed here. Install the extra `distributed` "
            "(docs/scaling.md), or set training.engine to local."
        ) from error
    return "torchrec {} on fbgemm {}, {} processes".format(*versions, processes)


def _instruction_set() -> str:
    """What oneDNN chooses its kernels by: the kind of processor, and the cap that a user may set. Torch's own name is coarser."""
    caps = [os.environ.get(f"{name}_MAX_CPU_ISA", "") for name in ("ONEDNN", "DNNL")]
    return " ".join(filter(None, [torch.backends.cpu.get_cpu_capability(), get_host_cpu_name(), *caps]))


@cache
def source_digest() -> Digest:
    """The digest of the installed library, read once: a process runs the code that it has imported, whatever lies there later."""
    return digest_of_sources(Path(widedeep.__file__).parent)


def digest_of_sources(root: Path) -> Digest:
    """SHA-256 over the names and bytes of every .py file below a folder, in order of their names."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
