"""Waiting for one's turn without holding a worker: spans are learnt in date order, whatever order their runs start in.

The rule looks at one span only, the lane's first unsettled one, so that each wait points at an earlier span, none in circles:

- there is none before mine: go on;
- a run works on it: wait, however long that takes;
- nobody does: fail, naming it, and no retry;
- it is queued, and every run that runs waits, too, so it can never start: the latest of those that wait gives its place back.

Waiting makes order; that the store refuses what is out of order makes it true.

Stored triggers outlive an upgrade: an argument, once here, stays, and a new one gets a default.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import date, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import BaseOperator, TriggerRule
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from widedeep.errors import PermanentError, WidedeepError
from widedeep_airflow.connection import task_environment
from widedeep_airflow.library import opened
from widedeep_airflow.progress import collect, why_over
from widedeep_airflow.spans import midnight

if TYPE_CHECKING:
    from airflow.sdk import Context

    from widedeep.artifacts import Progress
    from widedeep.steps import Workplace

ENDED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})
"""States of a task that has nothing more to do. A run that is queued has none yet: it is alive."""

PATIENCE = timedelta(days=2)
"""No run works longer on a span: its tasks time out before."""


NEXT_POLL_S = 1.0
"""Who waits for the day before alone looks more often: until it has looked, the whole lane waits for it."""


class Blocked(NamedTuple):
    """What a span waits for: the first unsettled span, the runs that work on it, and what is wrong with that, if anything."""

    span: date
    runs: tuple[str, ...]
    fault: str | None = None


class TurnTrigger(BaseTrigger):
    """Ends the task as a success once its span's turn has come; with `resume` the task goes on instead.

    If it never will come, the task goes on with a `fault`, to fail by it: a task that a trigger fails would be retried.
    `settle` is the task of `dag_id` whose end says that a run works no more. `delay_days`: by how much a run's date is later
    than its span. A fault has to last for `grace_s`, or `stuck_s` where a queued run can't start, before it counts: states in
    the store and in Airflow's database don't change at the same moment.
    """

    def __init__(
        self,
        dag_id: str,
        run_id: str,
        span: str,
        lane: str,
        delay_days: int = 0,
        poll_s: float = 5.0,
        grace_s: float = 10.0,
        stuck_s: float = 45.0,
        settle: str = "settle",
        waits: tuple[str, ...] = ("wait_turn", "ingest"),
        resume: bool = False,
    ):
        super().__init__()  # type: ignore[no-untyped-call]
        self.dag_id, self.run_id, self.span, self.lane, self.delay_days = dag_id, run_id, span, lane, delay_days
        self.poll_s, self.grace_s, self.stuck_s = poll_s, grace_s, stuck_s
        self.settle, self.waits, self.resume = settle, tuple(waits), resume

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("dag_id", "run_id", "span", "lane", "delay_days", "poll_s", "grace_s", "stuck_s", "settle", "waits", "resume")
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        with ExitStack() as stack:
            library = Library(stack)
            since, told, mine = time.monotonic(), None, date.fromisoformat(self.span)
            while (blocked := await self._looked(library)) is not None:
                if blocked != told:
                    self.log.info("%s", _waits(self.span, self.lane, blocked))
                if told is None or blocked.fault != told.fault:
                    since = time.monotonic()
                told = blocked
                if blocked.fault and time.monotonic() - since >= (self.stuck_s if blocked.runs else self.grace_s):
                    yield TriggerEvent({"span": self.span, "fault": blocked.fault})  # type: ignore[no-untyped-call]
                    return
                await asyncio.sleep(self.poll_s if blocked.span < mine - timedelta(days=1) else min(self.poll_s, NEXT_POLL_S))
        self.log.info("%s: its turn has come in lane %s", self.span, self.lane)
        yield TriggerEvent({"span": self.span}) if self.resume else TaskSuccessEvent()  # type: ignore[no-untyped-call]

    async def _looked(self, library: "Library") -> Blocked | None:
        """While the store does not answer, wait on; what no waiting mends is a fault."""
        try:
            return await self._blocked(library)
        except PermanentError as fault:
            return Blocked(date.fromisoformat(self.span), (), f"{type(fault).__name__}: {fault}")
        except WidedeepError as fault:
            return Blocked(date.fromisoformat(self.span), (f"nobody can tell who: {fault}",))

    async def _blocked(self, library: "Library") -> Blocked | None:
        mine = date.fromisoformat(self.span)
        first = await library.ask("turn", self.lane, mine)
        if first is None:
            return None
        runs = await self._working_on(library, first)
        if not runs:
            return Blocked(first, (), await library.ask("unsettled_told", self.lane, first, mine, place=False))
        if not await self._nothing_moves(library, runs):
            return Blocked(first, runs)
        return Blocked(
            first,
            runs,
            f"span {first} of lane {self.lane} is queued ({', '.join(runs[:3])}) and can't start: every run that runs waits "
            f"behind it. This one ({self.span}) gives its place back; clear it once {first} is settled.",
        )

    async def _working_on(self, library: "Library", span: date) -> tuple[str, ...]:
        """Other runs for this span of the lane that have yet to settle it, by their date and by what they claim."""
        claimants = await library.ask("claimants", self.lane, span)
        claimed = await self._states(run_ids=claimants) if claimants else {}
        dated = await self._states(logical_dates=[midnight(span) + timedelta(days=self.delay_days)])
        # A run's date is not its span where its Params name another: then it claims that one.
        elsewhere = set(await library.ask("claimants_elsewhere", tuple(dated), self.lane, span)) if dated else set()
        alive = {run for run, state in {**dated, **claimed}.items() if state not in ENDED}
        return tuple(sorted(alive - elsewhere - {self.run_id}))

    async def _states(self, **which: Any) -> dict[str, str | None]:
        """By run, the state of its settling task. Airflow takes an empty list for no filter at all: one is never sent."""
        from airflow.sdk.execution_time.comms import GetTaskStates

        found = await _asked(GetTaskStates(dag_id=self.dag_id, task_ids=[self.settle], **which))
        return {run: states.get(self.settle) for run, states in found.task_states.items()}

    async def _nothing_moves(self, library: "Library", runs: tuple[str, ...]) -> bool:
        """Whether all of `runs` are queued, all others wait, and no later span is among those that wait for their turn, too."""
        from airflow.sdk.execution_time.comms import GetDRCount, GetTICount

        if (await _asked(GetDRCount(dag_id=self.dag_id, run_ids=list(runs), states=["running"]))).count:
            return False
        running = (await _asked(GetDRCount(dag_id=self.dag_id, states=["running"]))).count
        waiting = {"dag_id": self.dag_id, "states": ["deferred"]}
        if running > (await _asked(GetTICount(**waiting, task_ids=list(self.waits)))).count:
            return False
        later = await library.ask("later_claimants", date.fromisoformat(self.span))
        # One that waits for its delivery gives its place to nobody.
        in_turn = list(self.waits) if self.resume else ["wait_turn"]
        return not later or (await _asked(GetTICount(**waiting, task_ids=in_turn, run_ids=list(later)))).count == 0


class Library:
    """The steps and a workplace, opened when first asked and again after a fault: the event loop waits for neither."""

    def __init__(self, stack: ExitStack):
        self._stack = stack
        self._open: tuple[ModuleType, Workplace] | None = None

    async def ask(self, what: str, *arguments: Any, place: bool = True) -> Any:
        return await asyncio.to_thread(self._ask, what, arguments, place)

    def _ask(self, what: str, arguments: tuple[Any, ...], place: bool) -> Any:
        if self._open is None:
            from widedeep import steps

            environment = task_environment(os.environ)
            self._open = steps, self._stack.enter_context(steps.open_workplace(environment, actor="airflow:triggerer"))
        steps, workplace = self._open
        try:
            return getattr(steps, what)(*([workplace] if place else []), *arguments)
        except WidedeepError:
            self._stack.pop_all().close()
            self._open = None
            raise


async def _asked(message: Any) -> Any:
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    return await SUPERVISOR_COMMS.asend(message)


def _waits(span: str, lane: str, blocked: Blocked) -> str:
    by = f"{', '.join(blocked.runs[:3])} works on it" if blocked.runs else "nobody seems to work on it"
    return f"{span} waits for {blocked.span} of lane {lane}: {by}"


class WaitTurnOperator(BaseOperator):
    """Goes on once all earlier spans of the lane are settled. Skipped where this one is.

    It also waits for a span without data, or that is quarantined: settling it out of order would leave the earlier ones out.
    """

    def __init__(self, *, poll_s: float = 5.0, **kwargs: Any):
        super().__init__(trigger_rule=TriggerRule.NONE_FAILED, **kwargs)
        self.poll_s = poll_s

    def execute(self, context: "Context", event: dict[str, Any] | None = None) -> None:
        with opened(context) as (steps, place):
            progress = collect(context["ti"], ("ingest", "validate"))
            if progress.result is not None:
                raise AirflowSkipException(f"{progress.span}: nothing to wait for: {why_over(progress)}")
            wait_for_turn(self, context, (steps, place), progress, event, resume=False)


def wait_for_turn(
    task: BaseOperator,
    context: "Context",
    library: "tuple[ModuleType, Workplace]",
    progress: "Progress",
    event: dict[str, Any] | None = None,
    *,
    resume: bool,
) -> None:
    """Return if the span's turn has come, else leave the worker; with `resume` the task is executed again then.

    Raises:
        AirflowFailException: the trigger's `event` says why waiting is in vain.
    """
    steps, place = library
    first = steps.turn(place, progress.lane, progress.span)
    if first is None:
        task.log.info("%s: its turn in lane %s", progress.span, progress.lane)
        return
    if event and event.get("fault"):
        raise AirflowFailException(event["fault"])
    task.log.info("%s waits for %s of lane %s", progress.span, first, progress.lane)
    ti = context["ti"]
    trigger = TurnTrigger(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        span=progress.span.isoformat(),
        lane=progress.lane,
        delay_days=place.contract.label_delay,
        poll_s=getattr(task, "poll_s", 5.0),
        resume=resume,
    )
    task.defer(trigger=trigger, method_name="execute", timeout=PATIENCE)
