"""`widedeep local …`: the local stack from a shell; the Makefile's targets are these commands.

Nothing heavy is imported here: the start of a stack should not wait for pandas, torch or Airflow in this process too.
"""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from widedeep.errors import StackError
from widedeep.local import environment
from widedeep.local.stack import Place, Stack, find_place, load_stack

app = typer.Typer(help="The whole chain on this machine: object store, database and Airflow.", no_args_is_help=True)
out = Console()

State = Annotated[Path | None, typer.Option(help="The stack's folder. Default: .local in the checkout.")]


@app.command()
def up(
    port: Annotated[
        int | None, typer.Option(help="Base port; all others follow from it. Default: that of last time, else 8080.")
    ] = None,
    daily_spans: Annotated[
        int | None, typer.Option(min=1, max=23, help="Daily spans delivered by the first start. Default: 9.")
    ] = None,
    state: State = None,
) -> None:
    """Start what does not run yet, and wait until all of it is healthy."""
    from widedeep.local.up import up as start

    # SIGINT too: a shell's background job inherits it ignored, and Python would leave it so.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupt)
    place = find_place(state)
    stack = start(place, port, daily_spans, datetime.now(UTC).date(), out)
    out.print(f"\nAirflow   {stack.url}\nuser      admin\npassword  {stack.admin_password}", highlight=False)


@app.command()
def down(
    state: State = None,
    remove: Annotated[bool, typer.Option("--remove", help="Delete its data too: store, database, secrets, logs.")] = False,
) -> None:
    """Stop everything, and wait until no process is left."""
    from widedeep.local import down as ending

    place = find_place(state)
    with out.status("stopping"):
        stopped = ending.down(place)
        if remove:
            ending.remove(place)
    out.print(
        ("stopped; no process is left" if stopped else "nothing was running") + ("; its data are removed" if remove else "")
    )


@app.command()
def status(state: State = None) -> None:
    """Show the parts: pid, health, port, memory. Exit status 3 unless all are healthy."""
    from widedeep.local.status import rows, table

    place = find_place(state)
    stack = load_stack(place)
    found = rows(place, stack) if stack else ()
    out.print(table(found) if found else "nothing runs; `make local-airflow` starts it")
    if stack and found:
        out.print(f"\n{stack.url}  user admin  password {stack.admin_password}", highlight=False)
    if not found or not all(row.healthy for row in found):
        raise typer.Exit(3)


@app.command()
def logs(
    part: Annotated[str | None, typer.Argument(help="One part, e.g. scheduler. Default: all.")] = None, state: State = None
) -> None:
    """Follow the logs; Ctrl-C ends it, and nothing else."""
    folder = find_place(state).logs
    files = sorted(folder.glob(f"{part or '*'}.log"))
    if not files:
        known = ", ".join(sorted(path.stem for path in folder.glob("*.log"))) or "none yet"
        raise StackError(f"no log {part or ''} in {folder}; there are: {known}")
    os.execvp("tail", ["tail", "-n", "30", "-F", *map(str, files)])  # noqa: S606, S607


@app.command(context_settings={"ignore_unknown_options": True})
def env(
    command: Annotated[list[str] | None, typer.Argument(help="Run this instead of printing.")] = None, state: State = None
) -> None:
    """Print the stack's environment for a shell to source, or run a command in it."""
    place, stack = _existing(state)
    settings = environment.generated(place, stack)
    if not command:
        sys.stdout.write(environment.render(settings))
        return
    full = environment.complete(settings, os.environ)
    try:
        os.execvpe(command[0], command, full)  # noqa: S606
    except FileNotFoundError as error:
        raise StackError(f"no command {command[0]!r} on the PATH") from error


def _existing(state: Path | None) -> tuple[Place, Stack]:
    place = find_place(state)
    stack = load_stack(place)
    if stack is None:
        raise StackError(f"there is no stack in {place.state} yet: `make local-airflow` makes one.")
    return place, stack


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
