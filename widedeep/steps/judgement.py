"""A candidate is rehearsed in a fresh process and compared with the champion on rows that neither has seen."""

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

from widedeep.artifacts import Candidate, DryRunReport, Manifest, Outcome, Part, Progress, Verdict, canonical_json, sha256
from widedeep.data.contract import Pending
from widedeep.errors import StoreUnavailableError
from widedeep.publishing import lanes, layout, releases
from widedeep.steps.retraining import load_release, parent_manifest, part_rows, plan_after
from widedeep.steps.workplace import Workplace, stored, wanted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

REHEARSAL = "widedeep.serving.rehearsal"
NOT_THE_CANDIDATE = 75
"""Exit status EX_TEMPFAIL (sysexits.h) of the rehearsal: the store, the disk or a setting was at fault, not the candidate."""


def dry_run(place: Workplace, progress: Progress) -> Progress:
    """Rehearse serving in a process that shares nothing with the trainer but the store.

    Raises:
        StoreUnavailableError: the store failed during the rehearsal; nothing is held against the candidate.
    """
    candidate = wanted(progress.candidate, "candidate", "train")
    name = f"dry-run-{candidate.manifest_sha256[:16]}"
    report = releases.load_evidence(place.store, candidate.release_id, name, DryRunReport) or _rehearse(place, candidate)
    key = releases.save_evidence(place.store, candidate.release_id, name, report)
    error = report.largest_score_error or 0
    passed = f"{report.rows_scored} rows reproduced within {error:.1e}, {report.files_verified} files verified"
    log.info("%s: dry run of %s: %s", progress.span, candidate.release_id, "; ".join(report.failures) or passed)
    return progress.model_copy(update={"dry_run": key})


def _rehearse(place: Workplace, candidate: Candidate) -> DryRunReport:
    limit_s = place.contract.dry_run.timeout.total_seconds()
    command = [sys.executable, "-m", REHEARSAL, candidate.release_id, candidate.manifest_sha256]
    try:
        done = subprocess.run(command, env=dict(place.environment), capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return _failed(candidate, f"the process did not finish within {limit_s:.0f} s")
    last_words = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if done.returncode == NOT_THE_CANDIDATE:
        raise StoreUnavailableError(f"dry run of {candidate.release_id}: {last_words}. The candidate is not to blame; run again.")
    if done.returncode:
        return _failed(candidate, f"the process ended with status {done.returncode}: {last_words}")
    return DryRunReport.model_validate_json(done.stdout.splitlines()[-1])


def _failed(candidate: Candidate, failure: str) -> DryRunReport:
    return DryRunReport(release_id=candidate.release_id, manifest_sha256=candidate.manifest_sha256, failures=(failure,))


def gate(place: Workplace, progress: Progress) -> Progress:
    """Judge the candidate against its parent, the champion as of that day."""
    return gate_after(place, progress, lanes.history(place.store, progress.lane, progress.span), place.contract.pending)


def gate_after(place: Workplace, progress: Progress, outcomes: tuple[Outcome, ...], rule: Pending) -> Progress:
    """The decision is stored under the digests of what it judged, and reused by replays (sixth law)."""
    candidate = wanted(progress.candidate, "candidate", "train")
    rehearsal = wanted(
        releases.load_evidence(place.store, candidate.release_id, f"dry-run-{candidate.manifest_sha256[:16]}", DryRunReport),
        "dry run",
        "dry_run",
    )
    champion = parent_manifest(place, progress, outcomes)
    pool = plan_after(place, progress, outcomes, rule, champion).pooled
    holdout = tuple(Part(span=s.span, version=s.version, digest=s.digest, part="holdout") for s in pool)
    name = f"verdict-{_judged(place, candidate, champion, holdout)[:16]}"
    if releases.load_evidence(place.store, candidate.release_id, name, Verdict) is None:
        made = _judge(place, candidate, rehearsal, champion, holdout)
        releases.save_evidence(place.store, candidate.release_id, name, made)
    # Read back, since the first verdict stands if two runs judge at once.
    key = layout.evidence(candidate.release_id, name)
    verdict = Verdict.from_bytes(stored(place.store, key))
    log.info("%s: %s: %s", progress.span, verdict.decision, "; ".join(verdict.reasons))
    return progress.model_copy(update={"verdict": key, "decision": verdict.decision})


def _judged(place: Workplace, candidate: Candidate, champion: Manifest | None, holdout: tuple[Part, ...]) -> str:
    judged = [
        candidate.manifest_sha256,
        champion.content_digest() if champion else None,
        [part.model_dump(mode="json") for part in holdout],
        place.contract.gate.model_dump(mode="json"),
    ]
    return sha256(canonical_json(judged))


def _judge(
    place: Workplace, candidate: Candidate, rehearsal: DryRunReport, champion: Manifest | None, holdout: tuple[Part, ...]
) -> Verdict:
    import pandas as pd
    import pyarrow as pa

    from widedeep.evaluation.gate import Comparison, decide
    from widedeep.evaluation.metrics import measure, paired_difference, row_losses
    from widedeep.features.encoding import labels
    from widedeep.model.scoring import score_rows

    rows = pa.concat_tables([part_rows(place, part) for part in holdout], promote_options="permissive")
    y = labels(rows, place.contract).astype("float64")
    users, _ = pd.factorize(rows[place.contract.user].to_pandas())

    def scored(manifest: Manifest) -> "NDArray[np.float64]":
        bundle, _ = load_release(place, manifest, optimizer=False)
        return score_rows(bundle, rows, place.contract)

    ours = scored(releases.load_manifest(place.store, candidate.release_id, published=False))
    comparison = None
    if champion:
        theirs = scored(champion)
        interval = paired_difference(row_losses(y, ours), row_losses(y, theirs), users, place.contract.gate.confidence)
        comparison = Comparison(champion.release_id, champion.content_digest(), measure(y, theirs, users), interval)
    return decide(candidate, measure(y, ours, users), rehearsal, comparison, holdout, place.contract.gate)
