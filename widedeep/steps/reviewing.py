"""A person says what becomes of a span that is held (sixth law); the chain does not wait for it.

Of a span whose candidate the gate held, `widedeep.steps.ruling` tells. Of one whose data changed drastically nothing is trained:
the answer is stored under the findings that it judges, the first one stands, and whoever meets the same rows and findings again,
such as a replay, finds it. What is accepted is learnt by the next candidate; what is not is never learnt. If who accepted died
before the rows were added, whoever looks next adds them.
"""

import logging
from collections.abc import Callable
from datetime import date

from widedeep.artifacts import LIVE, Outcome, Reply, Review, Ruling, Validation
from widedeep.errors import UsageError
from widedeep.publishing import lanes, layout
from widedeep.publishing.findings import stored_findings
from widedeep.publishing.renewals import load_renewals
from widedeep.publishing.store import ObjectStore
from widedeep.steps import findings, ruling
from widedeep.steps.workplace import Workplace, stored

log = logging.getLogger(__name__)


def review_of(store: ObjectStore, validation: Validation) -> Review | None:
    """What was answered to these findings, if anybody did."""
    key = layout.review(validation.span, validation.content_digest())
    blob = store.get(key)
    return Review.from_bytes(blob.data, f"{store.url}/{key}") if blob else None


def accepted(store: ObjectStore, validation: Validation) -> bool:
    """Whether a person lets the rows be learnt, who judged these findings or, as in a replay, the same against another past."""
    alike = (found for _, found in stored_findings(store, validation.span) if _covers(found, validation))
    standing = review_of(store, validation) or next(filter(None, (review_of(store, found) for found in alike)), None)
    return standing is not None and standing.answer == "accept"


def _covers(judged: Validation, found: Validation) -> bool:
    """Whether a person who has judged the one has seen all that the other one holds the same rows for."""
    seen, asked = ({(f.check, f.column) for f in each.drastic} for each in (judged, found))
    return judged.snapshot == found.snapshot and asked <= seen


def open_reviews(place: Workplace, lane: str = LIVE) -> tuple[Outcome, ...]:
    """What waits for an answer in the lane, in span order."""
    return tuple(outcome for outcome in _held(place, lane) if _waits(place, outcome))


def waits_for_review(place: Workplace, span: date, lane: str = LIVE) -> bool:
    """Whether a person has to be asked about the span."""
    return any(_waits(place, outcome) for outcome in _held(place, lane, span))


def late_review(place: Workplace, lane: str = LIVE) -> Outcome | None:
    """The newest of the spans whose rows came after they were settled, and wait for a person."""
    late = lanes.held(place.store, lane)
    return next((o for o in reversed(open_reviews(place, lane)) if o in late), None)


def _held(place: Workplace, lane: str, span: date | None = None) -> list[Outcome]:
    """What was held for a person, answered or not, in span order; what came later last."""
    settled = lanes.outcomes(place.store, lane) if span is None else (lanes.outcome(place.store, lane, span),)
    later = (*lanes.held(place.store, lane), *lanes.proposals(place.store, lane))
    found = [o for o in (*settled, *later) if o and is_for_review(o) and span in {None, o.span}]
    return sorted(found, key=lambda o: (o.span, o.settled_at))


def _waits(place: Workplace, held: Outcome) -> bool:
    """Without a report of its data, which prune removes, or with no candidate to promote any more nobody can judge it."""
    if held.result != "held":
        return False
    left = ruling.is_open(place, held) if held.verdict else place.store.get(str(held.validation)) is not None
    return left and answered(place, held) is None


def is_for_review(outcome: Outcome) -> bool:
    """Whether the span was held for a person, before anything was trained on it or by the gate."""
    return outcome.verdict is not None or (outcome.result == "held" and outcome.release_id is None)


