"""The dry run's fresh process: load a candidate from the store as a server would, verify it, and score real rows.

Each model is dry run before it is loaded (Cheng et al. 2016, §3.3). The process shares nothing with the trainer but the store:
what it can load and reproduce, a server can.

`python -m widedeep.serving.rehearsal RELEASE MANIFEST_SHA256` prints a `DryRunReport`.
"""

import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from widedeep.artifacts import DryRunReport, Manifest
from widedeep.config import load_settings
from widedeep.data.contract import Contract, DryRun, load_contract
from widedeep.errors import IntegrityError, PermanentError, WidedeepError
from widedeep.model.bundle import READER_FILES, Bundle, load_bundle
from widedeep.model.delta import applied, same_bits
from widedeep.model.delta_files import FOLDER, check_leads, load_delta
from widedeep.model.golden import GOLDEN_FILE, GOLDEN_SCORE
from widedeep.model.scoring import score_rows
from widedeep.publishing import layout
from widedeep.publishing.keys import Trust, load_trust
from widedeep.publishing.releases import download, load_manifest
from widedeep.publishing.s3 import open_store
from widedeep.publishing.store import ObjectStore
from widedeep.serving.loading import load_to_rehearse

REQUEST_ROWS = 10
"""Rows scored at once while timing: the paper ranks candidates in batches of tens (table 2)."""


def rehearse(
    store: ObjectStore, contract: Contract, release_id: str, manifest_sha256: str, folder: Path, trust: Trust
) -> DryRunReport:
    """Download into `folder`, verify, load, score the golden rows; what goes wrong with the candidate is a failure in the report.

    Raises:
        UnknownOutcomeError: the store or the disk is at fault, not the candidate.
        SignatureError: it is published without the signature that is required.
    """
    started = time.perf_counter()
    try:
        manifest = load_to_rehearse(store, trust, release_id, manifest_sha256)
        download(store, manifest, folder)
        bundle = load_bundle(folder, optimizer=False)
    except IntegrityError as error:
        failure = f"can't be loaded: {error}"
        return DryRunReport(release_id=release_id, manifest_sha256=manifest_sha256, failures=(failure,))
    load_s = time.perf_counter() - started
    golden = pq.read_table(folder / GOLDEN_FILE)
    expected = golden[GOLDEN_SCORE].to_numpy()
    try:
        scores = score_rows(bundle, golden, contract)
        latencies_ms = _latencies_ms(bundle, golden, contract)
    except Exception as error:  # whatever it is, a server would have met it
        failure = f"can't score real rows: {type(error).__name__}: {error}"
        return DryRunReport(release_id=release_id, manifest_sha256=manifest_sha256, failures=(failure,))
    peak_rss_mb = _peak_rss_mb()
    return DryRunReport(
        release_id=release_id,
        manifest_sha256=manifest_sha256,
        failures=(*_failures(scores, expected, contract.dry_run), *_delta_failures(store, manifest, folder, bundle)),
        files_verified=len(manifest.files),
        rows_scored=len(scores),
        largest_score_error=float(np.abs(scores - expected).max()) if np.isfinite(scores).all() else None,
        load_s=round(load_s, 3),
        score_ms=tuple(np.round(latencies_ms, 3).tolist()),
        score_p50_ms=round(float(np.percentile(latencies_ms, 50)), 3),
        score_p99_ms=round(float(np.percentile(latencies_ms, 99)), 3),
        peak_rss_mb=peak_rss_mb,
    )


def _failures(scores: NDArray[np.float64], expected: NDArray[np.float64], limits: DryRun) -> Iterator[str]:
    if not np.isfinite(scores).all():
        yield f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not numbers"
        return
    error = float(np.abs(scores - expected).max())
    if error > limits.max_score_error:
        yield f"scores differ from the trainer's by up to {error:.2e}, wanted at most {limits.max_score_error:.0e}"
    if ((scores < 0) | (scores > 1)).any():
        yield f"scores lie between {scores.min():.3g} and {scores.max():.3g}, wanted probabilities"
    if len(scores) > 1 and np.ptp(scores) == 0:
        yield f"all {len(scores)} rows got the same score {scores[0]:.6f}"


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


def _latencies_ms(bundle: Bundle, golden: pa.Table, contract: Contract) -> NDArray[np.float64]:
    times = []
    for start in range(0, golden.num_rows, REQUEST_ROWS):
        began = time.perf_counter()
        score_rows(bundle, golden.slice(start, REQUEST_ROWS), contract)
        times.append(1000 * (time.perf_counter() - began))
    return np.array(times)


def _peak_rss_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main() -> None:
    """Exit status 0 with a report; else EX_CONFIG (mend something) or EX_TEMPFAIL (try again): not the candidate is at fault."""
    try:
        _main()
    except WidedeepError as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        sys.exit(os.EX_CONFIG if isinstance(error, PermanentError) else os.EX_TEMPFAIL)


def _main() -> None:
    release_id, manifest_sha256 = sys.argv[1:]
    settings = load_settings(os.environ)
    contract = load_contract(settings.contract)
    torch.set_num_threads(contract.training.threads)
    with TemporaryDirectory(prefix="widedeep-rehearsal-") as folder:
        report = rehearse(open_store(settings), contract, release_id, manifest_sha256, Path(folder), load_trust(settings))
    sys.stdout.write(report.model_dump_json() + "\n")


if __name__ == "__main__":
    main()
