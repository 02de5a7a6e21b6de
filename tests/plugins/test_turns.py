"""The trigger lets spans go in date order, waits for who works on the first unsettled one, and gives way to what can't start."""

import asyncio
import importlib
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import DRCount, GetDRCount, GetTaskStates, GetTICount, TaskStatesResult, TICount
from airflow.triggers.base import TaskSuccessEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from widedeep_airflow.turns import TurnTrigger

from widedeep import steps
from widedeep.errors import SettingsError, StoreUnavailableError

LIMIT_S = 30
LANE = "live"


def day(number):
    return date(2026, 1, number)


class World:
    """What Airflow's database and the store say. `looks`: what is done to it before each look at the store, one by one."""

    def __init__(self):
        self.settled, self.claims, self.looks, self.asked = set(), {}, [], []
        self.runs = {}

    def run(self, number, state="running", settle=None, waits=None, span=None):
        """A run dated on that day. `waits`: the task that is deferred, as every task that waits is."""
        self.runs[f"run-{number}"] = {"date": day(number), "state": state, "settle": settle, "waits": waits}
        if state != "queued":
            self.claims[f"run-{number}"] = day(span or number)

    def turn(self, _place, _lane, span):
        if self.looks:
            self.looks.pop(0)()
        return next((day(n) for n in range(1, span.day) if day(n) not in self.settled), None)

    def claimants(self, _place, _lane, span):
        return tuple(run for run, claimed in self.claims.items() if claimed == span)

    def claimants_elsewhere(self, _place, runs, _lane, span):
        return tuple(run for run in runs if self.claims.get(run, span) != span)

    def later_claimants(self, _place, span):
        return tuple(run for run, claimed in self.claims.items() if claimed > span)

    async def asend(self, message):
        self.asked.append(message)
        match message:
            case GetTaskStates():
                names = message.run_ids or [
                    name
                    for name, run in self.runs.items()
                    if datetime(run["date"].year, run["date"].month, run["date"].day, tzinfo=UTC) in message.logical_dates
                ]
                states = {n: {"settle": self.runs[n]["settle"]} if self.runs[n]["settle"] else {} for n in names}
                return TaskStatesResult(task_states=states)
            case GetDRCount():
                named = message.run_ids or list(self.runs)
                return DRCount(count=sum(self.runs[n]["state"] in message.states for n in named))
            case GetTICount():
                named = message.run_ids or list(self.runs)
                return TICount(count=sum(self.runs[n]["waits"] in message.task_ids for n in named))
        raise AssertionError(message)


@pytest.fixture
def world(monkeypatch):
    world = World()

    @contextmanager
    def open_workplace(environment, *, actor):
        yield actor

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", world, raising=False)
    monkeypatch.setattr(steps, "open_workplace", open_workplace)
    for name in ("turn", "claimants", "claimants_elsewhere", "later_claimants"):
        monkeypatch.setattr(steps, name, getattr(world, name))
    return world


def waiter(number, **options):
    times = {"poll_s": 0.001, "grace_s": 0.02, "stuck_s": 0.02}
    return TurnTrigger("widedeep_retrain", f"run-{number}", day(number).isoformat(), LANE, **(times | options))


def ended(trigger):
    async def first():
        return await asyncio.wait_for(anext(trigger.run()), LIMIT_S)

    return asyncio.run(first())


def fault(trigger):
    """Why it says that waiting is in vain."""
    return ended(trigger).payload["fault"]


def still_waits(trigger, for_s=0.2):
    async def first():
        await asyncio.wait_for(anext(trigger.run()), for_s)

    with pytest.raises(TimeoutError):
        asyncio.run(first())
    return True


def test_a_span_whose_turn_it_is_goes_on_as_a_success_without_a_worker(world):
    world.settled |= {day(1), day(2)}
    assert isinstance(ended(waiter(3)), TaskSuccessEvent)
    assert ended(waiter(3, resume=True)).payload == {"span": "2026-01-03"}
    assert world.asked == []


def test_it_waits_for_a_run_that_works_on_the_first_unsettled_span_and_says_so(world, capsys):
    world.run(1)
    world.looks = [lambda: None] * 60 + [lambda: world.settled.add(day(1))]
    assert isinstance(ended(waiter(2)), TaskSuccessEvent)
    assert "2026-01-02 waits for 2026-01-01 of lane live: run-1 works on it" in capsys.readouterr().out


def test_where_nobody_works_on_it_the_task_fails_and_names_the_span_to_clear(world):
    world.run(1, "failed", settle="failed")
    assert "span 2026-01-01 of lane live is unsettled: clear or run 2026-01-01 first" in fault(waiter(2))


def test_a_run_that_is_cleared_within_the_grace_is_waited_for(world):
    world.run(1, "failed", settle="failed")
    world.looks = [lambda: None, lambda: world.run(1)] + [lambda: None] * 60 + [lambda: world.settled.add(day(1))]
    assert isinstance(ended(waiter(2, grace_s=0.5)), TaskSuccessEvent)


