"""A person says what becomes of a span whose data changed drastically (sixth law); the chain does not wait for it.

The answer is stored under the findings that it judges: the first one stands, and whoever meets the same rows and findings again,
such as a replay, finds it. What is accepted is learnt by the next candidate; what is not is never learnt.
"""

import logging
from collections.abc import Iterable
from datetime import date
from typing import Literal

from widedeep.artifacts import LIVE, Outcome, Review, Validation
from widedeep.errors import UsageError
from widedeep.publishing import lanes, layout
from widedeep.publishing.store import ObjectStore
from widedeep.steps.workplace import Workplace, stored

log = logging.getLogger(__name__)

Answer = Literal["accept", "reject"]


def review_of(store: ObjectStore, validation: Validation) -> Review | None:
    """What was answered to these findings, if anybody did."""
    key = layout.review(validation.span, validation.content_digest())
    blob = store.get(key)
    return Review.from_bytes(blob.data, f"{store.url}/{key}") if blob else None


def accepted(store: ObjectStore, validation: Validation) -> bool:
    found = review_of(store, validation)
    return found is not None and found.answer == "accept"


def open_reviews(place: Workplace, lane: str = LIVE) -> tuple[Outcome, ...]:
    """The lane's spans that wait for an answer, in span order."""
    return tuple(o for o in _for_review(lanes.outcomes(place.store, lane)) if review_of(place.store, judged(place, o)) is None)


def _for_review(outcomes: Iterable[Outcome]) -> Iterable[Outcome]:
    return (o for o in outcomes if o.result == "held" and o.release_id is None)


def awaited_review(place: Workplace, span: date, lane: str = LIVE) -> Outcome:
    """The outcome of a span that was held before anything was trained on it, answered or not.

    Raises:
        UsageError: it was not.
    """
    key = layout.outcome(lane, span)
    blob = place.store.get(key)
    found = Outcome.from_bytes(blob.data, f"{place.store.url}/{key}") if blob else None
    if found is None or not list(_for_review([found])):
        got = f"is settled as {found.result}" if found else "is not settled"
        waiting = ", ".join(str(o.span) for o in open_reviews(place, lane)) or "none"
        raise UsageError(f"span {span} of lane {lane}: {got}; wanted one that is held for a review. Waiting: {waiting}.")
    return found


def judged(place: Workplace, held: Outcome) -> Validation:
    """The findings that a span is held for."""
    key = str(held.validation)
    return Validation.from_bytes(stored(place.store, key), f"{place.store.url}/{key}")


def question(place: Workplace, held: Outcome) -> str:
    """What changed, by how much, and where the report is, in Markdown."""
    validation = judged(place, held)
    rows = held.snapshot.rows if held.snapshot else 0
    # Fenced, since a message quotes values that somebody delivered, and they are no Markdown.
    lines = [finding.message.replace("`", "'") for finding in validation.findings if finding.severity != "rows"]
    report = f"{place.store.url}/{layout.beside(str(held.validation), 'docs/span.html')}"
    return (
        f"Span {held.span} of lane {held.lane} ({rows:,} rows) is unlike those that the champion learnt:\n\n```text\n"
        + "\n".join(lines)
        + f"\n```\n\nIts report: {report} (`widedeep validate --span {held.span}` shows it, too).\n\n"
        "Accept: the next candidate learns these rows. Reject: they are never learnt. Later days go on meanwhile."
    )


def review(place: Workplace, span: date, answer: Answer, reason: str, lane: str = LIVE) -> Review:
    """Answer, and let an accepted span be learnt. Done again with the same answer, it finds its record.

    Raises:
        UsageError: the span does not wait for a review, the reason is blank, or another answer was given before.
    """
    held = awaited_review(place, span, lane)
    because, validation = place.because(reason), judged(place, held)
    made = Review(
        span=span,
        snapshot_digest=held.snapshot.digest if held.snapshot else "",
        validation_sha256=validation.content_digest(),
        answer=answer,
        reason=because.reason,
        reviewed_at=because.now,
        reviewed_by=because.by,
    )
    place.store.create(layout.review(span, made.validation_sha256), made.to_bytes())
    standing = review_of(place.store, validation) or made
    if standing.answer != answer:
        raise UsageError(
            f"span {span}: {standing.reviewed_by} answered {standing.answer} on {standing.reviewed_at:%Y-%m-%d %H:%M} "
            f"({standing.reason}); the first answer stands. To learn repaired rows of it: `widedeep requeue --span {span}`."
        )
    if answer == "accept":
        lanes.add(place.store, _added(held, standing))
    log.info("%s: %s by %s: %s", span, standing.answer, standing.reviewed_by, standing.reason)
    return standing


def _added(held: Outcome, answer: Review) -> Outcome:
    told = {"settled_at": answer.reviewed_at, "settled_by": answer.reviewed_by}
    return held.model_copy(update={"result": "added", "reasons": (f"accepted: {answer.reason}",), **told})
