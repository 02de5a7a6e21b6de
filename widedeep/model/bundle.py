"""A bundle is a whole model: every tensor has the shape that its specification and its vocabularies give it, in float32, and each
feature has a row for unknown values.

Equal bundles give equal files, byte for byte. Nothing here is pickled. What only training needs has files of its own, so that
readers' files say nothing of when a value was seen.
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
VALUES_GROWTH, CROSSES_GROWTH = "values_growth.parquet", "crosses_growth.parquet"
FILES = tuple(sorted([*READER_FILES, OPTIMIZER, VALUES_GROWTH, CROSSES_GROWTH]))


@dataclass(frozen=True)
class Bundle:
    """`optimizer` is None when the bundle was loaded to score, not to train; its vocabularies can't grow then.

    Nobody writes into a bundle's tensors but `widedeep.training.loop.retrain_chunks`, which uses up the bundle that it is given.

    Raises:
        IntegrityError: a tensor is missing, is one too many, or has another shape or type than it should; or a feature has no
            OOV row.
    """

    specification: Specification
    vocabularies: Vocabularies
    quantiles: Quantiles
    weights: Tensors
    optimizer: Tensors | None

    def __post_init__(self) -> None:
        sizes = len(self.vocabularies.values), len(self.vocabularies.crosses)
        problems = [*_without_oov(self.vocabularies), *_misfits(self.weights, weight_shapes(self.specification, *sizes))]
        if self.optimizer is not None:
            problems += _misfits(self.optimizer, optimizer_shapes(self.specification, *sizes))
        if problems:
            raise IntegrityError(
                "bundle: " + "; ".join(problems) + f" (vocabularies have {sizes[0]} values and {sizes[1]} crosses). "
                "Its files belong to different models; load it from an intact release."
            )


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write the bundle's files into an existing folder: `FILES`, or only `READER_FILES` if it has no optimizer's state.

    Raises:
        OSError: the disk is full or faulty; a file may be left half-written.
    """
    values, crosses = bundle.vocabularies.values, bundle.vocabularies.crosses
    write_tensors(bundle.weights, folder / WEIGHTS)
    write_table(values.to_read(), folder / VALUES)
    write_table(crosses.to_read(), folder / CROSSES)
    if bundle.optimizer is not None:
        write_tensors(bundle.optimizer, folder / OPTIMIZER)
        write_table(values.to_grow(), folder / VALUES_GROWTH)
        write_table(crosses.to_grow(), folder / CROSSES_GROWTH)
    (folder / QUANTILES).write_bytes(bundle.quantiles.to_bytes())
    (folder / SPECIFICATION).write_bytes(bundle.specification.to_bytes())


def load_bundle(folder: Path, *, optimizer: bool) -> Bundle:
    """Read a bundle back; `optimizer` says whether to train it further. Readers need only `READER_FILES`.

    Raises:
        IntegrityError: a file is missing or damaged, or the files don't fit together.
    """
    try:
        specification = Specification.from_bytes((folder / SPECIFICATION).read_bytes(), SPECIFICATION)
        values = _read_vocabulary(folder / VALUES, folder / VALUES_GROWTH if optimizer else None, VALUE_KEY)
        crosses = _read_vocabulary(folder / CROSSES, folder / CROSSES_GROWTH if optimizer else None, CROSS_KEY)
        quantiles = Quantiles.from_bytes((folder / QUANTILES).read_bytes(), QUANTILES)
        weights = load_file(folder / WEIGHTS)
        state = load_file(folder / OPTIMIZER) if optimizer else None
    except (OSError, pa.ArrowInvalid, SafetensorError, IntegrityError) as error:
        raise IntegrityError(f"bundle {folder}: {error}. Nothing was loaded; fetch the release again.") from error
    # What decoding took and Arrow keeps for later would stay taken while the model is trained: 54 MB at 600k values.
    pa.default_memory_pool().release_unused()
    return Bundle(specification, Vocabularies(values, crosses, specification.features), quantiles, weights, state)


def write_tensors(tensors: Tensors, path: Path) -> None:
    """Raises OSError, as every other writer of files does, where safetensors has an error of its own."""
    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:
        fault = re.search(r"os error (\d+)", str(error))  # safetensors tells the system's errno in words only
        if fault is None:
            raise
        raise OSError(int(fault[1]), str(error), str(path)) from error


def write_table(table: pa.Table, path: Path) -> None:
    """As bundles write all their tables."""
    pq.write_table(table, path, compression="zstd")


def _read_vocabulary(path: Path, growth: Path | None, key: pa.DataType) -> Vocabulary:
    table = pq.read_table(path)
    if "first_span" not in table.column_names:
        return Vocabulary.from_tables(table, growth and pq.read_table(growth), key)
    whole = Vocabulary.from_format_1(table, key)
    return whole if growth else Vocabulary.from_tables(whole.to_read(), None, key)


def _without_oov(vocabularies: Vocabularies) -> list[str]:
    lacking = sorted(set(vocabularies.features.keyed) - vocabularies.values.oov_rows().keys())
    return [f"feature {name!r} has no row for unknown values, wanted one" for name in lacking]


def _misfits(tensors: Tensors, wanted: Shapes) -> list[str]:
    got = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    names = sorted(got.keys() | wanted.keys())
    shapes = [f"{n} has shape {got.get(n)}, wanted {wanted.get(n)}" for n in names if got.get(n) != wanted.get(n)]
    kinds = {name: tensor.dtype for name, tensor in sorted(tensors.items()) if tensor.dtype != torch.float32}
    return shapes + [f"{name} has type {str(kind).removeprefix('torch.')}, wanted float32" for name, kind in kinds.items()]
