"""A simulation is its settings: equal settings give equal days, in any number and on any run of equal library versions."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self, get_args

import numpy as np
from pydantic import Field, ValidationError, model_validator

from widedeep.artifacts import Value
from widedeep.errors import UsageError

FaultKind = Literal["regression", "broken-column", "drift", "decay", "truncated"]

SLOTS = 10
"""Apps shown in one session, one row each."""
ROW_ID, LABEL = "row_id", "acquired"
COLUMNS = (
    *(ROW_ID, "event_time", "user_id", "age", "country", "language", "device", "installed_apps"),
    *("app_id", "category", "developer", "size_mb", "rating", "hour", "weekday", "slot", LABEL),
)
SIZED = ("regression", "drift", "decay")


class Fault(Value):
    """What goes wrong on `day` (0 is the first). `size` is a share from 0 to 1.

    regression: each label of that day is flipped with probability `size`.
    broken-column: `column` is null in all rows of that day.
    drift: from that day on the effects are `size` new: 1 leaves nothing of the old ones.
    decay: from that day on the signal loses the share `size` of its strength each day.
    truncated: only the first tenth of that day's rows is delivered.
    """

    kind: FaultKind
    day: int = Field(ge=0)
    size: float | None = Field(default=None, gt=0, le=1)
    column: str | None = None

    @model_validator(mode="after")
    def has_what_its_kind_needs(self) -> Self:
        if (self.size is not None) != (self.kind in SIZED):
            raise ValueError(f"{self.kind} {'needs a size' if self.kind in SIZED else 'takes no size'}")
        if (self.column is not None) != (self.kind == "broken-column"):
            raise ValueError(f"{self.kind} {'needs a column' if self.kind == 'broken-column' else 'takes no column'}")
        if self.column is not None and self.column not in COLUMNS[1:]:
            raise ValueError(f"column {self.column!r}, wanted one of {', '.join(COLUMNS[1:])}")
        if self.kind == "drift" and self.day == 0:
            raise ValueError("drift on day 0, wanted 1 or later: before day 0 there is nothing to drift from")
        return self


class SimulationSettings(Value):
    """`apps` are in the store on any day; `new_apps` and `new_users` are the shares that come, and go, each day.

    drift: how much of the effects is new each day; they walk without growing (`widedeep.simulation.world`).
    pair_share, pair_effect: how many of all (installed app, shown app) pairs are planted, and by how much they move the logit.
    """

    seed: int = Field(default=0, ge=0, lt=2**63)
    start: date = date(2026, 1, 1)
    rows_per_day: int = Field(default=100_000, ge=SLOTS, le=100_000_000, multiple_of=SLOTS)
    apps: int = Field(default=500, ge=50, le=20_000)
    new_apps: float = Field(default=0.01, ge=0, le=0.2)
    new_users: float = Field(default=0.02, ge=0, le=0.2)
    drift: float = Field(default=0.04, ge=0, le=1)
    pair_share: float = Field(default=0.02, ge=0, le=1)
    pair_effect: float = Field(default=1.6, ge=0, le=10)
    faults: tuple[Fault, ...] = ()

    def stationary(self) -> Self:
        """The same store without change: no drift, nobody and nothing new."""
        return self.model_copy(update={"new_apps": 0.0, "new_users": 0.0, "drift": 0.0})


def simulation_settings(**values: object) -> SimulationSettings:
    """Settings from untrusted values.

    Raises:
        UsageError: some are wrong; all problems are listed.
    """
    try:
        return SimulationSettings.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"simulation: {_problems(error)}. Change these and run again.") from error


def parse_fault(text: str) -> Fault:
    """A fault from `KIND:DAY` and, for those that need one, `:SIZE` or `:COLUMN`.

    Raises:
        UsageError: the text is no such fault.
    """
    kind, day, argument = (*text.split(":"), "", "", "")[:3]
    values = {"kind": kind, "day": day} | ({"column" if kind == "broken-column" else "size": argument} if argument else {})
    try:
        if text.count(":") > 2:  # noqa: PLR2004
            raise UsageError(f"fault {text!r}: more than three parts. {_FORMS}")
        return Fault.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"fault {text!r}: {_problems(error)}. {_FORMS}") from error


def generator(seed: int, day: int, purpose: str) -> np.random.Generator:
    """Each purpose has its own stream on each day, so that what one of them draws never moves another."""
    return np.random.default_rng([seed, day, *purpose.encode()])


_FORMS = (
    "Wanted one of "
    + ", ".join(
        f"{kind}:DAY{':SIZE' if kind in SIZED else ':COLUMN' if kind == 'broken-column' else ''}" for kind in get_args(FaultKind)
    )
    + "; DAY counts from 0, SIZE is above 0 and at most 1."
)


def _problems(error: ValidationError) -> str:
    return "; ".join(_problem(".".join(map(str, p["loc"])), p["msg"], p["input"]) for p in error.errors())


def _problem(place: str, message: str, got: object) -> str:
    said = message.removeprefix("Value error, ")
    return f"{place.replace('_', ' ')}: got {got!r:.60}, {said[:1].lower()}{said[1:]}" if place else said
