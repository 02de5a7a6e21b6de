"""Days follow from the settings alone. What is acquired on a day is installed on the next: no row knows its own label.

`B` rows, `S` sessions, `K` slots, `U` live users, `L` places for installed apps. A session's rows stand together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.simulation.faults import as_delivered
from widedeep.simulation.logits import Sessions, logits
from widedeep.simulation.population import NOBODY, Float64s, Int64s, L, Users, drawn_apps, selected
from widedeep.simulation.rows import day_rows
from widedeep.simulation.settings import SLOTS, SimulationSettings, generator
from widedeep.simulation.world import World, audience, first_world, next_world

UNINSTALLED = 0.16  # share of what is installed that a visitor throws out again: lists keep the length that they begin with
VISITS_BY_HOUR = np.array([3, 2, 1, 1, 1, 2, 4, 6, 7, 7, 7, 8, 9, 8, 7, 7, 8, 10, 12, 14, 15, 14, 10, 6]) / 169


@dataclass(frozen=True)
class SimulatedDay:
    """A span as it is delivered. `probability` (B,): of an acquisition, as it was before any fault of logging or delivery."""

    day: int
    span: date
    rows: pa.Table
    probability: Float64s


class Simulation:
    """The days of a store, in memory."""

    def __init__(self, settings: SimulationSettings) -> None:
        self.settings = settings

    def days(self, count: int, first: int = 0) -> Iterator[SimulatedDay]:
        """`count` days from day `first` on, one at a time. Those before `first` are lived through, but not shown."""
        world = first_world(self.settings)
        for day in range(first + count):
            lived = _lived(self.settings, world)
            if day >= first:
                yield _shown(self.settings, world, lived)
            if day < first + count - 1:
                world = next_world(self.settings, world, _installed(self.settings, world, lived))

    def day(self, index: int) -> SimulatedDay:
        """One day. It costs all days before it: take several of them from `days`."""
        return next(self.days(1, index))


@dataclass(frozen=True)
class _Lived:
    """What happened: `visitors` (S,) are places among the live users, `probability` and `acquired` (S, K)."""

    visitors: Int64s
    sessions: Sessions
    probability: Float64s
    acquired: NDArray[np.bool_]


def _lived(settings: SimulationSettings, world: World) -> _Lived:
    rng = generator(settings.seed, world.day, "visits")
    count = settings.rows_per_day // SLOTS
    visitors = rng.choice(len(world.users.number), count, replace=False)
    hour = np.sort(rng.choice(len(VISITS_BY_HOUR), count, p=VISITS_BY_HOUR))
    second = np.sort(hour * 3600 + rng.integers(3600 - SLOTS, size=count))
    users = selected(world.users, visitors)
    sessions = Sessions(users, _shown_apps(settings, world, users, rng), second)
    weekday = (settings.start + timedelta(days=world.day)).weekday()
    probability = 1 / (1 + np.exp(-logits(settings, world, sessions, weekday)))
    return _Lived(visitors, sessions, probability, rng.random(probability.shape) < probability)


def _shown_apps(settings: SimulationSettings, world: World, users: Users, rng: np.random.Generator) -> Int64s:
    """(S, K) app numbers, none of them installed: what is shown is what the user comes across, in random order of slots."""
    installed = users.installed - world.first_app  # those that left the store are negative, as NOBODY is
    drawn = drawn_apps(audience(settings, world.apps), users.segment, installed, SLOTS, rng)
    return world.first_app + rng.permuted(drawn, axis=1)


def _installed(settings: SimulationSettings, world: World, lived: _Lived) -> Int64s:
    """(U, L) what is installed on the next morning: less what was thrown out, and then what was acquired."""
    before = lived.sessions.users.installed
    thrown_out = generator(settings.seed, world.day, "uninstalled").random(before.shape) < UNINSTALLED
    kept = np.where(thrown_out, NOBODY, before)
    together = np.concatenate([kept, np.where(lived.acquired, lived.sessions.shown, NOBODY)], axis=1)
    to_the_right = np.argsort(together != NOBODY, axis=1, kind="stable")[:, -L:]
    installed = world.users.installed.copy()
    installed[lived.visitors] = np.take_along_axis(together, to_the_right, 1)
    return installed


def _shown(settings: SimulationSettings, world: World, lived: _Lived) -> SimulatedDay:
    span = settings.start + timedelta(days=world.day)
    rows = as_delivered(day_rows(world, lived.sessions, lived.acquired, span), settings, world.day)
    return SimulatedDay(world.day, span, rows, lived.probability.ravel()[: rows.num_rows])
