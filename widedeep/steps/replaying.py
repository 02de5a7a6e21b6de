"""The days from one on are rebuilt in a lane of their own: the same steps, each day as of the day before; `live` stays as it is.

- It ends at live's head, also if `live` goes on meanwhile. Done again, in the same lane, it goes on where it was.
- Nobody is asked per day (sixth law): one person is, when the lane is promoted.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from widedeep.artifacts import LIVE, Lane, OnHold, Value, lane_name, sha256
from widedeep.errors import OrderError, UsageError
from widedeep.publishing import lanes
from widedeep.publishing.pointer import champion
from widedeep.steps.chain import run_span
from widedeep.steps.workplace import Workplace

A_DAY = timedelta(days=1)


class ReplayPlan(Value):
    """Which days are rebuilt in which lane; those that are `settled` there already stay."""

    lane: Lane
    first: date
    last: date
    settled: tuple[date, ...] = ()

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.first + n * A_DAY for n in range((self.last - self.first).days + 1))

    @property
    def left(self) -> tuple[date, ...]:
        return tuple(day for day in self.days if day not in self.settled)

    def place_of(self, day: date) -> str:
        """Where the day stands among them, such as "day 2 of 5"."""
        return f"day {(day - self.first).days + 1} of {len(self.days)}"

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
    own = _opened(place, name, first)
    return ReplayPlan(lane=name, first=first, last=settled[-1], settled=tuple(day for day in own if day >= first))


def _opened(place: Workplace, lane: str, first: date) -> tuple[date, ...]:
    """The days that the lane has settled itself. Raises OrderError unless it begins at this day, or can go on with it."""
    own = lanes.settled_spans(place.store, lane)
    begins = own[0] if own else lanes.open_lane(place.store, lane, first, place.clock(), place.actor).first
    if first < begins:
        raise OrderError(
            f"replay from {first}: lane {lane} begins at {begins}, and no lane grows backwards. Replay from {first} in a new one."
        )
    following = own[-1] + A_DAY if own else begins
    if first > following:
        raise OrderError(
            f"replay from {first}: the next day of lane {lane} is {following}, and none can be left out. Replay from {following}."
        )
    return tuple(own)


def replay(
    place: Workplace,
    plan: ReplayPlan,
    on_hold: OnHold = "drop",
    on_step: Callable[[str, str], None] = lambda _where, _step: None,
) -> ReplayPlan:
    """Rebuild the days here, one after the other, until the lane has come to live's head. Returns what is settled then.

    `on_step` hears where it is, such as "2026-11-20, day 3 of 9", and which step begins.
    """
    while plan.left:
        for day in plan.left:
            on_day_step = partial(on_step, f"{day}, {plan.place_of(day)}")
            with TemporaryDirectory(dir=place.scratch) as scratch:  # what each day leaves would fill the disk by and by
                run_span(replace(place, scratch=Path(scratch)), day, plan.lane, on_day_step, on_hold=on_hold)
        plan = plan_replay(place, plan.first, plan.lane)
    return plan


def replayed(place: Workplace, plan: ReplayPlan) -> str:
    """What became of the days, and how to promote the lane, in words."""
    outcomes = [o for o in lanes.outcomes(place.store, plan.lane) if plan.first <= o.span <= plan.last]
    counts = ", ".join(f"{count} {result}" for result, count in Counter(o.result for o in outcomes).items())
    how_many, span = f"{len(outcomes)} of {len(plan.days)} day(s) are rebuilt", f"{plan.first} to {plan.last}"
    told = f"lane {plan.lane}: {how_many}, {span}: {counts or 'none'}."
    pointer, live = (champion(place.store, lane) for lane in (plan.lane, LIVE))
    if pointer is None or live is None:
        return f"{told} None of its candidates passed the gate: nothing to promote. `widedeep spans --lane {plan.lane}` says why."
    return (
        f"{told} Its champion is {pointer.release_id} of span {pointer.span}; live's is {live.release_id} of span {live.span}, "
        f"and stays. To compare both, and promote the lane: the DAG widedeep_promote_lane with "
        f'{{"lane": "{plan.lane}", "reason": "…"}}, or `widedeep promote-lane {plan.lane} --reason "…"`.'
    )