def test_a_run_that_claims_another_span_than_its_date_is_not_waited_for_and_one_that_claims_this_is(world):
    world.run(1, span=5)
    assert fault(waiter(2))
    world.run(7, span=1)
    assert still_waits(waiter(2))


def test_only_the_latest_of_those_that_wait_gives_its_place_to_a_queued_run(world):
    world.run(1, "queued")
    world.run(2, waits="wait_turn")
    world.run(3, waits="wait_turn")
    assert still_waits(waiter(2))
    assert "span 2026-01-01 of lane live is queued (run-1) and can't start" in fault(waiter(3))


def test_a_later_run_that_waits_for_its_delivery_gives_no_place_so_an_earlier_one_does(world):
    world.run(1, "queued")
    world.run(2, waits="wait_turn")
    world.run(3, waits="ingest")
    assert "can't start" in fault(waiter(2))


def test_while_any_run_works_nobody_gives_way(world):
    world.run(1, "queued")
    world.run(2, waits="wait_turn")
    world.run(3, waits="wait_turn")
    world.run(9, span=1)
    assert still_waits(waiter(3))


def test_a_store_that_does_not_answer_is_waited_for_and_wrong_settings_are_not(world):
    def raises(error):
        def look():
            raise error

        return look

    world.settled.add(day(1))
    world.looks = [raises(StoreUnavailableError("no answer"))] * 60
    assert isinstance(ended(waiter(2)), TaskSuccessEvent)
    world.looks = [raises(SettingsError("no bucket"))] * 1000
    assert fault(waiter(2)) == "SettingsError: no bucket"


def test_a_filter_that_airflow_would_take_for_none_is_never_sent(world):
    world.run(1, "queued")
    world.run(2, waits="wait_turn")
    assert fault(waiter(2))
    for message in world.asked:
        given = message.model_dump(exclude_none=True)
        assert [] not in given.values()
        assert given["dag_id"] == "widedeep_retrain"


def test_it_is_stored_and_comes_back_the_same():
    path, arguments = waiter(2, delay_days=1, resume=True).serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**arguments)
    assert again.serialize() == (path, arguments)


def test_a_trigger_that_an_earlier_version_has_stored_still_starts():
    assert TurnTrigger(dag_id="d", run_id="r", span="2026-01-02", lane="live").serialize()


class Scheduler:
    """Starts queued runs in any order while there are slots. A run waits for its turn, then settles its span or fails."""

    def __init__(self, world, days, slots, broken):
        self.world, self.slots, self.broken, self.queue = world, slots, set(broken), []
        self.faults = dict.fromkeys(days, 0)
        self.triggers = {number: waiter(number) for number in days}

    def clear(self, days):
        for number in days:
            self.world.run(number, "queued")
            self.queue.append(number)

    async def ask(self, what, *arguments, **_):
        if what == "unsettled_told":
            return "unsettled"
        return getattr(self.world, what)(None, *arguments)

    def running(self):
        return [number for number in self.triggers if self.state(number) == "running"]

    def state(self, number):
        return self.world.runs.get(f"run-{number}", {}).get("state")

    def step(self):
        """One look of everybody. Whether anything has moved, or may do so at the next look."""
        moved = False
        while self.queue and len(self.running()) < self.slots:
            number = self.queue.pop(0)
            self.world.run(number)
            self.faults[number], moved = 0, True
        for number in self.running():
            blocked = asyncio.run(self.triggers[number]._blocked(self))
            self.world.runs[f"run-{number}"]["waits"] = "wait_turn" if blocked else None
            if blocked is None:
                self.end(number, "failed" if number in self.broken else "success")
            elif blocked.fault:
                self.faults[number] += 1  # it has to last
                if self.faults[number] > 2:
                    self.end(number, "failed")
            else:
                self.faults[number] = 0
                continue
            moved = True
        return moved

    def end(self, number, state):
        self.world.runs[f"run-{number}"].update(state=state, settle=state, waits=None)
        if state == "success":
            assert all(day(earlier) in self.world.settled for earlier in range(1, number)), "out of order"
            self.world.settled.add(day(number))
            del self.world.claims[f"run-{number}"]

    def until_quiet(self):
        """The days whose runs have failed."""
        still = 0
        while self.queue or self.running():
            still = 0 if self.step() else still + 1
            assert still < 5, f"stuck: {self.queue} queued, {self.running()} running, {self.world.settled}"
        return [number for number in self.triggers if self.state(number) == "failed"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_order_of_starts_failures_and_clears_gets_stuck_and_each_comes_to_the_whole_chain(monkeypatch, data):
    days = range(1, data.draw(st.integers(2, 6)) + 1)
    world = World()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", world, raising=False)
    scheduler = Scheduler(world, days, data.draw(st.integers(1, 4)), data.draw(st.sets(st.sampled_from(days))))
    scheduler.clear(data.draw(st.permutations(days)))
    failed = scheduler.until_quiet()
    assert not scheduler.broken or failed
    scheduler.broken = set()
    for _ in days:
        scheduler.clear(data.draw(st.permutations(failed)))
        failed = scheduler.until_quiet()
        if not failed:
            break
    assert world.settled == {day(number) for number in days}
