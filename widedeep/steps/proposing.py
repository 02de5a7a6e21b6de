"""A champion that owes too much may be left behind: its twin is rehearsed and judged like any candidate, and a person decides.

The gate always holds a twin, or rejects it: nobody re-anchors a chain without being asked. What it holds is published unpromoted
and waits in `widedeep review` until a later span has settled.
"""

import logging
from collections.abc import Callable
from datetime import date, timedelta

from widedeep.artifacts import LIVE, Audit, DryRunReport, Outcome, Progress, Proposal
from widedeep.errors import StaleError
from widedeep.publishing import lanes, releases
from widedeep.publishing.keys import load_signer, load_trust
from widedeep.publishing.pointer import champion
from widedeep.publishing.signing import check_signature
from widedeep.steps.chain import quiet
from widedeep.steps.gating import Case, anchor_manifest, decided
from widedeep.steps.judgement import rehearsal
from widedeep.steps.records import record
from widedeep.steps.ruling import ruled
from widedeep.steps.workplace import Workplace, stored_evidence

log = logging.getLogger(__name__)

DOUBT = "it would take the place of a whole chain of days, which a person decides"


def propose(place: Workplace, found: Audit, on_step: Callable[[str], None] = quiet) -> Outcome:
    """Let a person decide whether the live lane goes on from the twin. Done again, it finds what was proposed.

    Returns what became of the twin: held, for a review; or rejected, by the gate, by a person, or since the contract asks nobody.

    Raises:
        StaleError: the lane has another champion than the one that was audited; audit again.
        UnknownOutcomeError, PermanentError: the dry run could not be made. Nothing was proposed.
    """
    pointer, head = champion(place.store, LIVE), lanes.head(place.store, LIVE)
    if pointer is None or head is None or pointer.release_id != found.release_id:
        raise StaleError(
            f"lane {LIVE}: got {pointer.release_id if pointer else 'nobody'} as champion, wanted {found.release_id}, which was "
            "audited. Nothing was proposed."
        )
    if place.contract.gate.undecided == "reject":
        told = f"{found.twin} is not proposed: by its contract (gate.undecided) nobody is asked"
        return _outcome(place, found, "rejected", (told,))
    standing = releases.load_manifest(place.store, found.release_id, published=True)
    check_signature(place.store, standing, load_trust(place.settings))
    twin = releases.load_candidate(place.store, found.twin, load_trust(place.settings))
    candidate = releases.as_candidate(twin)
    if candidate.span != found.span:
        told = f"{found.twin} is not proposed: the rows of span {found.span} are gone, so it ends at {candidate.span}"
        return _outcome(place, found, "rejected", (told,))
    on_step("dry_run")
    # Nobody stands beside it: a twin that ranks unlike a champion in debt is no fault.
    report = rehearsal(place, candidate, None)
    on_step("gate")
    after = Progress(span=head + timedelta(days=1), lane=LIVE)
    key, verdict = decided(
        place,
        Case(
            candidate=candidate,
            manifest=twin,
            rehearsal=stored_evidence(place, report, DryRunReport),
            champion=standing,
            anchor=anchor_manifest(place, after, lanes.history(place.store, LIVE, date.max), standing),
            holdout=found.holdout,
            doubt=DOUBT,
        ),
    )
    if verdict.decision == "reject":
        return _outcome(place, found, "rejected", verdict.reasons)
    on_step("publish")
    record(place, "published", candidate)
    releases.publish(place.store, candidate, verdict, load_signer(place.settings))
    held = _outcome(place, found, "held", (found.told(), *verdict.reasons)).model_dump()
    filled = {"span": candidate.span, "learnt": twin.lineage.learnt, "verdict": key, "head": head}
    proposed = lanes.propose(place.store, Proposal(**held | filled))
    answer = ruled(place, proposed)
    return _outcome(place, found, "rejected", (answer.told(),)) if answer and answer.answer == "reject" else proposed


def _outcome(place: Workplace, found: Audit, result: str, reasons: tuple[str, ...]) -> Outcome:
    log.info("%s: %s: %s", found.twin, result, "; ".join(reasons))
    return Outcome(
        lane=LIVE,
        span=found.span,
        result=result,
        reasons=reasons,
        release_id=found.twin,
        settled_at=place.clock(),
        settled_by=place.actor,
    )
