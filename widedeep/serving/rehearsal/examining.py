"""A candidate's bytes, looked at without a server: what is wrong with them is told more precisely than a server could."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from widedeep.artifacts import DryRunReport, Manifest
from widedeep.data.catalogue import CATALOGUE_FILE
from widedeep.data.contract import Contract
from widedeep.errors import IntegrityError
from widedeep.model.bundle import READER_FILES, Bundle, load_bundle
from widedeep.model.delta import applied, same_bits
from widedeep.model.delta_files import FOLDER, check_leads, load_delta, reader_files
from widedeep.model.golden import GOLDEN_FILE, GOLDEN_SCORE
from widedeep.publishing import layout
from widedeep.publishing.keys import Trust
from widedeep.publishing.releases import download, load_manifest
from widedeep.publishing.store import ObjectStore
from widedeep.serving.loading import load_to_rehearse
from widedeep.serving.rehearsal.traffic import Traffic


@dataclass(frozen=True)
class Examined:
    """`traffic` and `expected`, the trainer's scores of its rows, are None where the release can't be loaded."""

    report: DryRunReport
    files_mb: float = 0.0
    traffic: Traffic | None = None
    expected: tuple[float, ...] = ()


def examine(
    store: ObjectStore, contract: Contract, release_id: str, manifest_sha256: str, folder: Path, trust: Trust
) -> Examined:
    """Download into `folder`, verify, load, apply the delta; what goes wrong with the candidate is a failure in the report.

    Raises:
        UnknownOutcomeError: the store or the disk is at fault, not the candidate.
        SignatureError: it is published without the signature that is required.
    """
    bare = DryRunReport(release_id=release_id, manifest_sha256=manifest_sha256, failures=())
    try:
        manifest = load_to_rehearse(store, trust, release_id, manifest_sha256)
        download(store, manifest, folder)
        bundle = load_bundle(folder, optimizer=False)
        golden, catalogue = _tables(manifest, folder)
    except IntegrityError as error:
        return Examined(bare.model_copy(update={"failures": (f"can't be loaded: {error}",)}))
    failures = (*_delta_failures(store, manifest, folder, bundle), *_not_in(catalogue, golden, contract))
    report = bare.model_copy(update={"failures": failures, "files_verified": len(manifest.files)})
    traffic = Traffic.of(golden, catalogue, contract, bundle.vocabularies.features)
    return Examined(report, files_mb(manifest), traffic, tuple(golden[GOLDEN_SCORE].to_pylist()))


def files_mb(manifest: Manifest) -> float:
    """What a reader loads of a release."""
    return sum(file.size_bytes for file in reader_files(manifest)) / 2**20


def _tables(manifest: Manifest, folder: Path) -> tuple[pa.Table, pa.Table | None]:
    """The golden rows and the catalogue, if there is one."""
    names = {file.name for file in manifest.files}
    try:
        golden = pq.read_table(folder / GOLDEN_FILE)
        catalogue = pq.read_table(folder / CATALOGUE_FILE) if CATALOGUE_FILE in names else None
    except (OSError, pa.ArrowInvalid) as error:
        raise IntegrityError(f"{manifest.release_id}: {error}") from error
    if GOLDEN_SCORE not in golden.column_names or not golden.num_rows:
        raise IntegrityError(f"{GOLDEN_FILE}: {golden.num_rows} rows of {golden.column_names}, wanted some with {GOLDEN_SCORE}")
    return golden, catalogue


def _not_in(catalogue: pa.Table | None, golden: pa.Table, contract: Contract) -> Iterator[str]:
    """What was learnt can be recommended: the items of the golden rows are in the catalogue."""
    if catalogue is None or contract.item is None or contract.item not in golden.column_names:
        return
    if contract.item not in catalogue.column_names:
        yield f"its catalogue has no column {contract.item!r}, which tells items apart"
        return
    items = pc.unique(golden[contract.item].drop_null()).cast(pa.string())
    lacking = pc.sum(pc.invert(pc.is_in(items, pc.unique(catalogue[contract.item]).cast(pa.string())))).as_py()
    if lacking:
        yield f"its catalogue lacks {lacking} of the {len(items)} items of its golden rows"


def _delta_failures(store: ObjectStore, manifest: Manifest, folder: Path, bundle: Bundle) -> Iterator[str]:
    """What is wrong with the candidate's delta, if it has one: applied to its base, it has to give this very bundle.

    A release that a rollback leads to may have outlived its base; nobody can apply its delta then.
    """
    if not (folder / FOLDER).exists():
        return
    base_folder = folder / "base"
    try:
        header, delta = load_delta(folder)
        if store.get(layout.manifest(header.base)) is None:
            return
        base = load_manifest(store, header.base, published=True)
        check_leads(header, base, manifest)
        download(store, base, base_folder, READER_FILES)
        reached = applied(load_bundle(base_folder, optimizer=False), delta)
    except IntegrityError as error:
        yield f"its delta can't be applied: {error}"
        return
    if not same_bits(reached, bundle):
        yield f"its delta leads from {header.base} to another model than the candidate. Train it again"
