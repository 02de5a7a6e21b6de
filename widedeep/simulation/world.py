"""The store between two days: its apps, its users with what they have installed, and the effects that hold.

Apps and users are numbered by birth, and equally many come and go each day, so who lives follows from the day alone. Every effect
is a standard normal number that walks without growing: x ← √(1-ρ²) x + ρ ε. A drift of effects changes what is acquired, not
what is shown.

`N` apps ever, `A` live apps, `U` live users, `R` width of taste, `G` segments of users, `L` places for installed apps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from widedeep.simulation.population import (
    CATEGORIES,
    COUNTRIES,
    DEVICES,
    LANGUAGES,
    Apps,
    Float32s,
    Float64s,
    G,
    Int64s,
    R,
    Users,
    born_apps,
    born_users,
    joined,
    taste_of,
)
from widedeep.simulation.settings import SLOTS, SimulationSettings, generator

APPS_PER_DEVELOPER = 4
USERS_PER_SESSION = 4  # a user comes back every fourth day on average
FADING = 0.3  # of an app's life, at its end


@dataclass(frozen=True)
class Effects:
    """What holds for groups: tastes (·, R), and one number per developer, language, category or device."""

    category: Float64s
    country: Float64s
    developer: Float64s
    language: Float64s
    age: Float64s
    evening: Float64s
    weekend: Float64s
    size: Float64s


@dataclass(frozen=True)
class World:
    """One morning. `first_app` is the number of the oldest live app; `segments` (G, R) are the tastes of groups of users."""

    day: int
    first_app: int
    apps: Apps
    users: Users
    effects: Effects
    segments: Float64s

    def live(self) -> Int64s:
        """(A,) numbers of the live apps, oldest first."""
        return np.arange(self.first_app, len(self.apps.category))

    def tastes(self) -> Float64s:
        """(N, R) what each app is to a taste today."""
        return taste_of(self.effects.category, self.apps.category, self.apps.own)


def first_world(settings: SimulationSettings) -> World:
    """The store on the morning of day 0."""
    effects = _first_effects(settings)
    segments = generator(settings.seed, 0, "segments").standard_normal((G, R))
    rng = generator(settings.seed, 0, "apps")
    apps = born_apps(settings.apps, len(effects.developer), effects.category, segments, False, rng)
    count = settings.rows_per_day // SLOTS * USERS_PER_SESSION
    users = born_users(0, count, audience(settings, apps), 0, generator(settings.seed, 0, "users"))
    return World(0, 0, apps, users, effects, segments)


def next_world(settings: SimulationSettings, world: World, installed: Int64s) -> World:
    """The next morning. `installed` (U, L) is what the users have by then; the oldest leave, new ones come, effects walk."""
    day, users = world.day + 1, replace(world.users, installed=installed)
    arriving, leaving = _share(settings.new_apps, settings.apps), _share(settings.new_users, len(installed))
    rng = generator(settings.seed, day, "apps")
    newest = born_apps(arriving, len(world.effects.developer), world.effects.category, world.segments, True, rng)
    apps, first_app = joined(world.apps, newest), world.first_app + arriving
    rng = generator(settings.seed, day, "users")
    newcomers = born_users(int(users.number[-1]) + 1, leaving, audience(settings, apps), first_app, rng)
    return _walked(settings, World(day, first_app, apps, joined(users, newcomers, leaving), world.effects, world.segments))


def audience(settings: SimulationSettings, apps: Apps) -> Float32s:
    """(G, A) how much each segment comes across each live app: the oldest fade."""
    left = (np.arange(settings.apps) + 1) / settings.apps if settings.new_apps else np.ones(settings.apps)
    shown: Float32s = (apps.audience[-settings.apps :].T * np.minimum(1, left / FADING)).astype(np.float32)
    return shown


def _share(share: float, population: int) -> int:
    return max(1, round(share * population)) if share else 0


def _first_effects(settings: SimulationSettings) -> Effects:
    rng = generator(settings.seed, 0, "effects")
    numbers = (settings.apps // APPS_PER_DEVELOPER, len(LANGUAGES), *[len(CATEGORIES)] * 3, len(DEVICES))
    shapes = [(len(CATEGORIES), R), (len(COUNTRIES), R), *((number,) for number in numbers)]
    return Effects(*(rng.standard_normal(shape) for shape in shapes))


def _walked(settings: SimulationSettings, world: World) -> World:
    """All effects, a day older: the daily drift, then whatever drift fault begins today."""
    abrupt = [fault.size or 0.0 for fault in settings.faults if fault.kind == "drift" and fault.day == world.day]
    for step, share in enumerate((settings.drift, *abrupt)):
        rng = generator(settings.seed, world.day, f"walk {step}")
        effects = Effects(*(_step(x, share, rng) for x in vars(world.effects).values()))
        apps = replace(world.apps, own=_step(world.apps.own, share, rng), appeal=_step(world.apps.appeal, share, rng))
        world = replace(world, effects=effects, apps=apps)
    return world


def _step(x: Float64s, share: float, rng: np.random.Generator) -> Float64s:
    walked: Float64s = np.sqrt(1 - share**2) * x + share * rng.standard_normal(x.shape)
    return walked