def awaited_review(place: Workplace, span: date, lane: str = LIVE, release: str | None = None) -> Outcome:
    """What of a span was held for a person, or only with this release: what waits for an answer or, if nothing does, the last.

    Raises:
        UsageError: nothing was.
        SupersededError: the gate held it, nobody has answered, and a later span has settled or another champion leads.
    """
    found = [held for held in _held(place, lane, span) if release in {None, held.release_id}]
    if not found:
        settled = lanes.outcome(place.store, lane, span)
        got = f"is settled as {settled.result}" if settled else "is not settled"
        got += f", and not held with {release}" if release else ""
        waiting = ", ".join(str(o.span) for o in open_reviews(place, lane)) or "none"
        raise UsageError(f"span {span} of lane {lane}: {got}; wanted one that is held for a review. Waiting: {waiting}.")
    held = next((o for o in found if _waits(place, o)), found[-1])
    if held.verdict and answered(place, held) is None:
        ruling.check_open(place, held)
    return held


def answered(place: Workplace, held: Outcome) -> Review | Ruling | None:
    """The answer that stands, if there is one; what was accepted is done, unless it is: rows are added, a candidate promoted."""
    if held.verdict:
        return ruling.ruled(place, held)
    return _reviewed(place, held)


def _reviewed(place: Workplace, held: Outcome) -> Review | None:
    standing = review_of(place.store, judged(place, held))
    if standing and standing.answer == "accept":
        lanes.add(place.store, _added(held, standing))
    return standing


def judged(place: Workplace, held: Outcome) -> Validation:
    """The findings that a span is held for, on the rows that stand since an erasure."""
    rows = load_renewals(place.store).current(held.snapshot) if held.snapshot else None
    if rows and rows != held.snapshot:
        return findings.judged(place, held.lane, rows)[1]
    return Validation.from_bytes(stored(place.store, str(held.validation)), f"{place.store.url}/{held.validation}")


def question(place: Workplace, held: Outcome, address: Callable[[str], str] | None = None) -> str:
    """What a person is to judge, and where the report is, in Markdown. `address`: where a browser finds the object with a key."""

    def found_at(key: str) -> str:
        return f"[open it]({address(key)})" if address else f"{place.store.url}/{key}"

    return ruling.asked(place, held, found_at) if held.verdict else _what_changed(place, held, found_at)


def _what_changed(place: Workplace, held: Outcome, address: Callable[[str], str]) -> str:
    validation = judged(place, held)
    rows = held.snapshot.rows if held.snapshot else 0
    findings_told = ruling.quoted(finding.message for finding in validation.findings if finding.severity != "rows")
    report = address(layout.data_report(str(held.validation)))
    return (
        f"Span {held.span} of lane {held.lane} ({rows:,} rows) is unlike those that the champion learnt:\n\n"
        f"{findings_told}\n\nIts report: {report} (`widedeep validate --span {held.span}` shows it, too).\n\n"
        "Accept: the next candidate learns these rows. Reject: they are never learnt. Later days go on meanwhile."
    )


def review(
    place: Workplace, span: date, answer: Reply, reason: str, lane: str = LIVE, release: str | None = None
) -> Review | Ruling:
    """Answer, and let an accepted span be learnt, or promote its candidate. Returns the answer that stands, the first one.

    Raises:
        UsageError: the span is not held for a review, or the reason is blank.
        SupersededError, WithheldError, StaleError: its candidate can't be promoted, or not now.
    """
    held = awaited_review(place, span, lane, release)
    standing = ruling.rule(place, held, answer, reason) if held.verdict else _review(place, held, answer, reason)
    log.info("%s", standing.told())
    return standing


def _review(place: Workplace, held: Outcome, answer: Reply, reason: str) -> Review:
    because, judged_sha256 = place.because(reason), judged(place, held).content_digest()
    made = Review(
        span=held.span,
        snapshot_digest=held.snapshot.digest if held.snapshot else "",
        validation_sha256=judged_sha256,
        answer=answer,
        reason=because.reason,
        reviewed_at=because.now,
        reviewed_by=because.by,
    )
    place.store.create(layout.review(held.span, judged_sha256), made.to_bytes())
    return _reviewed(place, held) or made


def _added(held: Outcome, answer: Review) -> Outcome:
    by = {"settled_at": answer.reviewed_at, "settled_by": answer.reviewed_by}
    return held.model_copy(update={"result": "added", "reasons": (f"accepted: {answer.reason}",), **by})
