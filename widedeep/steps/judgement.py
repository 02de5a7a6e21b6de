"""A candidate is rehearsed on a server of its own, beside the champion, before anybody compares them."""

import logging
import os
import signal
import subprocess
import sys

from widedeep.artifacts import Candidate, DryRunReport, Manifest, Progress, canonical_json, sha256
from widedeep.errors import PermanentError, UnknownOutcomeError
from widedeep.publishing import lanes, releases
from widedeep.publishing.keys import load_signer, load_trust
from widedeep.steps.retraining import parent_manifest
from widedeep.steps.workplace import Workplace, wanted

log = logging.getLogger(__name__)

REHEARSAL = "widedeep.serving.rehearsal"

GRACE_S = 30
"""In which the process ends after its limit, before it is killed: it has servers to stop, and a reason to tell."""


def dry_run(place: Workplace, progress: Progress) -> Progress:
    """Rehearse serving in processes that share nothing with the trainer but the store, beside the champion as of that day.

    Raises:
        UnknownOutcomeError: the store, the disk, the process's environment or the machine failed; nothing is held against the
            candidate.
        PermanentError: so did a setting or the credentials; or a report stands there without the signature that is required.
    """
    candidate = wanted(progress.candidate, "candidate", "train")
    champion = parent_manifest(place, progress, lanes.history(place.store, progress.lane, progress.span))
    return progress.model_copy(update={"dry_run": rehearsal(place, candidate, champion)})


def rehearsal(place: Workplace, candidate: Candidate, champion: Manifest | None) -> str:
    """The key of what a dry run beside this champion has shown; one that stands there already is found, not made again.

    Raises: as `dry_run`.
    """
    signer, trust = load_signer(place.settings), load_trust(place.settings)
    name = releases.signed_name(f"dry-run-{candidate.manifest_sha256[:16]}-{_conditions(place, champion)[:16]}", signer)
    report = releases.load_evidence(place.store, candidate.release_id, name, DryRunReport, trust)
    report = report or rehearsed(place, candidate, champion)
    key = releases.save_evidence(place.store, candidate.release_id, name, report, signer)
    log.info("%s: dry run of %s: %s", candidate.span, candidate.release_id, "; ".join(report.failures) or passed(report))
    return key


def passed(report: DryRunReport) -> str:
    """What a dry run that did not fail has shown."""
    error, beside = report.largest_score_error or 0, f"p50 {report.score_p50_ms} ms"
    if report.champion_p50_ms is not None:
        beside += f", the champion's {report.champion_p50_ms} ms"
    return f"{report.rows_scored} rows reproduced within {error:.1e}, {report.files_verified} files verified, {beside}"


def rehearsed(place: Workplace, candidate: Candidate, champion: Manifest | None) -> DryRunReport:
    """The report of a fresh process. A server that hangs or is killed is tried once more; whose server does it twice is unfit.

    Raises:
        UnknownOutcomeError: the store, the disk or the process's environment failed, or the champion beside it was no better.
        PermanentError: a setting or the credentials did.
    """
    report = _rehearse(place, candidate, champion)
    if isinstance(report, DryRunReport):
        return report
    log.warning("%s: dry run: %s; once more", candidate.span, report)
    again = _rehearse(place, candidate, champion)
    if isinstance(again, DryRunReport):
        return again
    failure = f"twice: {again}"
    return DryRunReport(release_id=candidate.release_id, manifest_sha256=candidate.manifest_sha256, failures=(failure,))


def _conditions(place: Workplace, champion: Manifest | None) -> str:
    """Digest of what a report depends on beside the candidate."""
    told = {name: getattr(place.contract, name).model_dump(mode="json") for name in ("dry_run", "serving")}
    return sha256(canonical_json([told, champion.content_digest() if champion else None]))


def _rehearse(place: Workplace, candidate: Candidate, champion: Manifest | None) -> DryRunReport | str:
    """What the fresh process reports, or how it ended without a report."""
    limit_s = place.contract.dry_run.timeout.total_seconds()
    named = [candidate.release_id, candidate.manifest_sha256]
    beside = ["--champion", champion.release_id, champion.content_digest()] if champion else []
    command = [sys.executable, "-m", REHEARSAL, *named, *beside, "--limit-s", str(limit_s)]
    environment, patience_s = dict(place.environment), limit_s + GRACE_S
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=patience_s, check=False)
    except subprocess.TimeoutExpired:
        return f"the process did not finish within {patience_s:.0f} s"
    last_words = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if done.returncode < 0:
        return f"the process was ended by {signal.Signals(-done.returncode).name}"
    if done.returncode == os.EX_UNAVAILABLE:
        return last_words
    if done.returncode:
        blamed = PermanentError if done.returncode == os.EX_CONFIG else UnknownOutcomeError
        raise blamed(f"dry run of {candidate.release_id}: {last_words}. The candidate is not to blame; mend that and run again.")
    return DryRunReport.model_validate_json(done.stdout.splitlines()[-1])
