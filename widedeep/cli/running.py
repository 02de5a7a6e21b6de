"""Commands that do the steps."""

import logging
import signal
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from widedeep.artifacts import OnHold
from widedeep.cli.terminal import First, Last, Span, app, logged, out, watched, workplace


@app.command(rich_help_panel="Run")
def run(
    span: Span,
    lane: Annotated[str | None, typer.Option(help="Default: live after its head, else a lane of its own.")] = None,
    on_hold: Annotated[
        OnHold, typer.Option(help="Outside of live a held candidate stays unpromoted, or leads the lane.")
    ] = "drop",
) -> None:
    """Run all steps of one span: ingest, validate, train, dry run, gate, publish, settle."""
    from widedeep.steps import run_span

    with workplace() as place, watched(place, f"{span:%Y-%m-%d}") as (told, on_step):
        progress = run_span(told, span.date(), lane, on_step, on_hold=on_hold)
    out.print(
        f"{progress.span} in lane {progress.lane}: [bold]{progress.result}[/]"
        + (f", {progress.release}" if progress.release else "")
    )


@app.command(rich_help_panel="Run")
def replay(
    first: First,
    lane: Annotated[str | None, typer.Option(help="Default: a new one. One that has begun goes on where it was.")] = None,
    on_hold: Annotated[OnHold, typer.Option(help="What the gate holds stays unpromoted, or leads the lane.")] = "drop",
) -> None:
    """Rebuild the days from one up to live's head in a lane of their own; live stays as it is."""
    from widedeep.steps import plan_replay, replayed
    from widedeep.steps import replay as rebuild

    with workplace() as place:
        plan = plan_replay(place, first.date(), lane)
        out.print(plan.told(), highlight=False, soft_wrap=True)
        with watched(place, plan.lane) as (told, on_step):
            done = rebuild(told, plan, on_hold, lambda where, step: on_step(f"{where}: {step}"))
        out.print(replayed(place, done), markup=False, highlight=False, soft_wrap=True)


@app.command(rich_help_panel="Run")
def bootstrap(first: First, last: Last) -> None:
    """Train the first release of the live lane on a whole history, in one go."""
    from widedeep.steps import bootstrap as learn

    with workplace() as place, watched(place, "bootstrap") as (told, on_step):
        progress = learn(told, first.date(), last.date(), on_step)
    out.print(f"{first:%Y-%m-%d} to {last:%Y-%m-%d}: [bold]{progress.result}[/], {progress.release}")


@app.command(rich_help_panel="Run")
def join(
    folder: Annotated[
        Path, typer.Option(exists=True, file_okay=False, envvar="WIDEDEEP_TRAINING_FOLDER", help="That all machines see.")
    ],
) -> None:
    """Lend this machine to another one that trains (training.engine: torchrec), training after training, until interrupted."""
    from widedeep.training.distributed.machines import join as lend

    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with logged(logging.INFO):
        lend(folder, stopped.is_set)


@app.command(rich_help_panel="Run")
def demo() -> None:
    """Three spans through the same steps, without Airflow: one promoted, one quarantined, one rejected."""
    from widedeep.demo import demonstrate

    demonstrate(out)
