"""A candidate is rehearsed in a fresh process before anybody compares it."""

import logging
import os
import signal
import subprocess
import sys

from widedeep.artifacts import Candidate, DryRunReport, Progress, canonical_json, sha256
from widedeep.errors import PermanentError, UnknownOutcomeError
from widedeep.publishing import releases
from widedeep.publishing.keys import load_signer, load_trust
from widedeep.steps.workplace import Workplace, wanted

log = logging.getLogger(__name__)

REHEARSAL = "widedeep.serving.rehearsal"


def dry_run(place: Workplace, progress: Progress) -> Progress:
    """Rehearse serving in a process that shares nothing with the trainer but the store.

    Raises:
        UnknownOutcomeError: the store, the disk or the process's environment failed; nothing is held against the candidate.
        PermanentError: so did a setting or the credentials; or a report stands there without the signature that is required.
    """
    signer, trust = load_signer(place.settings), load_trust(place.settings)
    candidate = wanted(progress.candidate, "candidate", "train")
    limits = sha256(canonical_json(place.contract.dry_run.model_dump(mode="json")))
    name = releases.signed_name(f"dry-run-{candidate.manifest_sha256[:16]}-{limits[:16]}", signer)
    report = releases.load_evidence(place.store, candidate.release_id, name, DryRunReport, trust) or rehearsed(place, candidate)
    key = releases.save_evidence(place.store, candidate.release_id, name, report, signer)
    error = report.largest_score_error or 0
    passed = f"{report.rows_scored} rows reproduced within {error:.1e}, {report.files_verified} files verified"
    log.info("%s: dry run of %s: %s", progress.span, candidate.release_id, "; ".join(report.failures) or passed)
    return progress.model_copy(update={"dry_run": key})


def rehearsed(place: Workplace, candidate: Candidate) -> DryRunReport:
    """The report of a fresh process. One that hangs or is killed is tried once more; who does it twice is unfit.

    Raises:
        UnknownOutcomeError: the store, the disk or the process's environment failed; nothing is held against the release.
        PermanentError: so did a setting or the credentials.
    """
    report = _rehearse(place, candidate)
    if isinstance(report, DryRunReport):
        return report
    log.warning("%s: dry run: %s; once more", candidate.span, report)
    again = _rehearse(place, candidate)
    if isinstance(again, DryRunReport):
        return again
    failure = f"twice: {again}"
    return DryRunReport(release_id=candidate.release_id, manifest_sha256=candidate.manifest_sha256, failures=(failure,))


def _rehearse(place: Workplace, candidate: Candidate) -> DryRunReport | str:
    """What the fresh process reports, or how it ended without a report."""
    limit_s = place.contract.dry_run.timeout.total_seconds()
    command = [sys.executable, "-m", REHEARSAL, candidate.release_id, candidate.manifest_sha256]
    try:
        done = subprocess.run(command, env=dict(place.environment), capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return f"the process did not finish within {limit_s:.0f} s"
    if done.returncode < 0:
        return f"the process was ended by {signal.Signals(-done.returncode).name}"
    if done.returncode:
        last_words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        blamed = PermanentError if done.returncode == os.EX_CONFIG else UnknownOutcomeError
        raise blamed(f"dry run of {candidate.release_id}: {last_words}. The candidate is not to blame; mend that and run again.")
    return DryRunReport.model_validate_json(done.stdout.splitlines()[-1])
