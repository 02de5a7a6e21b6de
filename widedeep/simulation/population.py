"""Who is born, and as what. An app's place in front of users is drawn at its birth and only fades later on.

`N` apps ever, `A` live apps, `U` users, `R` width of taste, `G` segments of users, `L` places for installed apps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Float32s = NDArray[np.float32]
Float64s = NDArray[np.float64]

CATEGORIES = (
    "books",
    "business",
    "education",
    "finance",
    "fitness",
    "food",
    "games",
    "music",
    "news",
    "photo",
    "social",
    "travel",
)
COUNTRIES = ("BR", "DE", "FR", "GB", "IN", "JP", "MX", "US")
COUNTRY_SHARES = np.array([0.10, 0.08, 0.07, 0.10, 0.25, 0.08, 0.07, 0.25])
LANGUAGES = ("de", "en", "es", "fr", "hi", "ja", "pt")
SPOKEN = np.array([6, 0, 3, 1, 4, 5, 2, 1])  # by country
ENGLISH = 1
FOREIGN = 0.15  # share of users whose device speaks English, wherever they are
DEVICES = ("budget phone", "flagship phone", "old tablet", "phone", "tablet")
DEVICE_SHARES = np.array([0.30, 0.15, 0.10, 0.35, 0.10])
AGE_UNKNOWN, UNRATED, UNRATED_AT_BIRTH = 0.15, 0.03, 0.5

R, G, L = 6, 24, 20
INSTALLED_AT_FIRST = 9.5  # on average; 3 % of the users begin with nothing
NOBODY = -1
BLOCK = 4096  # users that draw at a time: the waiting times of all of them together would not fit into memory


@dataclass(frozen=True)
class Apps:
    """Entry a is app number a; all apps ever are kept, since users keep them. `rating` is NaN while nobody rated.

    audience: (N, G) how much each segment comes across the app while it doesn't fade.
    own, appeal: (N, R) and (N,) its own effects, as of the day.
    """

    category: Int64s
    developer: Int64s
    size_mb: Float64s
    rating: Float64s
    audience: Float64s
    own: Float64s
    appeal: Float64s


@dataclass(frozen=True)
class Users:
    """Oldest first. `installed` (U, L) app numbers, the last one at the right, NOBODY to the left of the first."""

    number: Int64s
    segment: Int64s
    country: Int64s
    language: Int64s
    device: Int64s
    age: Float64s
    installed: Int64s


T = TypeVar("T", Apps, Users)


def joined(old: T, new: T, leaving: int = 0) -> T:
    """The old ones, less the `leaving` oldest, then the new ones."""
    return type(old)(*(np.concatenate([x[leaving:], y]) for x, y in zip(vars(old).values(), vars(new).values(), strict=True)))


def selected(users: Users, places: Int64s) -> Users:
    """Some of the users, in the order of `places`."""
    return Users(*(x[places] for x in vars(users).values()))


def taste_of(category_tastes: Float64s, category: Int64s, own: Float64s) -> Float64s:
    """(N, R) what an app is to a taste: its category, and something of its own."""
    tastes: Float64s = 0.8 * category_tastes[category] + 0.6 * own
    return tastes


def born_apps(
    count: int, developers: int, category_tastes: Float64s, segments: Float64s, new: bool, rng: np.random.Generator
) -> Apps:
    """`segments` (G, R) are the tastes by which users come across apps."""
    category = rng.integers(len(CATEGORIES), size=count)
    developer = (developers * rng.random(count) ** 2).astype(np.int64)  # a few have many apps
    own, appeal = rng.standard_normal((count, R)), rng.standard_normal(count)
    popularity = (0.002 + rng.random(count)) ** -0.8  # near Zipf's law, by a random rank
    nearness = np.einsum("ar,gr->ag", taste_of(category_tastes, category, own), segments)
    size_mb: Float64s = np.exp(3.5 + 1.1 * rng.standard_normal(count)).round(1)
    rating: Float64s = (5 - rng.gamma(2.5, 0.4, count)).clip(1, 5).round(1)
    unrated = rng.random(count) < (UNRATED_AT_BIRTH if new else UNRATED)
    audience = popularity[:, None] * np.exp(0.6 * nearness)
    return Apps(category, developer, size_mb, np.where(unrated, np.nan, rating), audience, own, appeal)


def born_users(first: int, count: int, audience: Float32s, first_app: int, rng: np.random.Generator) -> Users:
    """Users number `first` and on. `audience` (G, A) is that of the live apps, of which `first_app` is the oldest."""
    segment = rng.integers(G, size=count)
    country = rng.choice(len(COUNTRIES), count, p=COUNTRY_SHARES)
    language = np.where(rng.random(count) < FOREIGN, ENGLISH, SPOKEN[country])
    device = rng.choice(len(DEVICES), count, p=DEVICE_SHARES)
    age = np.clip(np.round(13 + rng.gamma(2.2, 9.0, count)), 13, 90)
    age[rng.random(count) < AGE_UNKNOWN] = np.nan
    drawn = drawn_apps(audience, segment, np.full((count, 1), NOBODY), L, rng)[:, ::-1] + first_app
    kept = np.arange(L)[::-1] < np.minimum(rng.poisson(rng.gamma(2, INSTALLED_AT_FIRST / 2, count)), L)[:, None]
    return Users(np.arange(first, first + count), segment, country, language, device, age, np.where(kept, drawn, NOBODY))


def drawn_apps(audience: Float32s, segment: Int64s, excluded: Int64s, count: int, rng: np.random.Generator) -> Int64s:
    """(S, count) places among the A live apps for S users with `segment` (S,), without repetition, the likeliest to come first.

    `excluded` (S, ·) are places that are not drawn; a negative one excludes nothing.
    """
    blocks = range(0, len(segment), BLOCK)
    drawn = [_drawn(audience, segment[i : i + BLOCK], excluded[i : i + BLOCK], count, rng) for i in blocks]
    return np.concatenate(drawn) if drawn else np.empty((0, count), np.int64)


def _drawn(audience: Float32s, segment: Int64s, excluded: Int64s, count: int, rng: np.random.Generator) -> Int64s:
    """By exponential waiting times, the shortest first (Efraimidis & Spirakis 2006)."""
    waits = rng.standard_exponential((len(segment), audience.shape[1]), np.float32) / audience[segment]
    rows, columns = np.nonzero(excluded >= 0)
    waits[rows, excluded[rows, columns]] = np.inf
    nearest = np.argpartition(waits, count, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(waits, nearest, 1), axis=1, kind="stable")
    return np.take_along_axis(nearest, order, 1)
