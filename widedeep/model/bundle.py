"""A bundle is a whole model: every tensor has the shape that its specification and its vocabularies give it.

Equal bundles give equal files, byte for byte. Nothing here is pickled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from widedeep.errors import IntegrityError
from widedeep.features.growth import Vocabularies
from widedeep.features.quantiles import Quantiles
from widedeep.features.vocabulary import CROSS_KEY, VALUE_KEY, Vocabulary
from widedeep.model.specification import Shapes, Specification, optimizer_shapes, weight_shapes

Tensors = Mapping[str, torch.Tensor]

WEIGHTS, OPTIMIZER = "weights.safetensors", "optimizer.safetensors"
VALUES, CROSSES = "values.parquet", "crosses.parquet"
QUANTILES, SPECIFICATION = "quantiles.json", "specification.json"
READER_FILES = (CROSSES, QUANTILES, SPECIFICATION, VALUES, WEIGHTS)
FILES = tuple(sorted([*READER_FILES, OPTIMIZER]))


@dataclass(frozen=True)
class Bundle:
    """`optimizer` is None when the bundle was loaded to score, not to train.

    Nobody writes into a bundle's tensors but `widedeep.training.loop.retrain_chunks`, which uses up the bundle that it is given.

    Raises:
        IntegrityError: a tensor is missing, is one too many, or has another shape than it should.
    """

    specification: Specification
    vocabularies: Vocabularies
    quantiles: Quantiles
    weights: Tensors
    optimizer: Tensors | None

    def __post_init__(self) -> None:
        sizes = len(self.vocabularies.values), len(self.vocabularies.crosses)
        problems = _misfits(self.weights, weight_shapes(self.specification, *sizes))
        if self.optimizer is not None:
            problems += _misfits(self.optimizer, optimizer_shapes(self.specification, *sizes))
        if problems:
            raise IntegrityError(
                "bundle: " + "; ".join(problems) + f" (vocabularies have {sizes[0]} values and {sizes[1]} crosses). "
                "Its files belong to different models; load it from an intact release."
            )


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write the bundle's files into an existing folder: `FILES`, less the optimizer's if the bundle has none.

    Raises:
        OSError: the disk is full or faulty; a file may be left half-written.
    """
    _write_tensors(bundle.weights, folder / WEIGHTS)
    if bundle.optimizer is not None:
        _write_tensors(bundle.optimizer, folder / OPTIMIZER)
    _write_table(bundle.vocabularies.values, folder / VALUES)
    _write_table(bundle.vocabularies.crosses, folder / CROSSES)
    (folder / QUANTILES).write_bytes(bundle.quantiles.to_bytes())
    (folder / SPECIFICATION).write_bytes(bundle.specification.to_bytes())


def load_bundle(folder: Path, *, optimizer: bool) -> Bundle:
    """Read a bundle back; `optimizer` says whether to train it further. Readers need only `READER_FILES`.

    Raises:
        IntegrityError: a file is missing or damaged, or the files don't fit together.
    """
    try:
        specification = Specification.from_bytes((folder / SPECIFICATION).read_bytes(), SPECIFICATION)
        values = Vocabulary.from_table(pq.read_table(folder / VALUES), VALUE_KEY)
        crosses = Vocabulary.from_table(pq.read_table(folder / CROSSES), CROSS_KEY)
        quantiles = Quantiles.from_bytes((folder / QUANTILES).read_bytes(), QUANTILES)
        weights = load_file(folder / WEIGHTS)
        state = load_file(folder / OPTIMIZER) if optimizer else None
    except (OSError, pa.ArrowInvalid, SafetensorError, IntegrityError) as error:
        raise IntegrityError(f"bundle {folder}: {error}. Nothing was loaded; fetch the release again.") from error
    # What decoding took and Arrow keeps for later would stay taken while the model is trained: 54 MB at 600k values.
    pa.default_memory_pool().release_unused()
    return Bundle(specification, Vocabularies(values, crosses, specification.features), quantiles, weights, state)


def _write_tensors(tensors: Tensors, path: Path) -> None:
    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:
        fault = re.search(r"os error (\d+)", str(error))  # safetensors tells the system's errno in words only
        if fault is None:
            raise
        raise OSError(int(fault[1]), str(error), str(path)) from error


def _write_table(vocabulary: Vocabulary, path: Path) -> None:
    pq.write_table(vocabulary.to_table(), path, compression="zstd")


def _misfits(tensors: Tensors, wanted: Shapes) -> list[str]:
    got = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    names = sorted(got.keys() | wanted.keys())
    return [f"{n} has shape {got.get(n)}, wanted {wanted.get(n)}" for n in names if got.get(n) != wanted.get(n)]
