"""The true logit of each row is a function of the delivered columns and the day alone: nothing that decides is hidden.

`S` sessions, `K` slots, `N` apps ever, `A` live apps, `L` places for installed apps, `R` width of taste.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from widedeep.simulation.pairs import pair_effects
from widedeep.simulation.population import ENGLISH, SPOKEN, Float64s, Int64s, R, Users
from widedeep.simulation.settings import SLOTS, SimulationSettings
from widedeep.simulation.world import Effects, World

BASE = -2.5  # for a label rate of 12 to 20 %, by seed and day
MIDDLE_AGE, AGE_SPREAD, AGE_WIDTH = 32.0, 12.0, 10.0


@dataclass(frozen=True)
class Sessions:
    """The visits of a day. `users` are the visitors (S,), `shown` (S, K) app numbers by slot, `second` (S,) within the day."""

    users: Users
    shown: Int64s
    second: Int64s

    def hour(self) -> Int64s:
        return self.second // 3600


def logits(settings: SimulationSettings, world: World, sessions: Sessions, weekday: int) -> Float64s:
    """(S, K) logits of an acquisition; a decay fault draws them towards the base."""
    parts = (
        _taste(world, sessions),
        _pairs(settings, world, sessions),
        _app(world, sessions),
        _person(world, sessions),
        _moment(world.effects, world.apps.category[sessions.shown], sessions, weekday),
    )
    lost = [(1 - (f.size or 0)) ** max(0, world.day - f.day + 1) for f in settings.faults if f.kind == "decay"]
    signal: Float64s = np.sum(parts, axis=0)
    return BASE + float(np.prod(lost)) * signal


def _taste(world: World, sessions: Sessions) -> Float64s:
    """How near the app is to the mean of what is installed, and to the country's taste; it saturates."""
    tastes, users = world.tastes(), sessions.users
    owned = users.installed >= 0
    total = np.einsum("slr,sl->sr", tastes[users.installed], owned.astype(np.float64))
    mean = total / np.maximum(1, owned.sum(1))[:, None]
    wanted = 1.5 * mean + 0.25 * world.effects.country[users.country]
    nearness = np.einsum("sr,skr->sk", wanted, tastes[sessions.shown]) / np.sqrt(R)
    fits: Float64s = 1.4 * np.tanh(nearness)
    return fits


def _pairs(settings: SimulationSettings, world: World, sessions: Sessions) -> Float64s:
    """Planted pairs of each shown app with everything that is installed, summed. The last row of the table is NOBODY's."""
    effects = pair_effects(settings, world.day, np.arange(len(world.apps.category)), world.live())
    effects = np.vstack([effects, np.zeros(effects.shape[1])])
    shown = sessions.shown - world.first_app
    return np.stack([effects[sessions.users.installed, shown[:, k, None]].sum(1) for k in range(SLOTS)], axis=1)


def _app(world: World, sessions: Sessions) -> Float64s:
    """What an app is to everybody: its own appeal, its developer's, and its rating, of which only the range 3 to 4.5 matters."""
    rating = np.nan_to_num(world.apps.rating, nan=3.6)
    appeal = 0.35 * world.apps.appeal + 0.25 * world.effects.developer[world.apps.developer] + 0.8 * np.clip(rating - 4, -1, 0.5)
    shown: Float64s = appeal[sessions.shown]
    return shown


def _person(world: World, sessions: Sessions) -> Float64s:
    """Each category has its age, each device its patience with size, and some want their own language."""
    users, effects, shown = sessions.users, world.effects, sessions.shown
    category = world.apps.category[shown]
    best_age = MIDDLE_AGE + AGE_SPREAD * effects.age[category]
    off = (users.age[:, None] - best_age) / AGE_WIDTH
    age = np.nan_to_num(1.6 * np.exp(-(off**2)) - 0.8, nan=0.0)
    heavy = 1 / (1 + np.exp(-2 * (np.log(world.apps.size_mb[shown]) - 4)))
    patience = 0.6 * effects.size[users.device][:, None] * heavy
    abroad = 0.2 * (users.language != SPOKEN[users.country]) * (users.language == ENGLISH)
    speech: Float64s = abroad + 0.15 * effects.language[users.language]
    person: Float64s = age + patience + speech[:, None]
    return person


def _moment(effects: Effects, category: Int64s, sessions: Sessions, weekday: int) -> Float64s:
    """Position bias by slot, the evening and the weekend by category, and a weekly wave for all."""
    position = -0.9 * np.log2(np.arange(SLOTS) + 1) / np.log2(SLOTS)
    evening = np.exp(-(((sessions.hour() - 20) / 3.0) ** 2))[:, None] * effects.evening[category]
    weekend = effects.weekend[category] if weekday in {5, 6} else 0.0
    moment: Float64s = position + 0.3 * evening + 0.25 * weekend + 0.12 * np.cos(2 * np.pi * (weekday - 5) / 7)
    return moment
