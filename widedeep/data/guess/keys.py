"""Which columns are the user, the item, the time and the label, each with the reason; or that it can't be told, and why.

A name alone is not believed: the column must also have the type, be there in all rows but a few, and vary as it should.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from widedeep.data.guess import names
from widedeep.data.guess.sample import Sample
from widedeep.data.guess.seen import Columns, Seen

TOLERATED = 0.01  # share of rows without a user, time or label that a span may have: the contract's default tolerance
INSIDE = 0.95  # share of the rows that lie on their span's day; clocks differ and days are cut in other time zones
FEWEST_VALUES = 10  # of users or items: a column of fewer is a group of them
SHARED = 0.5  # share of rows whose user, or item, has another row; else there is nothing to know of them
STEPS = 10  # values of a rating, at most
LOOKS_LIKE_TIME = r"[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{2,4}.*"
EPOCHS = (1e9, 2e18)  # seconds to nanoseconds since 1970


@dataclass(frozen=True)
class Choice:
    """A column and why it was taken; without a column, what somebody has to decide."""

    column: str | None
    why: str
    at_least: float | None = None


@dataclass(frozen=True)
class Keys:
    """The columns with a special meaning."""

    user: Choice
    time: Choice
    item: Choice
    label: Choice

    @property
    def named(self) -> set[str | None]:
        return {self.user.column, self.time.column, self.item.column, self.label.column}

    @property
    def required(self) -> set[str | None]:
        """Those that every row must have."""
        return self.named - {self.item.column}

    @property
    def undecided(self) -> tuple[str, ...]:
        """Places of the contract that somebody has to fill in."""
        return tuple(place for place in ("user", "time", "label") if getattr(self, place).column is None)


def keys_of(columns: Columns, sample: Sample) -> Keys:
    user, time = user_of(columns), time_of(columns, sample)
    item = item_of(columns, user)
    return Keys(user, time, item, label_of(columns, (user.column, time.column, item.column)))


def user_of(columns: Columns) -> Choice:
    """Who the rows are about: a row's user has other rows, too."""
    for hints in (names.USER, names.VISITOR):
        if found := _best_named(_entities(columns), hints):
            return Choice(found.name, f"guessed by its name: {_how_shared(found)}")
    candidates = [seen for seen in _entities(columns) if not names.named(seen.name, names.ITEM) and not _moment(seen)]
    if len(candidates) == 1:
        return Choice(candidates[0].name, f"guessed: {_how_shared(candidates[0])}, which no other column does so")
    return Choice(None, f"which column tells users apart? {_listed(candidates)}")


def item_of(columns: Columns, user: Choice) -> Choice:
    others = [seen for seen in _entities(columns) if seen.name != user.column]
    if found := _best_named(others, names.ITEM):
        return Choice(found.name, f"guessed by its name: {_how_shared(found)}")
    return Choice(None, f"which column tells items apart could not be told: {_listed(others)}")


def time_of(columns: Columns, sample: Sample) -> Choice:
    moments = [s for s in columns.values() if s.kind == "timestamp" and s.known and s.null_share <= TOLERATED]
    inside = {seen.name: _share_inside(seen, sample) for seen in moments}
    fitting = [seen for seen in moments if inside[seen.name] is None or (inside[seen.name] or 0) >= INSIDE]
    strongest = _strongest(fitting, names.TIME)
    best = strongest[0] if len(strongest) == 1 else None
    if best is None and moments and not fitting:
        said = ", ".join(f"{seen.name!r} {inside[seen.name]:.0%} of the rows, e.g. {_example(seen)}" for seen in moments)
        return Choice(None, f"no column has times on its span's day (UTC): {said}")
    if best is None:
        return Choice(None, f"when did a row happen? {_unread_times(columns) if not moments else _listed(fitting)}")
    hint = "named like a time" if names.named(best.name, names.TIME) else "a timestamp"
    share = inside[best.name]
    on_its_day = "" if share is None else f"; {share:.1%} of the rows lie on their folder's day (UTC)"
    others = [seen.name for seen in moments if seen is not best]
    return Choice(best.name, f"guessed: {hint}{on_its_day}" + (f"; also times: {', '.join(others)}" if others else ""))


def label_of(columns: Columns, taken: Iterable[str | None]) -> Choice:
    """The answer that is to be predicted: 0/1 or boolean, or a rating that counts from some value on."""
    there = [s for s in columns.values() if s.name not in set(taken) and s.null_share <= TOLERATED and not s.constant]
    binary = [seen for seen in there if _is_binary(seen)]
    named = [seen for seen in binary if names.named(seen.name, names.LABEL)]
    best = _strongest(named, names.LABEL)
    if len(best) == 1:
        return Choice(best[0].name, f"guessed by its name and its two values; {_rate(best[0]):.1%} of the rows are positive")
    ratings = [s for s in there if s.kind in {"integer", "number"} and s.different <= STEPS and names.named(s.name, names.RATING)]
    if not binary and len(ratings) == 1:
        return _rated(ratings[0])
    if len(binary) == 1:
        return Choice(binary[0].name, f"guessed: no other column has two values, 0 and 1; {_rate(binary[0]):.1%} are positive")
    return Choice(
        None, f"which column is to be predicted? {_unread_labels(there) if not binary + ratings else _listed(binary + ratings)}"
    )


