"""The days from one on are rebuilt in a lane of their own: the same steps, each day as of the day before; `live` stays as it is.

- The lane begins at the first of them and ends at live's head. Done again, with the same lane, it goes on where it was.
- Nobody is asked per day (sixth law): one person is, when the lane is promoted.
"""

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Literal

from widedeep.artifacts import LIVE, Lane, Progress, Value, lane_name, sha256
from widedeep.errors import OrderError, UsageError
from widedeep.publishing import lanes
from widedeep.publishing.pointer import champion
from widedeep.steps.chain import run_span
from widedeep.steps.descent import replay_told
from widedeep.steps.workplace import Workplace

OnHold = Literal["drop", "pass"]
"""What becomes of a candidate that the gate holds: its rows are pending (drop), or it leads the lane (pass)."""


class ReplayPlan(Value):
    """Which days are rebuilt in which lane; `settled` of them are so there already, and stay."""

    lane: Lane
    first: date
    last: date
    settled: tuple[date, ...] = ()

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1))

    def place_of(self, day: date) -> str:
        """The how-manieth of them it is, such as "2 of 5"."""
        return f"{(day - self.first).days + 1} of {len(self.days)}"

    def told(self) -> str:
        there = f"; {len(self.settled)} of them are settled there already, and stay" if self.settled else ""
        return f"lane {self.lane}: {len(self.days)} day(s), {self.first} to {self.last}{there}"


def new_lane(first: date, of: str) -> str:
    """A lane's name, by its first day and whatever tells this replay from others, such as the id of a run."""
    return f"replay-{first}-{sha256(of.encode())[:8]}"


def plan_replay(place: Workplace, first: date, lane: str | None = None) -> ReplayPlan:
    """The days from one up to live's head, in a lane that is opened for them, or goes on with them. Default: a new lane.

    Raises:
        UsageError: live has not settled the day; or the lane is `live`, no name of a lane, or was adopted by live.
        OrderError: the lane begins later, or would leave days out.
    """
    settled = lanes.settled_spans(place.store, LIVE)
    if first not in settled:
        known = f"{settled[0]} to {settled[-1]}" if settled else "none yet"
        raise UsageError(
            f"replay from {first}: {LIVE} has settled no such day, wanted one of {known}. `widedeep spans` lists them."
        )
    name = lane_name(lane or new_lane(first, place.clock().isoformat()))
    if name == LIVE:
        raise UsageError(f"replay from {first}: got lane {LIVE}, wanted another one, or none: what {LIVE} has settled stays.")
    pointer = champion(place.store, LIVE)
    if pointer and name in {each.lane for each in pointer.adopted}:
        raise UsageError(f"replay from {first}: {LIVE} has adopted lane {name}, and goes on by itself. Use another lane.")
    _open(place, name, first)
    own = lanes.settled_spans(place.store, name)
    return ReplayPlan(lane=name, first=first, last=settled[-1], settled=tuple(day for day in own if day >= first))


def replay(
    place: Workplace, plan: ReplayPlan, on_hold: OnHold = "drop", on_step: Callable[[date, str], None] = lambda _day, _step: None
) -> tuple[Progress, ...]:
    """Rebuild the days here, one after the other; `on_step(day, step)` hears which step of which day begins."""
    return tuple(_run(place, day, plan.lane, on_hold, lambda step, day=day: on_step(day, step)) for day in plan.days)  # type: ignore[misc]


def replayed(place: Workplace, plan: ReplayPlan) -> str:
    """What was rebuilt, and how to promote it, in words."""
    outcomes = [o for o in lanes.outcomes(place.store, plan.lane) if plan.first <= o.span <= plan.last]
    counts = ", ".join(f"{count} {result}" for result, count in Counter(o.result for o in outcomes).items())
    how_many, span = f"{len(outcomes)} of {len(plan.days)} day(s) are rebuilt", f"{plan.first} to {plan.last}"
    told = f"lane {plan.lane}: {how_many}, {span}: {counts or 'none'}."
    if len(outcomes) < len(plan.days):
        return (
            f"{told} The others are not settled there: mend what stopped them, then go on: {replay_told(plan.first, plan.lane)}."
        )
    pointer, live = (champion(place.store, lane) for lane in (plan.lane, LIVE))
    if pointer is None or live is None:
        return f"{told} None of its candidates passed the gate: nothing to promote. `widedeep spans --lane {plan.lane}` says why."
    return (
        f"{told} Its champion is {pointer.release_id} of span {pointer.span}; live's is {live.release_id} of span {live.span}, "
        f"and stays. To compare both, and promote the lane: the DAG widedeep_promote_lane with "
        f'{{"lane": "{plan.lane}", "reason": "…"}}, or `widedeep promote-lane {plan.lane} --reason "…"`.'
    )


def _open(place: Workplace, lane: str, first: date) -> None:
    """Raise OrderError unless the lane begins at this day, or can go on with it."""
    own = lanes.settled_spans(place.store, lane)
    if own and first < own[0]:
        raise OrderError(
            f"lane {lane}: begins at {own[0]}, wanted {first}; a lane never moves back. Replay from {first} in a new one."
        )
    if own and first > own[-1] + timedelta(days=1):
        missing = own[-1] + timedelta(days=1)
        raise OrderError(
            f"lane {lane}: its head is {own[-1]}, so a replay from {first} would leave days out. Use --from {missing}."
        )


def _run(place: Workplace, day: date, lane: str, on_hold: OnHold, on_step: Callable[[str], None]) -> Progress:
    if on_hold == "pass":
        raise UsageError(f"lane {lane}: got on_hold 'pass', wanted 'drop': a held candidate leads no lane yet. Leave it out.")
    return run_span(place, day, lane, on_step)
