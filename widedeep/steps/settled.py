"""What is settled stays settled: every step looks first whether its span is, and then has nothing to do.

A promotion is a fact from the moment that the pointer moved. If a run died between that and its outcome, whoever comes next
writes the outcome from the pointer, whatever code, contract or deliveries say by then.
"""

import logging
from collections.abc import Callable
from datetime import date
from functools import wraps
from typing import Concatenate, ParamSpec

from widedeep.artifacts import Outcome, Progress
from widedeep.publishing import lanes, layout, releases, snapshots
from widedeep.steps.workplace import Workplace

P = ParamSpec("P")
log = logging.getLogger(__name__)


def unless_settled(
    step: Callable[Concatenate[Workplace, Progress, P], Progress],
) -> Callable[Concatenate[Workplace, Progress, P], Progress]:
    """The step, or no work at all if the span is settled by now."""

    @wraps(step)
    def guarded(place: Workplace, progress: Progress, /, *args: P.args, **kwargs: P.kwargs) -> Progress:
        return settled(place, progress.span, progress.lane, progress.set_aside) or step(place, progress, *args, **kwargs)

    return guarded


def settled(place: Workplace, span: date, lane: str, set_aside: tuple[date, ...] = ()) -> Progress | None:
    """How the span was settled in the lane, or None. A promotion without an outcome is settled here."""
    blob = place.store.get(layout.outcome(lane, span))
    outcome = Outcome.from_bytes(blob.data) if blob else _from_pointer(place, span, lane, set_aside)
    if outcome is None:
        return None
    log.info("%s is settled in lane %s: %s", span, lane, outcome.result)
    return Progress(span=span, lane=lane, snapshot=outcome.snapshot, release=outcome.release_id, result=outcome.result)


def _from_pointer(place: Workplace, span: date, lane: str, set_aside: tuple[date, ...]) -> Outcome | None:
    found = lanes.champion(place.store, lane)
    if found is None or found[0].span != span:
        return None
    pointer, _ = found
    manifest = releases.load_manifest(place.store, pointer.release_id, published=True, expected_sha256=pointer.manifest_sha256)
    own = next(part for part in manifest.lineage.learnt if part.span == span and part.part == "train")
    outcome = Outcome(
        lane=lane,
        span=span,
        result="promoted",
        reasons=(pointer.reason, *put_aside(set_aside)),
        snapshot=snapshots.version(place.store, own.span, own.version),
        release_id=pointer.release_id,
        learnt=manifest.lineage.learnt,
        settled_at=place.clock(),
        settled_by=place.actor,
    )
    return lanes.settle(place.store, outcome)


def put_aside(spans: tuple[date, ...]) -> tuple[str, ...]:
    """Spans that wait for a person since too many candidates with them were rejected, as a reason of the outcome (fifth law)."""
    return (f"set aside for a person: {', '.join(map(str, spans))}",) if spans else ()
