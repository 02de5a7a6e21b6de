"""What belongs to an earlier day is taken in with the day: deliveries after "no data", and rows that came with a later day.

- Done again it changes nothing: rows that a span has already are not added twice.
- Beside `live`, a run learns the newest version of its span, also if that was not delivered as a whole.
"""

import logging
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from widedeep.artifacts import LIVE, Progress, Snapshot
from widedeep.errors import UsageError
from widedeep.publishing import lanes
from widedeep.publishing.snapshots import versions
from widedeep.steps import arrival
from widedeep.steps.requeueing import requeue
from widedeep.steps.workplace import Workplace

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


def ingest(place: Workplace, progress: Progress, not_before: datetime | None = None) -> Progress:
    """`arrival.ingest`, and before it what has come late for days that this lane has settled."""
    done = arrival.ingest(place, progress, not_before, partial(_take_in, place, progress))
    if not done.no_data:
        _after_no_data(place, progress)
    if done.snapshot and done.lane != LIVE:
        return done.model_copy(update={"snapshot": _newest(place, done.span)})
    return done


def _newest(place: Workplace, span: date) -> Snapshot:
    """The last version that is a whole: rows that were added beside a learnt version are in the version before, too."""
    settled = {o.snapshot.digest for o in lanes.outcomes(place.store, LIVE) if o.span == span and o.snapshot}
    added = {o.snapshot.digest for o in lanes.additions(place.store, LIVE) if o.snapshot and not o.replaces}
    return [s for s in versions(place.store, span) if s.digest not in added - settled][-1]


def _after_no_data(place: Workplace, progress: Progress) -> None:
    """Add days that were settled as "no data" and are delivered by now."""
    since = progress.span - timedelta(days=place.contract.late.days)
    added = {o.span for o in lanes.additions(place.store, progress.lane)}
    for outcome in lanes.outcomes(place.store, progress.lane):
        if outcome.result == "no data" and since <= outcome.span < progress.span and outcome.span not in added:
            try:
                requeue(place, outcome.span, f"delivered by the time of {progress.span}", progress.lane)
            except UsageError as error:
                log.info("%s: stays without data: %s", progress.span, error)


def _take_in(place: Workplace, progress: Progress, day: date, rows: "pa.Table") -> bool:
    """Make late rows a new version of their day; False if that can't take them: then they stay where they came, out of span."""
    try:
        done = requeue(place, day, f"{rows.num_rows} rows came with {progress.span}", progress.lane, rows)
    except UsageError as error:
        log.warning("%s: %d late rows of %s are not taken in: %s", progress.span, rows.num_rows, day, error)
        return False
    log.info("%s: %d late rows of %s: %s", progress.span, rows.num_rows, day, done.told)
    return True
