"""Bringing the stack up: each thing is done only if it is not done yet, and an interrupted start stops whatever it started."""

import importlib.metadata
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from rich.console import Console

from widedeep.errors import StackError
from widedeep.local import chain, database, environment, health, ports
from widedeep.local.down import ENDING_S, alone, stop_all
from widedeep.local.lifetime import INTERRUPTS, await_down, is_down, launch, run_to_end, tail
from widedeep.local.parts import Part, parts_of
from widedeep.local.stack import DAILY_SPANS, Place, Stack, create_stack, load_stack, save_stack, write_private
from widedeep.local.supervisor import FAILED_STATES, Supervisor

ALIVE = frozenset({"STARTING", "RUNNING"})


@dataclass
class Start:
    """What one call has done so far, so that it can be undone."""

    place: Place
    stack: Stack
    settings: Mapping[str, str]
    out: Console
    supervisor: Supervisor
    launched: bool = False
    started: list[str] = field(default_factory=list)


def up(place: Place, port: int | None, daily_spans: int | None, today: date, out: Console, *, with_airflow: bool = True) -> Stack:
    """Start what is missing, wait until all of it is healthy, and on the first start set the chain going.

    Raises:
        StackError: a port is taken (nothing was started); a part does not come up (what this call started was stopped);
            the chain can't be set going (the stack runs, so that one can look at it).
    """
    with alone(place):
        stack = _settle(place, port, daily_spans, today)
        settings = environment.complete(environment.generated(place, stack), os.environ)
        start = Start(place, stack, settings, out, Supervisor(stack))
        with _undone_on(start, Exception, KeyboardInterrupt):
            _start(start, [part for part in parts_of(place, stack) if with_airflow or part.stage == 1])
        if with_airflow:
            with _undone_on(start, KeyboardInterrupt):
                _set_going(start)
        return stack


def _settle(place: Place, port: int | None, daily_spans: int | None, today: date) -> Stack:
    """The frozen stack of this place, or a new one; the port alone may change, while nothing runs."""
    if port is not None:
        ports.check_base(port)
    stack = load_stack(place)
    if stack is None:
        # Of a clone that was deleted at this path without `make clean`, root's database is left, and nobody has its password.
        database.put_aside(database.find_home(place.state))
        stack = create_stack(today, port or ports.DEFAULT_PORT, daily_spans or DAILY_SPANS)
    if daily_spans not in {None, stack.daily_spans}:
        raise StackError(
            f"this stack was set up with {stack.daily_spans} daily spans, not {daily_spans}. `make clean` starts afresh."
        )
    if port not in {None, stack.port}:
        if not is_down(place):
            raise StackError(f"the stack runs with PORT={stack.port}, so it can't start with PORT={port}. Run `make stop` first.")
        stack = stack.model_copy(update={"port": port})
    save_stack(place, stack)
    return stack


def _start(start: Start, parts: Sequence[Part]) -> None:
    place, stack = start.place, start.stack
    # A stack whose supervisor was killed takes a moment to end; its ports would look busy.
    if not start.supervisor.is_running() and not is_down(place):
        with _step(start.out, "the stack before this one is ending"):
            if not await_down(place, ENDING_S):
                raise StackError("the stack before this one does not end; nothing was started. `make stop` ends it by force.")
    processes = start.supervisor.processes() if start.supervisor.is_running() else {}
    missing = [part for part in parts if part.name not in processes or processes[part.name].state not in ALIVE]
    uses = [use for part in missing for use in part.uses] + ([] if processes else ["supervisor"])
    ports.refuse_busy((*ports.busy(uses, stack.port), *ports.stale_sockets(uses, stack.port)), stack.port)
    if not processes:
        _write_files(place, stack)
        start.launched = True
        launch(place, stack, parts_of(place, stack), start.settings)
    for stage in sorted({part.stage for part in parts}):
        _start_stage(start, stage, [part for part in parts if part.stage == stage], [p for p in missing if p.stage == stage])


def _write_files(place: Place, stack: Stack) -> None:
    for folder in (place.logs, place.airflow_home, place.store):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    write_private(place.environment_file, environment.render(environment.generated(place, stack)))
    write_private(place.passwords_file, f'{{"admin": "{stack.admin_password}"}}')


