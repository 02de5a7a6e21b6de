"""A lane's champion takes the place of live's: rehearsed, judged beside it by the gate, approved by a person, moved by one swap.

- What the gate rejects is not promoted, whoever approves it. What it holds is, with the person's answer kept under the verdict.
- Whatever was rehearsed and judged is found again by who comes after a crash, and the move is made once.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

from widedeep.artifacts import LIVE, ChampionPointer, Decision, DryRunReport, Manifest, Progress, Release, Verdict
from widedeep.errors import PermanentError, StaleError, UsageError
from widedeep.publishing import lanes, layout, moves, releases
from widedeep.publishing.pointer import champion
from widedeep.steps.gating import Case, anchor_manifest, decided
from widedeep.steps.judgement import rehearsal
from widedeep.steps.lane_plan import LanePlan
from widedeep.steps.ruling import approved
from widedeep.steps.verdict_told import verdict_told
from widedeep.steps.workplace import Workplace, stored_evidence

log = logging.getLogger(__name__)


def adopted(place: Workplace, lane: str) -> ChampionPointer | None:
    """Live's pointer, if it has adopted the lane, and leads where the lane's leads: then nothing is left to promote."""
    theirs, live = champion(place.store, lane), champion(place.store, LIVE)
    same = theirs and live and theirs.release_id == live.release_id
    return live if same and live and lane in {each.lane for each in live.adopted} else None


def compare_lane(place: Workplace, plan: LanePlan) -> str:
    """Rehearse the lane's champion and judge it beside live's. Returns the verdict's key; its report stands beside it.

    Raises:
        UnknownOutcomeError: the store, the disk or the process's environment failed; nothing is held against the candidate.
        StaleError: an erasure has renewed rows that were planned with; plan again.
    """
    ours, standing = (_manifest(place, release_id) for release_id in (plan.candidate.release_id, plan.champion))
    # Nobody stands beside it, as before a rollback: to be unlike a champion that learnt other rows is no fault.
    report = rehearsal(place, plan.candidate, None)
    after = max(plan.own) + timedelta(days=1)
    past, asked = lanes.history(place.store, LIVE, after), Progress(span=after, lane=LIVE)
    case = Case(
        candidate=plan.candidate,
        manifest=ours,
        rehearsal=stored_evidence(place, report, DryRunReport),
        champion=standing,
        anchor=anchor_manifest(place, asked, past, standing),
        holdout=plan.holdout,
        left_out=plan.left_out,
    )
    return decided(place, case)[0]


def decision_of(place: Workplace, verdict: str) -> Decision:
    """What a verdict with this key decides."""
    return stored_evidence(place, verdict, Verdict).decision


def lane_question(place: Workplace, plan: LanePlan, verdict: str, address: Callable[[str], str] | None = None) -> str:
    """What a person is to approve: the verdict's figures, and where its report is, in Markdown; `address` as for a review.

    Raises:
        StaleError: the verdict is about other champions than the plan.
    """
    judged, report = stored_evidence(place, verdict, Verdict), layout.decision_report(verdict)
    if (judged.candidate, judged.champion) != (plan.candidate.release_id, plan.champion):
        raise StaleError(
            f"lane {plan.lane}: {judged.candidate} was compared with {judged.champion}, and now {plan.candidate.release_id} "
            f"would take the place of {plan.champion}. Compare the lane again."
        )
    at = f"[open it]({address(report)})" if address else f"{place.store.url}/{report}"
    return (
        f"{plan.told()}.\n\nThe gate's decision on it is *{judged.decision}*:\n\n```text\n"
        + "\n".join(line.replace("`", "'") for line in verdict_told(judged))
        + f"\n```\n\nIts report: {at}."
    )


def promote_lane(place: Workplace, lane: str, verdict: str, reason: str) -> ChampionPointer:
    """Make the lane's champion live's, as judged, and approved by a person. Done again, it finds the pointer there.

    Raises:
        UsageError: the reason is blank, or a person has said no to the same verdict before.
        PermanentError: the gate rejects it. The pointer stays.
        StaleError: live or the lane has another champion since they were compared. The pointer stays.
        OrderError, WithheldError: as for the plan. The pointer stays.
    """
    because, judged = place.because(reason), stored_evidence(place, verdict, Verdict)
    theirs = _compared(place, lane, judged.candidate)
    if done := adopted(place, lane):
        return done
    _compared(place, LIVE, judged.champion)
    if judged.decision == "reject":
        raise PermanentError(
            f"lane {lane}: the gate rejects {judged.candidate} beside {judged.champion}: {'; '.join(judged.reasons)}. "
            "Live's champion stays; look at the report, mend the cause, and rebuild the days in a new lane."
        )
    name = releases.decision_name(judged)
    releases.save_evidence(place.store, judged.candidate, name, judged, because.signer)
    if judged.decision == "promote":
        pointer = moves.adopt(place.store, lane, judged, because)
    else:
        _keep_approval(place, theirs, judged, because)
        pointer = moves.adopt_held(place.store, lane, judged, because)
    log.info("%s is champion of lane %s by move %d", pointer.release_id, pointer.lane, pointer.sequence)
    return pointer


def _compared(place: Workplace, lane: str, wanted: str | None) -> ChampionPointer:
    """The lane's pointer. Raises StaleError if it leads elsewhere than when both champions were compared."""
    pointer = champion(place.store, lane)
    if pointer is None or pointer.release_id != wanted:
        raise StaleError(
            f"lane {lane}: got {pointer.release_id if pointer else 'nobody'} as champion, wanted {wanted}, which was compared. "
            "Live's pointer stays; compare both lanes' champions again."
        )
    return pointer


def _keep_approval(place: Workplace, theirs: ChampionPointer, judged: Verdict, because: moves.Because) -> None:
    release = Release(
        release_id=judged.candidate,
        span=theirs.span,
        manifest_sha256=judged.candidate_manifest_sha256,
        decision=judged.decision,
    )
    answer = approved(place.store, release, judged, because)
    if answer.answer != "accept":
        raise UsageError(f"lane {theirs.lane}: {answer.told()}. The first answer to a verdict stands; live's champion stays.")


def _manifest(place: Workplace, release_id: str) -> Manifest:
    return releases.load_manifest(place.store, release_id, published=True)
