"""What is settled stays settled: every step looks first whether its span is, and then has nothing to do.

A promotion is a fact from the moment that the pointer moved. If a run died between that and its outcome, whoever comes next
writes the outcome from the move, whatever code, contract or deliveries say by then.
"""

import logging
from collections.abc import Callable
from datetime import date
from functools import wraps
from typing import Concatenate, ParamSpec

from widedeep.artifacts import Outcome, Progress
from widedeep.publishing import lanes
from widedeep.publishing.pointer import champion
from widedeep.publishing.promotions import promotion
from widedeep.steps.workplace import Workplace

P = ParamSpec("P")
log = logging.getLogger(__name__)


def unless_settled(
    step: Callable[Concatenate[Workplace, Progress, P], Progress],
) -> Callable[Concatenate[Workplace, Progress, P], Progress]:
    """The step, or no work at all if the span is settled by now."""

    @wraps(step)
    def guarded(place: Workplace, progress: Progress, /, *args: P.args, **kwargs: P.kwargs) -> Progress:
        return settled(place, progress) or step(place, progress, *args, **kwargs)

    return guarded


def settled(place: Workplace, progress: Progress) -> Progress | None:
    """The progress with how its span was settled in its lane, or None. A promotion without an outcome is settled here."""
    outcome = lanes.outcome(place.store, progress.lane, progress.span) or _from_pointer(place, progress)
    if outcome is None:
        return None
    log.info("%s is settled in lane %s: %s", outcome.span, outcome.lane, outcome.result)
    update = {"snapshot": outcome.snapshot, "release": outcome.release_id, "result": outcome.result}
    return progress.model_copy(update=update)


def _from_pointer(place: Workplace, progress: Progress) -> Outcome | None:
    pointer = champion(place.store, progress.lane)
    told = promotion(place.store, pointer) if pointer and pointer.span == progress.span else None
    if told is None:
        return None
    return lanes.settle(place.store, told.model_copy(update={"reasons": (*told.reasons, *put_aside(progress.set_aside))}))


def put_aside(spans: tuple[date, ...]) -> tuple[str, ...]:
    """Spans that wait for a person since too many candidates with them were rejected, as a reason of the outcome (fifth law)."""
    return (f"set aside for a person: {', '.join(map(str, spans))}",) if spans else ()