def positives(seen: Seen, at_least: float | None) -> NDArray[np.float64]:
    """(N,) whether each row is positive: 0, 1, or NaN where there is no label."""
    numbers = seen.values.cast(pa.float64())
    positive = pc.greater_equal(numbers, at_least if at_least is not None else 0.5).cast(pa.float64())
    return np.asarray(pc.fill_null(positive, np.nan).to_numpy(zero_copy_only=False), np.float64)


def _entities(columns: Columns) -> list[Seen]:
    """Columns of names that many rows share."""
    return [
        seen
        for seen in columns.values()
        if seen.kind in {"string", "integer"}
        and seen.null_share <= TOLERATED
        and seen.different >= FEWEST_VALUES
        and seen.shared >= SHARED
        and seen.different <= seen.known * SHARED
    ]


def _moment(seen: Seen) -> bool:
    return bool(names.named(seen.name, names.MOMENT)) or (seen.kind == "integer" and not names.is_id(seen.name))


def _best_named(candidates: Iterable[Seen], hints: set[str]) -> Seen | None:
    """By name; of equally named ones that with most values. A number that is no id is a quantity, such as a user's age."""
    found = [s for s in candidates if (how := names.named(s.name, hints)) and (how == names.EXACTLY or names.is_id(s.name))]
    return max(found, key=lambda s: (names.named(s.name, hints), s.different), default=None)


def _strongest(candidates: Sequence[Seen], hints: set[str]) -> list[Seen]:
    strength = max((names.named(seen.name, hints) for seen in candidates), default=0)
    return [seen for seen in candidates if names.named(seen.name, hints) == strength]


def _share_inside(seen: Seen, sample: Sample) -> float | None:
    """Share of the rows whose time lies on the day of their folder; None without such folders."""
    spans = [span for span in sample.spans if span is not None]
    if not spans:
        return None
    starts = np.array([_microseconds(span) for span in spans])[sample.day]
    moments = pc.fill_null(seen.values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    day = timedelta(days=1) // timedelta(microseconds=1)
    return float(np.mean((moments >= starts) & (moments < starts + day)))


def _microseconds(span: date) -> int:
    return (datetime.combine(span, time(), UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _is_binary(seen: Seen) -> bool:
    if seen.kind == "boolean":
        return True
    return seen.kind in {"integer", "number"} and set(seen.labels.cast(pa.float64()).to_pylist()) == {0.0, 1.0}


def _rate(seen: Seen) -> float:
    return float(np.nanmean(positives(seen, None)))


def _rated(seen: Seen) -> Choice:
    """A rating counts as positive from the value that divides the rows most evenly."""
    steps = sorted(seen.labels.cast(pa.float64()).to_pylist())[1:]
    rates = {step: float(np.nanmean(positives(seen, step))) for step in steps}
    step = min(rates, key=lambda s: abs(rates[s] - 0.5))
    said = f"guessed by its name; from {step:g} on {rates[step]:.1%} of the rows are positive: say what counts as liked"
    return Choice(seen.name, said, step)


def _how_shared(seen: Seen) -> str:
    return f"{seen.shared:.0%} of the rows share their value with another row, {seen.different:,} values in {seen.known:,} rows"


def _listed(candidates: Sequence[Seen]) -> str:
    if not candidates:
        return "no column looks like one"
    return f"it could be {', '.join(f'{seen.name} ({seen.different:,} values)' for seen in candidates[:8])}"


def _unread_times(columns: Columns) -> str:
    for seen in columns.values():
        if seen.kind == "string" and seen.known and pc.all(pc.match_substring_regex(seen.labels, f"^{LOOKS_LIKE_TIME}$")).as_py():
            return f"{seen.name} holds {_example(seen)}, but only ISO 8601 such as 2026-11-20T13:05:00Z is read: deliver it so"
        if seen.kind == "integer" and names.named(seen.name, names.TIME) and _is_epoch(seen):
            return f"{seen.name} holds {_example(seen)}, a number of unknown unit: deliver ISO 8601 or a Parquet timestamp"
    return "no column holds times that can be read: deliver ISO 8601 such as 2026-11-20T13:05:00Z, or Parquet timestamps"


def _is_epoch(seen: Seen) -> bool:
    return bool(seen.known and EPOCHS[0] < seen.numbers.min() and seen.numbers.max() < EPOCHS[1])


def _unread_labels(there: Iterable[Seen]) -> str:
    for seen in there:
        if seen.kind == "string" and seen.different == 2 and names.named(seen.name, names.LABEL):  # noqa: PLR2004
            one, other = seen.labels.to_pylist()
            return f"{seen.name} holds {one!r:.30} and {other!r:.30}: deliver it as true and false, or 1 and 0"
    return "no column has two values, 0 and 1 or false and true"


def _example(seen: Seen) -> str:
    value = seen.labels[0].as_py()
    return f"{value:%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else f"{value!r:.40}"
