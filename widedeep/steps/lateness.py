"""What belongs to an earlier day is taken in with the day: deliveries after "no data" or in place of another, and rows that came
with a later day.

- A run of a settled day that was delivered again takes that in, too, and says who learnt the version before.
- Done again it changes nothing: rows that a span has already are not added twice.
- Beside `live`, a run learns the newest version of its span, also if that was not delivered as a whole, or its files are gone.
"""

import logging
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING

from widedeep.artifacts import LIVE, Backfill, OnHold, Progress, Snapshot
from widedeep.errors import OrderError, UnknownOutcomeError, UsageError
from widedeep.publishing import lanes
from widedeep.publishing.findings import stored_findings
from widedeep.publishing.snapshots import rows_stand, versions
from widedeep.steps import arrival, delivery
from widedeep.steps.redelivery import days_before, is_other, redelivered_told, remember, was_taken_in
from widedeep.steps.requeueing import requeue
from widedeep.steps.reviewing import accepted
from widedeep.steps.workplace import Workplace

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


def start(
    place: Workplace,
    span: date,
    lane: str | None = None,
    *,
    backfill: Backfill | None = None,
    on_hold: OnHold = "drop",
    run_id: str | None = None,
) -> Progress:
    """`arrival.start`; where live has settled the span, and it was delivered again, that is taken in and told of."""
    progress = arrival.start(place, span, lane, backfill=backfill, on_hold=on_hold, run_id=run_id)
    if progress.over and progress.lane == LIVE:
        _again(place, progress)
    return progress


def _again(place: Workplace, progress: Progress) -> None:
    day = progress.span
    if is_other(place, day, delivery.look(place, day)) and _is_there(place, day):
        _requeue(place, progress, day, "delivered again by the time of another run of it")
    elif told := redelivered_told(place, LIVE, day):
        log.warning("%s: %s", day, told)


def ingest(place: Workplace, progress: Progress, not_before: datetime | None = None) -> Progress:
    """`arrival.ingest`, and before it what has come late for days that this lane has settled."""
    seen = delivery.look(place, progress.span)
    done = arrival.ingest(place, progress, not_before, partial(_take_in, place, progress))
    if not done.no_data:
        _after_no_data(place, progress)
    if progress.lane == LIVE:
        _after_another_delivery(place, progress)
        remember(place, progress.span, seen, done.snapshot)
    if done.lane != LIVE and (done.snapshot or (done.no_data and _has_rows(place, done.span))):
        return done.model_copy(update={"snapshot": _newest(place, done.span), "no_data": None})
    return done


def _has_rows(place: Workplace, span: date) -> bool:
    """Whether a version of the span can be read, although its files are gone from where they were delivered."""
    return any(rows_stand(place.store, snapshot) for snapshot in versions(place.store, span))


def _newest(place: Workplace, span: date) -> Snapshot:
    """The last version that is a whole, and not refused: rows added beside a learnt version are in the version before, too."""
    settled = {o.snapshot.digest for o in lanes.outcomes(place.store, LIVE) if o.span == span and o.snapshot}
    added = {o.snapshot.digest for o in lanes.additions(place.store, LIVE) if o.snapshot and not o.replaces}
    whole = [s for s in versions(place.store, span) if s.digest not in added - settled]
    judged = [found for _, found in stored_findings(place.store, span)]
    refused = [f.snapshot for f in judged if f.critical or (f.drastic and not accepted(place.store, f))]
    return next((s for s in reversed(whole) if s not in refused), whole[-1])


def _after_no_data(place: Workplace, progress: Progress) -> None:
    """Add days that were settled as "no data" and are delivered by now, or let them wait for a person."""
    taken = {o.span for o in (*lanes.additions(place.store, progress.lane), *lanes.held(place.store, progress.lane))}
    empty = {o.span for o in lanes.outcomes(place.store, progress.lane) if o.result == "no data"} - taken
    for day in days_before(place, progress.lane, progress.span):
        if day in empty and not (progress.lane == LIVE and was_taken_in(place, day)) and _is_there(place, day):
            _requeue(place, progress, day, f"delivered by the time of {progress.span}")


def _after_another_delivery(place: Workplace, progress: Progress) -> None:
    """Make a new version of each settled day that was delivered again: what of it nobody has learnt is learnt."""
    for day in days_before(place, progress.lane, progress.span):
        if is_other(place, day, delivery.look(place, day)) and _is_there(place, day):
            _requeue(place, progress, day, f"delivered again by the time of {progress.span}")


def _is_there(place: Workplace, day: date) -> bool:
    """Whether the day's delivery is complete: what has begun to come is looked for by the next day's run again."""
    seen = delivery.look(place, day)
    return bool(seen.files) and seen.missing is None


def _requeue(place: Workplace, progress: Progress, day: date, reason: str) -> None:
    """Nothing that is wrong with another day's rows stops this one."""
    try:
        done = requeue(place, day, reason, progress.lane)
        log.log(logging.WARNING if done.news else logging.INFO, "%s: %s", progress.span, done.told)
    except (UsageError, OrderError, UnknownOutcomeError) as error:
        log.warning("%s: %s is %s, and not taken in: %s", progress.span, day, reason, error)


def _take_in(place: Workplace, progress: Progress, day: date, rows: "pa.Table") -> bool:
    """Make late rows a new version of their day; False if that can't take them: then they stay where they came, out of span."""
    try:
        done = requeue(place, day, f"{rows.num_rows} rows came with {progress.span}", progress.lane, rows)
    except UsageError as error:
        log.warning("%s: %d late rows of %s are not taken in: %s", progress.span, rows.num_rows, day, error)
        return False
    log.info("%s: %d late rows of %s: %s", progress.span, rows.num_rows, day, done.told)
    return True
