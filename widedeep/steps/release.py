"""A judged candidate becomes a release, the pointer moves if it may, and the span is settled."""

import logging

from widedeep.artifacts import Outcome, Progress, Release, Result, Validation, Verdict
from widedeep.errors import WithheldError
from widedeep.publishing import lanes, moves, releases
from widedeep.publishing.claims import release_claims
from widedeep.publishing.keys import load_signer
from widedeep.publishing.pointer import moves as pointer_moves
from widedeep.steps.records import record
from widedeep.steps.ruling import ruling_on
from widedeep.steps.settled import put_aside
from widedeep.steps.turn import check_turn
from widedeep.steps.workplace import Workplace, stored, stored_evidence, wanted

log = logging.getLogger(__name__)

RESULTS: dict[str, Result] = {"promote": "promoted", "hold": "held", "reject": "rejected"}


def publish(place: Workplace, progress: Progress) -> Progress:
    """Make a passing or held candidate a release, and move the champion pointer to a passing one, or to a held one that
    a person has accepted for the same verdict, or that the lane lets pass, unless somebody withholds it.

    A rejected candidate stays staged with its evidence, where no reader looks; then there is nothing to publish.

    Raises:
        SettingsError: the signing key can't be used; nothing was published.
        SignatureError: no accepted key signed the verdict although that is required; nothing was published.
        StaleError: the champion changed since the comparison; the release stays stored, unpromoted.
    """
    candidate = wanted(progress.candidate, "candidate", "train")
    signer = load_signer(place.settings)
    verdict = read_verdict(place, progress)
    if verdict.decision == "reject":
        log.info("%s: %s is not published: the gate rejects it", progress.span, candidate.release_id)
        return progress
    record(place, "published", candidate)
    release = releases.publish(place.store, candidate, verdict, signer)
    reason = _why_promoted(place, progress, release, verdict)
    withheld = _promote(place, progress, release, verdict, reason) if reason else None
    if withheld or not reason:
        log.info("%s: %s is published unpromoted; the champion stays", progress.span, release.release_id)
    return progress.model_copy(update={"release": release.release_id, "withheld": withheld})


def _why_promoted(place: Workplace, progress: Progress, release: Release, verdict: Verdict) -> str | None:
    """Why the pointer moves to a release, or None: the gate held it, and neither a person nor the lane's rule lets it pass."""
    if verdict.decision == "promote":
        return verdict.reasons[0]
    ruling = ruling_on(place.store, verdict, release)
    if ruling:
        return ruling.told() if ruling.answer == "accept" else None
    return f"held by the gate, and lane {progress.lane} lets such pass" if progress.on_hold == "pass" else None


def _promote(place: Workplace, progress: Progress, release: Release, verdict: Verdict, reason: str) -> str | None:
    """Move the pointer, or say why somebody withholds this."""
    move = moves.promote if verdict.decision == "promote" else moves.approve
    try:
        pointer = move(place.store, progress.lane, release, verdict, place.because(reason))
    except WithheldError as error:
        log.warning("%s: %s", progress.span, error)
        # Promoted before its run died, and taken back since: that it was promoted stays a fact, and the withdrawal counts.
        promoted = any(move.release_id == release.release_id for move in pointer_moves(place.store, progress.lane))
        return None if promoted else str(error)
    log.info("%s: %s is champion of lane %s, move %d", progress.span, release.release_id, pointer.lane, pointer.sequence)
    return None


def settle(place: Workplace, progress: Progress) -> Progress:
    """Write the span's outcome: the lane moves on. A span is settled once; later runs find it so.

    Raises:
        OrderError: an earlier span of the lane is unsettled; nothing was written.
    """
    check_turn(place, progress)
    outcome = lanes.settle(place.store, outcome_of(place, progress))
    release_claims(place.store, progress.lane, progress.span)
    log.info("%s: settled in lane %s: %s. %s", outcome.span, outcome.lane, outcome.result, "; ".join(outcome.reasons))
    return progress.model_copy(update={"result": outcome.result})


def read_verdict(place: Workplace, progress: Progress) -> Verdict:
    return stored_evidence(place, wanted(progress.verdict, "verdict", "gate"), Verdict)


def outcome_of(place: Workplace, progress: Progress) -> Outcome:
    """How the run ended, as the lane will remember it."""
    if progress.no_data:
        return _outcome(place, progress, "no data", (progress.no_data,))
    if progress.quarantined or progress.drastic:
        key = wanted(progress.validation, "validation", "validate")
        validation = Validation.from_bytes(stored(place.store, key), f"{place.store.url}/{key}")
        result: Result = "quarantined" if progress.quarantined else "held"
        reasons = tuple(f.message for f in (validation.critical if progress.quarantined else validation.drastic))
        return _outcome(place, progress, result, reasons).model_copy(update={"validation": key})
    verdict = read_verdict(place, progress)
    judged = verdict.candidate_manifest_sha256
    learnt = releases.load_manifest(place.store, verdict.candidate, published=False, expected_sha256=judged).lineage.learnt
    result = "held" if progress.withheld else RESULTS[verdict.decision]
    reasons = (*([progress.withheld] if progress.withheld else []), *verdict.reasons, *put_aside(progress.set_aside))
    outcome = _outcome(place, progress, result, reasons)
    held_by = progress.verdict if verdict.decision == "hold" else None
    return outcome.model_copy(update={"release_id": verdict.candidate, "learnt": learnt, "verdict": held_by})


def learnt_in(place: Workplace, progress: Progress, release: str | None) -> Outcome:
    """The outcome of a history span whose rows the bootstrap learns together with later ones."""
    return _outcome(place, progress, "learnt", (f"learnt by the bootstrap as part of {release}" if release else "history",))


def _outcome(place: Workplace, progress: Progress, result: Result, reasons: tuple[str, ...]) -> Outcome:
    return Outcome(
        lane=progress.lane,
        span=progress.span,
        result=result,
        reasons=reasons,
        snapshot=progress.snapshot,
        settled_at=place.clock(),
        settled_by=place.actor,
    )
