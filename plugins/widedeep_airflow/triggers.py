"""Waiting for a late delivery without holding a worker. The triggerer asks again and again; the library knows the deadline.

Stored triggers outlive an upgrade: an argument, once here, stays, and a new one gets a default.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from widedeep.artifacts import Progress, Waiting
from widedeep.errors import PermanentError, WidedeepError
from widedeep_airflow.connection import task_environment


class DeliveryTrigger(BaseTrigger):
    """Fires when `readiness` says that `ingest` may go on: all data are there, or the deadline has passed.

    It also fires at a fault that waiting does not mend, and says which: `ingest` then meets it, and fails with its own words.
    Where only this machine has it, such as a folder that is mounted for workers alone, `ingest` fails with these.

    Nothing is kept between polls, so a triggerer that restarts goes on where it was. While the store does not answer, it waits
    on, but not beyond `until` (None: there is no deadline): then `ingest` itself meets the fault, and is retried or failed like
    every task. `until` and `not_before`, which `readiness` is asked with, are ISO times.
    """

    def __init__(self, span: str, lane: str, until: str | None = None, poll_s: float = 5.0, not_before: str | None = None):
        super().__init__()  # type: ignore[no-untyped-call]
        self.span = span
        self.lane = lane
        self.until = until
        self.poll_s = poll_s
        self.not_before = not_before
        self._fault: str | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("span", "lane", "until", "poll_s", "not_before")
        arguments = {name: getattr(self, name) for name in names}
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        told = self._fault = None
        while (reason := await asyncio.to_thread(self.reason_to_wait)) is not None:
            if reason != told:
                self.log.info("%s: waits: %s", self.span, reason)
                told = reason
            await asyncio.sleep(self.poll_s)
        event = {"span": self.span} | ({"fault": self._fault} if self._fault else {})
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    def reason_to_wait(self) -> str | None:
        """Why `ingest` can't go on yet, or None."""
        try:
            waiting = self._readiness()
        except PermanentError as fault:
            self._fault = f"{type(fault).__name__}: {fault}"
            return None
        except WidedeepError as fault:
            return None if self.until and datetime.now(UTC) >= datetime.fromisoformat(self.until) else str(fault)
        return waiting.reason if waiting else None

    def _readiness(self) -> Waiting | None:
        from widedeep import steps  # here, in the thread: the event loop must not wait for it

        with steps.open_workplace(task_environment(os.environ), actor="airflow:triggerer") as place:
            progress = Progress(span=date.fromisoformat(self.span), lane=self.lane)
            not_before = datetime.fromisoformat(self.not_before) if self.not_before else None
            return steps.readiness(place, progress, not_before)
