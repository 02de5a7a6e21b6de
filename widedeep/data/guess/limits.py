"""What a column's values are held to: what was seen, and slack that is stated. Nothing that was seen breaks its own limit.

A limit is written only where the sample is large enough to be sure of it: a missing limit costs a check, a wrong one good days.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from widedeep.data.guess.names import words
from widedeep.data.guess.seen import Seen

LEAST_NULLS = 0.05  # a null share that is no alarm
STEADY_DAYS, STEADY_VALUES = 3, 4  # from so many days, and values that are there on each of them, it is sure that most come back
FEW_VALUES = 20  # more are no list that somebody keeps by hand
FEW_NUMBERS = 32  # the days of a month fit; ages don't, and have ends that nobody has seen yet
OFTEN = 20  # a value of a share that gives 20 rows is missed by a sample of this size twice in a billion
SURE = 100  # different texts of one form
USUAL_LENGTH = 500  # half of what is allowed where no `max_length` is said
UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
HASH = "[0-9a-f]{%d}"
HASH_LENGTHS = (32, 40, 64)  # MD5, SHA-1, SHA-256
CLOCK = {"hour": (0, 23), "stunde": (0, 23), "minute": (0, 59), "month": (1, 12), "monat": (1, 12)}


@dataclass(frozen=True)
class Limits:
    """Entries of the contract's column, and the reasons."""

    entries: Mapping[str, Any] = field(default_factory=dict)
    why: tuple[str, ...] = ()


def limits_of(seen: Seen, days: int, *, is_label: bool, is_name: bool) -> Limits:
    """`is_name`: the values name users, items, rows: numbers have no range then, and texts no list of those allowed."""
    if seen.kind in {"integer", "number"} and len(seen.numbers):
        return _all_of([_numbers(seen, days, is_label, is_name), *_different(seen, days, is_label or is_name)])
    if seen.kind not in {"string", "list"} or not len(seen.items):
        return Limits()
    allowed = None if is_name or seen.constant else _allowed(seen, days)
    form = None if allowed else form_of(pc.unique(seen.items).to_pylist())
    found = [allowed or Limits(), Limits({"regex": form}, ("all of one form",)) if form else Limits(), _lengths(seen)]
    return _all_of([*found, *_different(seen, days, is_name)])


def _all_of(found: list[Limits]) -> Limits:
    return Limits({k: v for part in found for k, v in part.entries.items()}, tuple(said for part in found for said in part.why))


def null_limit(seen: Seen) -> float | None:
    """Twice the share that was null; None where no limit would say anything."""
    limit = max(LEAST_NULLS, nice(2 * seen.null_share, up=True))
    return limit if limit < 1 else None


