"""Whose turn it is: in each lane, spans are learnt and settled in date order (first law).

A run looks at one span only, the lane's first unsettled one. Were it to look at all earlier ones, two could wait for each other.
"""

from collections.abc import Iterable
from datetime import date, timedelta

from widedeep.artifacts import LIVE, Progress
from widedeep.errors import OrderError
from widedeep.publishing import lanes
from widedeep.publishing.claims import claimed_elsewhere, claims, claims_after
from widedeep.steps.workplace import Workplace


def turn(place: Workplace, lane: str, span: date) -> date | None:
    """The span that has to be settled first, or None: it is this one's turn."""
    return lanes.unsettled_before(place.store, lane, span, _begins(place) if lane == LIVE else None)


def _begins(place: Workplace) -> date | None:
    """The first span that is ever scheduled: it is the live lane's first, unless something was learnt before."""
    start = place.settings.start_date
    return start - timedelta(days=place.contract.label_delay) if start else None


def check_turn(place: Workplace, progress: Progress) -> None:
    """Raise OrderError if a span of the lane before this one is unsettled: training would leave it out for ever."""
    if first := turn(place, progress.lane, progress.span):
        raise OrderError(unsettled_told(progress.lane, first, progress.span))


def unsettled_told(lane: str, first: date, span: date) -> str:
    """What is wrong when nobody works on the span that is first, and what to do about it."""
    return (
        f"span {first} of lane {lane} is unsettled: clear or run {first} first, then this one ({span}). "
        "Runs of later spans don't start again by themselves; clear them, too."
    )


def comes_in_turn(place: Workplace) -> bool:
    """Whether even the delivery of a span is taken in only in its turn: late rows in it change earlier spans."""
    return place.contract.late.rows == "re-version"


def claimants(place: Workplace, lane: str, span: date) -> tuple[str, ...]:
    """Ids of the runs that have said that they work on this span."""
    return tuple(sorted(found.run_id for found in claims(place.store, lane, span)))


def claimants_elsewhere(place: Workplace, runs: Iterable[str], lane: str, span: date) -> tuple[str, ...]:
    """Those of the runs that have said that they work on another span, or in another lane."""
    return claimed_elsewhere(place.store, runs, lane, span)


def later_claimants(place: Workplace, span: date) -> tuple[str, ...]:
    """Ids of the runs that have said that they work on a later span, of any lane."""
    return tuple(sorted(found.run_id for found in claims_after(place.store, span)))