def _start_stage(start: Start, stage: int, parts: Sequence[Part], missing: Sequence[Part]) -> None:
    home = database.find_home(start.place.state)
    if stage == 1 and any(part.name == "postgres" for part in missing):
        database.prepare(home, start.stack.database_password)
    if stage == 2:  # noqa: PLR2004 (Airflow's; see `parts`)
        _migrate(start, home)
    start.started.extend(part.name for part in missing)
    start.supervisor.start(part.name for part in missing)
    _await_health(start, parts, {part.name for part in missing})


def _migrate(start: Start, home: database.Home) -> None:
    """Bring Airflow's tables to the installed version, once."""
    version = importlib.metadata.version("apache-airflow")
    mark = home.folder / "airflow-schema"
    if mark.exists() and mark.read_text() == version:
        return
    log = start.place.logs / "schema.log"
    with _step(start.out, f"airflow {version}: database tables"):
        if run_to_end([sys.executable, "-m", "airflow", "db", "migrate"], start.settings, log) != 0:
            raise StackError(f"Airflow's database tables can't be made. The end of {log}:\n{tail(log)}")
    mark.write_text(version)


def _await_health(start: Start, parts: Sequence[Part], new: set[str]) -> None:
    began = time.monotonic()
    waiting = list(parts)
    with start.out.status("") as status:
        while waiting:
            elapsed_s = time.monotonic() - began
            status.update(f"waiting for {', '.join(part.name for part in waiting)}  [dim]{elapsed_s:.0f} s[/]")
            for part in [part for part in waiting if health.is_healthy(part, start.stack)]:
                waiting.remove(part)
                _done(start.out, part.name, f"{elapsed_s:.1f} s" if part.name in new else "runs already")
            _refuse_failed(start, waiting, elapsed_s)
            time.sleep(0.3 if waiting else 0)


def _refuse_failed(start: Start, waiting: Iterable[Part], elapsed_s: float) -> None:
    processes = start.supervisor.processes()
    for part in waiting:
        process = processes[part.name]
        if process.state in FAILED_STATES or elapsed_s > part.patience_s:
            log = start.place.logs / f"{part.name}.log"
            what = "ended" if process.state in FAILED_STATES else f"is not healthy after {part.patience_s} s"
            raise StackError(f"{part.name} {what} ({process.detail}). The end of {log}:\n{tail(log)}")


def _set_going(start: Start) -> None:
    """The sample, the DAGs and the bootstrap; nothing on a later start."""
    api = chain.AirflowApi(start.stack)
    if chain.is_started(api, start.stack):
        _done(start.out, "daily chain", "runs already")
        return
    first, last = start.stack.history[0], start.stack.last_delivered
    log = start.place.logs / "sample.log"
    with _step(start.out, f"sample: spans {first} to {last} into the store"):
        command = [str(Path(sys.executable).with_name("widedeep")), "sample", "deliver", "--from", str(first), "--to", str(last)]
        if run_to_end(command, start.settings, log) != 0:
            raise StackError(
                f"the stack runs at {start.stack.url}, but the sample could not be delivered. The end of {log}:\n{tail(log)}"
            )
    with _step(start.out, "daily chain: bootstrap triggered, daily spans follow"):
        chain.switch_on(api, start.stack)


@contextmanager
def _undone_on(start: Start, *kinds: type[BaseException]) -> Iterator[None]:
    try:
        yield
    except kinds:
        with _uninterrupted(), start.out.status("stopping what was started"):
            _undo(start)
        if start.launched or start.started:
            _done(start.out, "what this start had started is stopped again", "")
        raise


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A second Ctrl-C must not leave half a stack behind."""
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in INTERRUPTS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _undo(start: Start) -> None:
    if start.launched:
        stop_all(start.place, start.stack)
    elif start.started:
        start.supervisor.stop(start.started)


@contextmanager
def _step(out: Console, what: str) -> Iterator[None]:
    began = time.monotonic()
    with out.status(what):
        yield
    _done(out, what, f"{time.monotonic() - began:.1f} s")


def _done(out: Console, what: str, detail: str) -> None:
    out.print(f"  [green]✓[/] {what}  [dim]{detail}[/]", highlight=False)
