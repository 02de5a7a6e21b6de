"""Rows of an earlier day that arrive with a later one. A row belongs to the day (UTC) of its time."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from widedeep.data.contract import Contract
from widedeep.data.tables import MOMENT


def earliest(contract: Contract, span: date) -> datetime:
    """The first moment that a row of the span may have: before its day where late rows are kept, or clocks may differ."""
    kept = contract.late.days if contract.late.rows == "keep" else 0
    return _start(span) - timedelta(days=kept) - contract.checks.clock_skew


def late(times: pa.ChunkedArray, contract: Contract, span: date) -> NDArray[np.bool_]:
    """(B,) whether a row is of a day before the span, and not too late for the contract."""
    first = pa.scalar(_start(span) - timedelta(days=contract.late.days), MOMENT)
    last = pa.scalar(_start(span) - contract.checks.clock_skew, MOMENT)
    between = pc.and_(pc.greater_equal(times, first), pc.less(times, last))
    return np.asarray(pc.fill_null(between, False).to_numpy(), bool)


def own_rows(table: pa.Table, contract: Contract, span: date, take: Callable[[date, pa.Table], bool]) -> pa.Table:
    """The rows without those that `take` takes: it gets each earlier day's late ones, where they are to make a new version."""
    own, late = late_rows(table, contract, span)
    left = [rows for day, rows in late.items() if not take(day, rows)]
    return pa.concat_tables([own, *left])


def late_rows(table: pa.Table, contract: Contract, span: date) -> tuple[pa.Table, dict[date, pa.Table]]:
    """The rows of the span, and by day those that make a new version of an earlier one, at most `late.days` earlier.

    What is left to the span may still lie outside of it; the checks say so.
    """
    if contract.late.rows != "re-version" or contract.time not in table.column_names or table[contract.time].type != MOMENT:
        return table, {}
    days = pc.fill_null(pc.cast(pc.floor_temporal(table[contract.time], unit="day"), pa.timestamp("s", tz="UTC")), _start(span))
    inside = pc.greater_equal(table[contract.time], pa.scalar(earliest(contract, span), MOMENT))
    first = pa.scalar(_start(span) - timedelta(days=contract.late.days), MOMENT)
    moved = pc.and_(pc.invert(pc.fill_null(inside, True)), pc.greater_equal(days, first))
    found = {day: table.filter(pc.and_(moved, pc.equal(days, day))) for day in pc.unique(days.filter(moved)).to_pylist()}
    return table.filter(pc.invert(moved)), {day.date(): rows for day, rows in sorted(found.items())}


def _start(span: date) -> datetime:
    return datetime.combine(span, time(), UTC)
