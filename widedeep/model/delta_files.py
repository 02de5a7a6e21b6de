"""A delta on disk leads from the exact files of one release to the exact files of another; between any others it is refused.

Equal deltas give equal files, byte for byte. Nothing here is pickled.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.torch import load_file

from widedeep.artifacts import FileRef, Manifest, ReleaseId, Value
from widedeep.errors import IntegrityError
from widedeep.features.quantiles import Quantiles
from widedeep.model.bundle import (
    CROSSES,
    QUANTILES,
    READER_FILES,
    SPECIFICATION,
    VALUES,
    write_table,
    write_tensors,
)
from widedeep.model.delta import Change, Delta
from widedeep.model.specification import Specification

FOLDER = "delta/"
HEADER, ROWS = "delta.json", "rows.safetensors"
IDS = ".ids"


class DeltaHeader(Value):
    """Which readers' files the delta leads from and to, and how many rows either vocabulary has before and after."""

    format: Literal[1] = 1
    base: ReleaseId
    base_files: tuple[FileRef, ...]
    target_files: tuple[FileRef, ...]
    values: tuple[int, int]
    crosses: tuple[int, int]


def reader_files(manifest: Manifest) -> tuple[FileRef, ...]:
    """The files of a release that make the bundle that its readers hold, by name."""
    return tuple(sorted((file for file in manifest.files if file.name in READER_FILES), key=lambda file: file.name))


def save_delta(delta: Delta, base: Manifest, target_files: Iterable[FileRef], folder: Path) -> None:
    """Write the delta on a release into a folder that is made below `folder`; equal deltas give equal bytes."""
    sizes = {"values": delta.values.sizes, "crosses": delta.crosses.sizes}
    own = folder / FOLDER
    own.mkdir()
    write_tensors({**delta.weights, **{f"{name}{IDS}": rows for name, rows in delta.ids.items()}}, own / ROWS)
    write_table(delta.values.rows, own / VALUES)
    write_table(delta.crosses.rows, own / CROSSES)
    (own / SPECIFICATION).write_bytes(delta.specification.to_bytes())
    if delta.quantiles is not None:
        (own / QUANTILES).write_bytes(delta.quantiles.to_bytes())
    files = tuple(sorted(target_files, key=lambda file: file.name))
    header = DeltaHeader(base=base.release_id, base_files=reader_files(base), target_files=files, **sizes)
    (own / HEADER).write_bytes(header.to_bytes())


def load_delta(folder: Path) -> tuple[DeltaHeader, Delta]:
    """Read a delta back.

    Raises:
        IntegrityError: a file is missing or damaged.
    """
    own = folder / FOLDER
    try:
        header = DeltaHeader.from_bytes((own / HEADER).read_bytes(), HEADER)
        specification = Specification.from_bytes((own / SPECIFICATION).read_bytes(), SPECIFICATION)
        frozen = not (own / QUANTILES).exists()
        quantiles = None if frozen else Quantiles.from_bytes((own / QUANTILES).read_bytes(), QUANTILES)
        changes = [pq.read_table(own / name) for name in (VALUES, CROSSES)]
        tensors = load_file(own / ROWS)
    except (OSError, pa.ArrowInvalid, SafetensorError, IntegrityError) as error:
        raise IntegrityError(f"delta {own}: {error}. Nothing was loaded; fetch it again, or the whole release.") from error
    ids = {name.removesuffix(IDS): tensor for name, tensor in tensors.items() if name.endswith(IDS)}
    weights = {name: tensor for name, tensor in tensors.items() if not name.endswith(IDS)}
    values, crosses = Change(header.values, changes[0]), Change(header.crosses, changes[1])
    return header, Delta(specification, quantiles, values, crosses, weights, ids)


def check_leads(header: DeltaHeader, held: Manifest, target: Manifest) -> None:
    """Raise IntegrityError unless the delta leads from the one release to the other: it may be applied, or lack another."""
    if (header.base, header.base_files) != (held.release_id, reader_files(held)):
        raise IntegrityError(
            f"delta of {target.release_id}: leads on from {header.base} as {_digests(header.base_files)}; held is "
            f"{held.release_id} as {_digests(reader_files(held))}. Nothing was changed; load the release in full."
        )
    check_reaches(header, target)


def check_reaches(header: DeltaHeader, target: Manifest) -> None:
    """Raise IntegrityError unless the delta leads to the release, wherever it leads from."""
    if header.target_files != reader_files(target):
        raise IntegrityError(
            f"delta of {target.release_id}: leads to {_digests(header.target_files)}, wanted {_digests(reader_files(target))}. "
            "Nothing was changed; load the release in full."
        )


def _digests(files: tuple[FileRef, ...]) -> str:
    return ", ".join(f"{file.name} {file.sha256[:8]}…" for file in files)
