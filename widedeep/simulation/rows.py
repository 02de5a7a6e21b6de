"""A day's visits as a table: one row per shown app, `settings.COLUMNS` in order, plain types.

`B` rows, `S` sessions, `K` slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from widedeep.data.tables import MOMENT
from widedeep.simulation.logits import Sessions
from widedeep.simulation.population import CATEGORIES, COUNTRIES, DEVICES, LANGUAGES, Float64s, Int64s
from widedeep.simulation.settings import COLUMNS, SLOTS
from widedeep.simulation.world import World

ROWS_APART = 10**9  # row ids of two days never meet


def day_rows(world: World, sessions: Sessions, acquired: NDArray[np.bool_], span: date) -> pa.Table:
    """(B,) rows in order of time, then slot."""
    users, apps, shown = sessions.users, world.apps, sessions.shown.ravel()
    session = np.repeat(np.arange(len(sessions.second)), SLOTS)
    slot = np.tile(np.arange(SLOTS), len(sessions.second))
    names = _names("app-", 5, np.arange(len(apps.category)))
    columns = {
        "row_id": pa.array(world.day * ROWS_APART + np.arange(len(shown))),
        "event_time": _moments(span, sessions.second[session] + slot),
        "user_id": _names("user-", 8, users.number).take(session),
        "age": _numbers(users.age).cast(pa.int64()).take(session),
        "country": _words(COUNTRIES, users.country[session]),
        "language": _words(LANGUAGES, users.language[session]),
        "device": _words(DEVICES, users.device[session]),
        "installed_apps": _lists(names, users.installed[session]),
        "app_id": names.take(shown),
        "category": _words(CATEGORIES, apps.category[shown]),
        "developer": _names("dev-", 4, apps.developer[shown]),
        "size_mb": pa.array(apps.size_mb[shown]),
        "rating": _numbers(apps.rating[shown]),
        "hour": pa.array(sessions.hour()[session]),
        "weekday": pa.array(np.full(len(shown), span.weekday())),
        "slot": pa.array(slot + 1),
        "acquired": pa.array(acquired.ravel().astype(np.int64)),
    }
    return pa.table(columns).select(COLUMNS)


def _moments(span: date, second: Int64s) -> pa.Array:
    midnight_us = int(np.datetime64(span, "us").astype(np.int64))
    return pa.array(midnight_us + second * 1_000_000).cast(MOMENT)


def _numbers(values: Float64s) -> pa.Array:
    """NaN is null."""
    return pa.array(values, from_pandas=True)


def _words(words: Sequence[str], codes: Int64s) -> pa.Array:
    return pa.array(words).take(codes)


def _names(prefix: str, digits: int, numbers: Int64s) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pc.utf8_lpad(pa.array(numbers).cast(pa.string()), digits, "0"), "")


def _lists(names: pa.Array, numbers: Int64s) -> pa.Array:
    """Lists of names; negative numbers are left out."""
    there = numbers >= 0
    offsets = np.concatenate([[0], np.cumsum(there.sum(1))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names.take(numbers[there]))