def _different(seen: Seen, days: int, varies: bool) -> Iterator[Limits]:
    """Where each value is there on each day, and often: half of them may be away, and as many be new."""
    steady = seen.kind in {"string", "integer"} and days >= STEADY_DAYS and seen.different >= STEADY_VALUES and not varies
    if steady and seen.days_of_values.min() == days and seen.counts.min() >= OFTEN * days:
        yield Limits({"different": [seen.different // 2, 2 * seen.different]}, (f"{seen.different} values on each day",))


def _numbers(seen: Seen, days: int, is_label: bool, is_name: bool) -> Limits:
    if is_label:
        return _range(seen, exact=True)
    if is_name or seen.constant:
        return Limits()
    if seen.days_of_values.sum() <= days:
        return Limits({}, ("one value a day: other days may have others, so no range",))
    known = next((CLOCK[word] for word in words(seen.name) if word in CLOCK), None)
    if known and known[0] <= seen.numbers.min() and seen.numbers.max() <= known[1]:
        return Limits({"range": list(known)})
    return _range(seen, _every_number(seen))


def form_of(texts: list[str]) -> str | None:
    """A regular expression (RE2) for texts that differ in their digits only, or are UUIDs or hashes. None: not sure of one."""
    if len(texts) < SURE:
        return None
    for known in (UUID, *(HASH % length for length in HASH_LENGTHS)):
        if all(re.fullmatch(known, text) for text in texts):
            return known
    frames = {re.sub("[0-9]+", "0", text) for text in texts}
    if len(frames) != 1 or "0" not in (frame := frames.pop()):
        return None
    runs = list(zip(*(re.findall("[0-9]+", text) for text in texts), strict=True))
    literals = [re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", part) for part in frame.split("0")]
    return literals[0] + "".join(_digits(run) + literal for run, literal in zip(runs, literals[1:], strict=True))


def _digits(run: tuple[str, ...]) -> str:
    """A fixed number of digits if leading zeros show that they are filled up to it."""
    lengths = {len(digits) for digits in run}
    filled_up = len(lengths) == 1 and any(digits.startswith("0") and len(digits) > 1 for digits in run)
    return f"[0-9]{{{lengths.pop()}}}" if filled_up else "[0-9]+"


def nice(number: float, up: bool) -> float:
    """Rounded away to two digits."""
    if number == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(number))) - 1)
    return float(f"{(math.ceil(number / step) if up else math.floor(number / step)) * step:.6g}")


def plain(number: float) -> float | int:
    """Without `.0`, which nobody writes."""
    return int(number) if float(number).is_integer() else number


def _every_number(seen: Seen) -> bool:
    """Every whole number between the ends was there, and often."""
    low, high = seen.numbers.min(), seen.numbers.max()
    everywhere = seen.days_of_values.min() == seen.days_of_values.max()
    all_of_few = seen.kind == "integer" and seen.different == high - low + 1 <= FEW_NUMBERS
    return bool(all_of_few and seen.counts.min() >= OFTEN and everywhere)


def _range(seen: Seen, exact: bool) -> Limits:
    low, high = float(seen.numbers.min()), float(seen.numbers.max())
    whole = seen.kind == "integer"
    saw = f"{_shown(low)} to {_shown(high)} seen"
    if exact:
        return Limits({"range": _pair(low, high, whole)}, (f"{saw}, no slack",))
    if low >= 0 and 0.9 <= high <= 1:  # noqa: PLR2004
        return Limits({"range": _pair(0, 1, whole)}, (f"{saw}, taken for a share",))
    spread = (high - low) or abs(high) or 1.0
    below = 0.0 if 0 <= low <= spread else nice(low - spread, up=False)
    return Limits({"range": _pair(below, nice(high + spread, up=True), whole)}, (f"{saw}, range twice as wide",))


def _pair(low: float, high: float, whole: bool) -> list[float | int]:
    return [int(end) if whole else plain(end) for end in (low, high)]


def _shown(number: float) -> str:
    return f"{number:.6g}"


def _allowed(seen: Seen, days: int) -> Limits | None:
    counted = seen.items.value_counts()
    values, counts = counted.field("values").to_pylist(), counted.field("counts").to_numpy()
    if len(values) > FEW_VALUES:
        return None
    rare = [value for value, count in zip(values, counts, strict=True) if count < OFTEN]
    if rare:
        return Limits({}, (f"{len(values)} values, some rare ({rare[0]!r:.30}): `allowed` would be a guess",))
    if seen.kind == "string" and seen.days_of_values.min() < days:
        return Limits({}, (f"{len(values)} values, not all on each day: `allowed` would be a guess",))
    return Limits({"allowed": sorted(values)}, ("a new value makes a bad row: take `allowed` away if some are to come",))


def _lengths(seen: Seen) -> Limits:
    long = {"max_length": int(nice(2 * seen.longest, up=True))} if seen.longest > USUAL_LENGTH else {}
    if seen.kind != "list":
        return Limits(long)
    most = int(pc.max(pc.list_value_length(seen.values)).as_py() or 0)
    return Limits({"items": [0, max(1, 2 * most)], **long}, (f"at most {most} in a list, twice that allowed",))
