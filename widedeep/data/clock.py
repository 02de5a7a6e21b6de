"""Times that lie outside of their span, all by the same: a clock is wrong, a time zone was lost, or it is another day's file."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STRAY = 0.001  # share of the rows, at either end, whose times may be anything


def shift_told(times: pa.ChunkedArray, start: datetime, end: datetime) -> str | None:
    """By how much nearly all times are too late or too early, in words; None if they needn't be, or no one shift would do."""
    least, most = _shifts(times, start, end)
    if least > most or least <= timedelta(0) <= most:
        return None
    way, sign = ("late", "+") if least > timedelta(0) else ("early", "-")
    nearest, farthest = sorted((abs(least), abs(most)))
    if farthest - nearest > HOUR:
        return f"all times lie at least {_told(nearest)} too {way}"
    size = _roundest(nearest, farthest)
    told = f"all times lie {_told(size)} too {way}"
    if not size % DAY:
        return f"{told}, as the rows of another day do"
    if not size % (HOUR / 4) and size <= 14 * HOUR:  # a zone may differ by quarters of an hour
        hours, minutes = divmod(size // timedelta(minutes=1), 60)
        return f"{told}, as if local time of UTC{sign}{hours:02}:{minutes:02} had been taken for UTC"
    return f"{told}, as if a clock were wrong"


def _shifts(times: pa.ChunkedArray, start: datetime, end: datetime) -> tuple[timedelta, timedelta]:
    """The least and the most that nearly all times may have been shifted by, if they were inside before."""
    known = times.drop_null().cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    if not len(known):
        return timedelta(0), timedelta(0)
    first, last = np.quantile(known, [STRAY, 1 - STRAY], method="inverted_cdf").tolist()
    return timedelta(microseconds=last - _us(end)), timedelta(microseconds=first - _us(start))


def _roundest(nearest: timedelta, farthest: timedelta) -> timedelta:
    """A multiple of a day, an hour, a quarter or a minute between the two, as near to their middle as can be; else the middle."""
    middle = (nearest + farthest) / 2
    multiples = (unit * round(middle / unit) for unit in (DAY, HOUR, HOUR / 4, HOUR / 60))
    return next((found for found in multiples if found and nearest <= found <= farthest), middle)


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def _told(size: timedelta) -> str:
    days, (hours, minutes) = size // DAY, divmod(size % DAY // timedelta(minutes=1), 60)
    parts = (f"{number} {unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if number)
    return " ".join(parts) or f"{size.total_seconds():g} s"
