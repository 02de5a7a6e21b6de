"""The trigger ends the wait when the library says so, and for nothing else but a fault that waiting does not mend."""

import asyncio
import importlib
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest
from widedeep_airflow.triggers import DeliveryTrigger

from widedeep import steps
from widedeep.artifacts import Waiting
from widedeep.errors import SettingsError, StoreUnavailableError

LATER, EARLIER = "2099-01-01T00:00:00+00:00", "2000-01-01T00:00:00+00:00"
NOT_BEFORE = "2026-01-09T00:00:00+00:00"
WAITING = Waiting(span=date(2026, 1, 2), reason="nothing is delivered yet", until=datetime(2099, 1, 1, tzinfo=UTC))
LIMIT_S = 30


@pytest.fixture
def answers(monkeypatch):
    """What `readiness` says, call by call; an exception is raised. The last answer stays."""
    queue = []

    @contextmanager
    def open_workplace(environment, *, actor):
        yield actor

    def readiness(place, progress, not_before):
        assert (progress.span, progress.lane, not_before) == (date(2026, 1, 2), "live", datetime(2026, 1, 9, tzinfo=UTC))
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(steps, "open_workplace", open_workplace)
    monkeypatch.setattr(steps, "readiness", readiness)
    return queue


def trigger(until=LATER):
    return DeliveryTrigger("2026-01-02", "live", until, poll_s=0.001, not_before=NOT_BEFORE)


def fire(waiter):
    async def first():
        return await asyncio.wait_for(anext(waiter.run()), LIMIT_S)

    return asyncio.run(first())


def test_it_fires_when_the_delivery_is_there(answers):
    answers += [WAITING, WAITING, None]
    assert fire(trigger()).payload == {"span": "2026-01-02"}
    assert answers == [None]


@pytest.mark.parametrize("until", [LATER, None])
def test_a_store_that_does_not_answer_does_not_end_the_wait(answers, until):
    answers += [WAITING, StoreUnavailableError("no answer"), StoreUnavailableError("no answer"), None]
    fire(trigger(until))
    assert answers == [None]


def test_after_the_deadline_ingest_itself_meets_the_store_that_does_not_answer(answers):
    answers += [StoreUnavailableError("no answer")]
    fire(trigger(EARLIER))


def test_a_permanent_fault_ends_the_wait_so_that_ingest_fails_with_its_own_words(answers):
    answers += [WAITING, SettingsError("WIDEDEEP_STORE: Field required"), WAITING]
    assert fire(trigger()).payload == {"span": "2026-01-02", "fault": "SettingsError: WIDEDEEP_STORE: Field required"}
    assert answers == [WAITING]


def test_a_defect_is_not_mistaken_for_a_late_delivery(answers):
    answers += [WAITING, RuntimeError("a defect")]
    with pytest.raises(RuntimeError, match="a defect"):
        fire(trigger())


def test_it_waits_while_nothing_changes_and_says_so_once(answers, capsys):
    answers += [WAITING]

    async def a_while():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(trigger().run()), 0.2)

    asyncio.run(a_while())
    assert capsys.readouterr().out.count("2026-01-02: waits: nothing is delivered yet") == 1


def test_a_slow_store_does_not_stop_the_other_triggers_of_the_process(answers, monkeypatch):
    answers += [WAITING]
    order = []

    def slow(self):
        order.append("asked")
        asyncio.run(asyncio.sleep(0.1))
        order.append("answered")

    monkeypatch.setattr(DeliveryTrigger, "reason_to_wait", slow)

    async def both():
        waiter = asyncio.create_task(anext(trigger().run()))
        while not order:
            await asyncio.sleep(0.001)
        order.append("another trigger ran")
        await waiter

    asyncio.run(asyncio.wait_for(both(), LIMIT_S))
    assert order == ["asked", "another trigger ran", "answered"]


def test_a_stored_trigger_comes_back_as_it_was():
    path, arguments = trigger().serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**arguments)
    assert again.serialize() == (path, arguments)
    assert arguments == {"span": "2026-01-02", "lane": "live", "until": LATER, "poll_s": 0.001, "not_before": NOT_BEFORE}


def test_a_trigger_that_the_first_version_stored_can_still_be_loaded():
    # Stored triggers outlive an upgrade: these arguments stay, and every new one has a default.
    assert DeliveryTrigger(span="2026-01-02", lane="live").not_before is None
    assert DeliveryTrigger(span="2026-01-02", lane="live").serialize()[0] == "widedeep_airflow.triggers.DeliveryTrigger"
