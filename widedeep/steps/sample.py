"""The sample's source: puts weeks of MovieLens-100k where a team's own job would put its daily batches."""

import io
import logging
from datetime import date

from widedeep.errors import UsageError
from widedeep.publishing import layout
from widedeep.steps.workplace import Workplace

log = logging.getLogger(__name__)


def deliver_sample(place: Workplace, first: date, last: date | None = None) -> tuple[date, ...]:
    """Deliver the sample's spans from `first` to `last` (default: only `first`); a delivered span is left as it is.

    Returns the spans that lie in the landing area now; empty when the sample's 31 spans are used up.

    Raises:
        UsageError: the settings name no sample, or `first` lies before it.
    """
    import pyarrow.parquet as pq

    from widedeep.data.movielens import WEEKS, deliveries

    settings = place.settings
    if settings.sample is None or settings.history_start is None:
        raise UsageError("no sample here: wanted WIDEDEEP_SAMPLE and WIDEDEEP_HISTORY_START. `make shell` sets both.")
    index = (first - settings.history_start).days
    if index < 0:
        raise UsageError(f"span {first}: the sample begins with {settings.history_start}")
    wanted = range(index, min(((last or first) - settings.history_start).days + 1, WEEKS))
    delivered = []
    for span, rows in deliveries(settings.sample, settings.history_start, wanted):
        file = io.BytesIO()
        pq.write_table(rows, file)
        key = layout.delivery(place.contract.delivery.prefix, span) + "ratings.parquet"
        new = place.store.create(key, file.getvalue())
        log.info("%s: %d rows %s as %s/%s", span, rows.num_rows, "delivered" if new else "were delivered", place.store.url, key)
        delivered.append(span)
    return tuple(delivered)
