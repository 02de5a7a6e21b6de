"""What all commands share: the application, both consoles, options, a workplace, bars."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from widedeep.artifacts import Snapshot, Value

if TYPE_CHECKING:
    from widedeep.steps import Workplace

app = typer.Typer(
    help="The steps from a shell. Results go to standard output, the story to standard error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

out = Console()
err = Console(stderr=True)


class Colour(StrEnum):
    promoted = "green"
    held = "yellow"
    rejected = "red"
    quarantined = "magenta"
    added = "blue"


DAY = {"formats": ["%Y-%m-%d"], "metavar": "YYYY-MM-DD"}
Span = Annotated[datetime, typer.Option(**DAY, help="Which span.")]
First = Annotated[datetime, typer.Option("--from", **DAY, help="First span.")]
Last = Annotated[datetime, typer.Option("--to", **DAY, help="Last span.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LaneName = Annotated[str, typer.Option(help="Which lane.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the move.")]


@contextmanager
def workplace() -> Iterator["Workplace"]:
    from widedeep.steps import open_workplace

    user = os.environ.get("USER") or str(os.getuid())
    with logged(logging.INFO), open_workplace(os.environ, actor=f"shell:{user}") as place:
        yield place


@contextmanager
def watched(place: "Workplace", title: str) -> Iterator[tuple["Workplace", Callable[[str], None]]]:
    """A bar in a terminal: which step runs and, while training, rows, rate and time left. Elsewhere the log's lines tell it."""
    if not err.is_terminal:
        yield place, lambda _step: None
        return
    from widedeep.steps.pace import rate_line

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(None), Pace(Column(no_wrap=True)))
    with Progress(*columns, console=err, transient=True) as bar:

        def on_step(step: str) -> None:
            for task in bar.task_ids:
                bar.remove_task(task)
            bar.add_task(f"{title}: {step}", total=None, pace=None)

        def on_rows(rows_learnt: int, rows: int) -> None:
            (task,) = bar.tasks
            if rows_learnt == 0:
                bar.reset(task.id)
            pace = rate_line(rows_learnt, rows, task.elapsed or 0.0)
            bar.update(task.id, completed=rows_learnt, total=rows, pace=pace)

        yield replace(place, on_rows=on_rows), on_step


@contextmanager
def counted(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar in a terminal that counts days, or files."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class Pace(ProgressColumn):
    """While rows are learnt, how fast; in other steps the time that it has taken so far."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["pace"] or str(timedelta(seconds=int(task.elapsed or 0))))


@contextmanager
def logged(level: int) -> Iterator[None]:
    handler = RichHandler(level, console=err, show_path=False, show_level=False, highlighter=None)
    logger = logging.getLogger("widedeep")
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def print_json(found: Value | Sequence[Value]) -> None:
    plain = found.model_dump(mode="json") if isinstance(found, Value) else [value.model_dump(mode="json") for value in found]
    out.print_json(json.dumps(plain))


def rows_of(snapshot: Snapshot | None) -> str:
    """How many rows, for a table."""
    return f"{snapshot.rows:,}" if snapshot else ""
