"""The steps from a shell. Results go to standard output, the story to standard error; `--json` gives what a program can read.

Exit status: 0 done, 1 a fault, 2 wrong usage. Heavy imports stand inside the commands, so that `--help` answers at once.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
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
from rich.table import Column, Table
from rich.text import Text

from widedeep.artifacts import LIVE, ChampionPointer, Value
from widedeep.errors import OrderError, UsageError, WidedeepError
from widedeep.local.commands import app as local_app

if TYPE_CHECKING:
    from widedeep.steps import Workplace
    from widedeep.steps.simulated import SimulatedSpan

app = typer.Typer(help=__doc__.splitlines()[0], no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
sample_app = typer.Typer(help="MovieLens-100k as a source of daily spans.", no_args_is_help=True)
app.add_typer(sample_app, name="sample")
app.add_typer(local_app, name="local")

out = Console()
err = Console(stderr=True)


class Colour(StrEnum):
    promoted = "green"
    held = "yellow"
    rejected = "red"
    quarantined = "magenta"


KEPT = {True: "[green]kept[/]", False: "[red]broken[/]", None: "[yellow]no answer[/]"}
DAY = {"formats": ["%Y-%m-%d"], "metavar": "YYYY-MM-DD"}
Span = Annotated[datetime, typer.Option(**DAY, help="Which span.")]
First = Annotated[datetime, typer.Option("--from", **DAY, help="First span.")]
Last = Annotated[datetime, typer.Option("--to", **DAY, help="Last span.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LaneName = Annotated[str, typer.Option(help="Which lane.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the move.")]


@app.command()
def run(
    span: Span, lane: Annotated[str | None, typer.Option(help="Default: live after its head, else a lane of its own.")] = None
) -> None:
    """Run all steps of one span: ingest, validate, train, dry run, gate, publish, settle."""
    from widedeep.steps import run_span

    with _workplace() as place, _watched(place, f"{span:%Y-%m-%d}") as (watched, on_step):
        progress = run_span(watched, span.date(), lane, on_step)
    out.print(
        f"{progress.span} in lane {progress.lane}: [bold]{progress.result}[/]"
        + (f", {progress.release}" if progress.release else "")
    )


@app.command()
def bootstrap(first: First, last: Last) -> None:
    """Train the first release of the live lane on a whole history, in one go."""
    from widedeep.steps import bootstrap as learn

    with _workplace() as place, _watched(place, "bootstrap") as (watched, on_step):
        progress = learn(watched, first.date(), last.date(), on_step)
    out.print(f"{first:%Y-%m-%d} to {last:%Y-%m-%d}: [bold]{progress.result}[/], {progress.release}")


@app.command()
def spans(lane: LaneName = LIVE, as_json: AsJson = False) -> None:
    """How each span of a lane was settled, and why."""
    from widedeep.publishing.lanes import outcomes

    with _workplace() as place:
        found = outcomes(place.store, lane)
    if as_json:
        _print_json(found)
        return
    table = Table("span", "result", "rows", "release", "why")
    for o in found:
        colour = Colour.__members__.get(o.result, "default")
        table.add_row(str(o.span), f"[{colour}]{o.result}[/]", _rows(o.snapshot), o.release_id or "", "; ".join(o.reasons))
    out.print(table if found else f"lane {lane}: no span is settled yet. Run `widedeep bootstrap` or `widedeep run`.")


@app.command()
def releases(as_json: AsJson = False) -> None:
    """Published releases, newest span first."""
    from widedeep.publishing.releases import releases as published

    with _workplace() as place:
        found = sorted(published(place.store), key=lambda release: (release.span, release.release_id), reverse=True)
    if as_json:
        _print_json(found)
        return
    table = Table("release", "span", "decision", "manifest")
    for release in found:
        table.add_row(release.release_id, str(release.span), release.decision, release.manifest_sha256[:12])
    out.print(table if found else "no release is published yet. Run `widedeep bootstrap` or `widedeep run`.")


@app.command()
def verify(
    release: Annotated[str | None, typer.Argument(help="A release's id, or how it begins.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is published.")] = False,
    sign: Annotated[bool, typer.Option("--sign", help="Sign what is sound with this environment's key.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read a release again, every byte of it, and tell all that is wrong with it; then the exit status is 1."""
    from widedeep.publishing.keys import load_signer
    from widedeep.steps.named import find_release, published_ids
    from widedeep.steps.verification import verify as check

    if (release is None) != everything:
        raise UsageError("verify: wanted either a release or --all. `widedeep releases` lists them.")
    sound: set[str] = set()
    found = []
    with _workplace() as place:
        signer = load_signer(place.settings) if sign else None
        if sign and signer is None:
            raise UsageError("verify --sign: there is no key to sign with. Set WIDEDEEP_SIGNING_KEY_FILE.")
        for each in (find_release(place.store, release),) if release is not None else published_ids(place.store):
            with _counted(f"verify {each}") as on_file:
                found.append(check(place, each, on_file, sound, signer))
            if not as_json:
                out.print(found[-1].told(), highlight=False, soft_wrap=True)
    if as_json:
        _print_json(found if everything else found[0])
    if any(each.problems for each in found):
        raise typer.Exit(1)


@app.command()
def lineage(release: Annotated[str, typer.Argument(help="Its id, or how it begins.")], as_json: AsJson = False) -> None:
    """What data, code, parents and decision made a release, and who did what with it."""
    from widedeep.steps.lineage import trace
    from widedeep.steps.lineage_tree import tree_of
    from widedeep.steps.named import find_release

    with _workplace() as place:
        history = trace(place.store, find_release(place.store, release))
    if as_json:
        _print_json(history)
        return
    out.print(tree_of(history), soft_wrap=True)


@app.command()
def champion(
    lane: LaneName = LIVE,
    history: Annotated[bool, typer.Option("--history", help="All moves of the pointer, the newest first.")] = False,
    as_json: AsJson = False,
) -> None:
    """The release that readers of a lane follow."""
    from widedeep.publishing.pointer import moves

    with _workplace() as place:
        past = list(moves(place.store, lane)) if history else list(islice(moves(place.store, lane), 1))
    if not past:
        raise OrderError(f"lane {lane}: nothing was promoted yet. Run `widedeep bootstrap` or `widedeep run`.")
    if as_json:
        _print_json(past if history else past[0])
        return
    if history:
        out.print(_moves_table(past))
        return
    pointer = past[0]
    out.print(f"[bold]{pointer.release_id}[/] of span {pointer.span}, champion of lane {pointer.lane} by move {pointer.sequence}")
    out.print(f"moved {pointer.moved_at:%Y-%m-%d %H:%M} UTC by {pointer.moved_by}: {pointer.reason}")
    out.print(f"before: {pointer.previous or 'nothing'}; manifest {pointer.manifest_sha256}")
    if pointer.frozen:
        out.print(f"[cyan]frozen[/]: {pointer.frozen}. Nothing is promoted until `widedeep thaw`.")


@app.command()
def rollback(
    reason: Reason,
    to: Annotated[str | None, typer.Option(metavar="RELEASE", help="Default: the champion before the present one.")] = None,
    lane: LaneName = LIVE,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Make a former champion the champion again, after a dry run; later champions are withdrawn, their spans learnt again."""
    from widedeep.steps import plan_rollback, rehearse_rollback, roll_back

    with _workplace() as place:
        plan = plan_rollback(place, lane, to)
        out.print(plan.told(), soft_wrap=True)
        if not (yes or err.is_terminal):
            raise UsageError("rollback: nobody can be asked here; look at what it would do above, and give --yes.")
        if not yes:
            typer.confirm("Roll back?", abort=True, err=True)
        rehearse_rollback(place, plan)
        pointer = roll_back(place, plan, reason)
    out.print(f"[bold]{pointer.release_id}[/] is champion of lane {pointer.lane} by move {pointer.sequence}")


@app.command()
def freeze(reason: Reason, lane: LaneName = LIVE) -> None:
    """Promote nothing in a lane until it is thawed; runs go on, and what passes is stored and pending."""
    from widedeep.publishing.moves import freeze as stop

    with _workplace() as place:
        pointer = stop(place.store, lane, place.because(reason))
    out.print(f"lane {lane} is [cyan]frozen[/] since {pointer.moved_at:%Y-%m-%d %H:%M} UTC: {pointer.frozen}")


@app.command()
def thaw(reason: Reason, lane: LaneName = LIVE) -> None:
    """Allow promotions in a frozen lane again."""
    from widedeep.publishing.moves import thaw as go_on

    with _workplace() as place:
        pointer = go_on(place.store, lane, place.because(reason))
    out.print(f"lane {lane} promotes again; champion is [bold]{pointer.release_id}[/]")


@app.command()
def prune(
    delete: Annotated[bool, typer.Option("--delete", help="Delete it; else it is only shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """What the contract's retention does not keep: old candidates, rows, reports, and what crashes left behind."""
    from widedeep.steps import plan_prune
    from widedeep.steps import prune as carry_out

    with _workplace() as place:
        planned = plan_prune(place)
        if delete and planned.items:
            with _counted("prune") as on_item:
                done = count(1)
                planned = carry_out(place, planned, lambda _: on_item(next(done), len(planned.items)))
    if as_json:
        out.print_json(json.dumps([{**asdict(item), "size_bytes": item.size_bytes} for item in planned.items], default=str))
        return
    table = Table("kind", "what", "why", "size")
    for item in planned.items:
        table.add_row(item.kind, item.name, item.why, decimal(item.size_bytes))
    if planned.items:
        out.print(table)
    went = "freed" if delete else "would be freed by `widedeep prune --delete`"
    out.print(f"{decimal(planned.size_bytes)} {went}; {len(planned.uploads)} unfinished uploads")


@app.command()
def rank(
    user: Annotated[str, typer.Option(help="User, as in the contract's user column.")],
    top: Annotated[int, typer.Option(min=1, help="How many items.")] = 10,
    lane: LaneName = LIVE,
    as_json: AsJson = False,
) -> None:
    """Rank the champion's catalogue for a user."""
    from widedeep.publishing.keys import load_trust
    from widedeep.publishing.pointer import champion as current
    from widedeep.serving.loading import load_to_serve
    from widedeep.serving.ranking import rank as rank_for

    with _workplace() as place:
        pointer = current(place.store, lane)
        if pointer is None:
            raise OrderError(f"lane {lane}: nothing was promoted yet, so nothing can rank. Run `widedeep bootstrap` first.")
        manifest = load_to_serve(place.store, load_trust(place.settings), pointer.release_id, pointer.manifest_sha256)
        ranking = rank_for(place.store, place.contract, manifest, user, top, place.folder())
    if as_json:
        out.print_json(json.dumps(asdict(ranking)))
        return
    if not ranking.known:
        err.print(f"user {user} is in no learnt span: ranked by what the items alone tell", style="yellow")
    table = Table("#", "item", "title", "score", title=f"user {user}, release {ranking.release_id}")
    for place_, item in enumerate(ranking.items, 1):
        table.add_row(str(place_), item.item, item.title or "", f"{item.score:.4f}")
    out.print(table)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Try on the store itself, with racing writers, whether it is safe to publish to; exit status 1 if it is not."""
    from widedeep.steps import examine_store

    with _workplace() as place:
        diagnosis = examine_store(place)
    if as_json:
        out.print_json(json.dumps({"safe": diagnosis.safe, **diagnosis.model_dump(mode="json")}))
    else:
        for check in diagnosis.checks:
            out.print(f"{KEPT[check.passed]} [bold]{check.name}[/]: ", end="")
            out.print(check.finding, markup=False, soft_wrap=True)
        out.print(diagnosis.verdict(), markup=False, soft_wrap=True)
    raise typer.Exit(0 if diagnosis.safe else 1)


@app.command()
def demo() -> None:
    """Three spans through the same steps, without Airflow: one promoted, one quarantined, one rejected."""
    from widedeep.demo import demonstrate

    demonstrate(out)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder, or that of the same simulation.")],
    days: Annotated[int, typer.Option(min=1, help="How many spans.")] = 30,
    rows_per_day: Annotated[int, typer.Option(help="Rows of each span, a multiple of 10.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Another seed is another store.")] = 0,
    start: Annotated[datetime, typer.Option(**DAY, help="The first span.")] = datetime(2026, 1, 1),
    apps: Annotated[int, typer.Option(help="Apps in the store on any day.")] = 500,
    stationary: Annotated[bool, typer.Option("--stationary", help="No drift, no new apps and users.")] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:DAY[:SIZE|:COLUMN]",
            help="regression:D:SIZE, drift:D:SIZE, decay:D:SIZE, broken-column:D:COLUMN, truncated:D; day D counts from 0.",
        ),
    ] = None,
    deliver: Annotated[bool, typer.Option("--deliver", help="Put the spans into the store's landing area, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the spans of a simulated app store, with the true probability of every row beside them (docs/simulator.md)."""
    from widedeep.simulation import parse_fault, simulation_settings
    from widedeep.steps.simulated import deliver_simulated
    from widedeep.steps.simulated import simulate as write

    faults = tuple(parse_fault(text) for text in fault or ())
    settings = simulation_settings(rows_per_day=rows_per_day, seed=seed, start=start.date(), apps=apps, faults=faults)
    with _counted("simulate") as on_day:
        written = write(settings.stationary() if stationary else settings, days, folder, on_day)
    if deliver:
        with _workplace() as place:
            deliver_simulated(place, folder, written)
    if as_json:
        _print_json(written)
        return
    out.print(_bayes_table(written, f"{folder}"))


@sample_app.command()
def fetch(folder: Annotated[Path, typer.Option(help="Where the three files go.")] = Path(".local/sample")) -> None:
    """Download MovieLens-100k (inside the wheel of recbole 1.2.1), checked by SHA-256."""
    from widedeep.data.movielens import fetch as fetch_sample

    fetch_sample(folder)
    out.print(f"sample: MovieLens-100k is in {folder}")


@sample_app.command()
def deliver(first: First, last: Last) -> None:
    """Put the sample's spans into the landing area; those that are there stay as they are."""
    from widedeep.steps import deliver_sample

    with _workplace() as place:
        delivered = deliver_sample(place, first.date(), last.date())
    out.print(
        f"sample: {len(delivered)} spans are delivered"
        + (f", {delivered[0]} to {delivered[-1]}" if delivered else ": it is used up")
    )


def main() -> None:
    """Entry point: a known error is one clear message, never a stack trace."""
    try:
        app()
    except UsageError as error:
        _fail(error, 2)
    except WidedeepError as error:
        _fail(error, 1)


def _fail(error: WidedeepError, status: int) -> None:
    err.print("error:", style="bold red", end=" ")
    err.print(str(error), markup=False, emoji=False, highlight=False, soft_wrap=True)
    sys.exit(status)


@contextmanager
def _workplace() -> Iterator["Workplace"]:
    from widedeep.steps import open_workplace

    user = os.environ.get("USER") or str(os.getuid())
    with _logging(logging.INFO), open_workplace(os.environ, actor=f"shell:{user}") as place:
        yield place


@contextmanager
def _watched(place: "Workplace", title: str) -> Iterator[tuple["Workplace", Callable[[str], None]]]:
    """A bar in a terminal: which step runs and, while training, rows, rate and time left. Elsewhere the log's lines tell it."""
    if not err.is_terminal:
        yield place, lambda _step: None
        return
    from widedeep.steps.pace import rate_line

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(None), _Pace(Column(no_wrap=True)))
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
def _counted(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar in a terminal that counts days, or files."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Pace(ProgressColumn):
    """While rows are learnt, how fast; in other steps the time that it has taken so far."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["pace"] or str(timedelta(seconds=int(task.elapsed or 0))))


@contextmanager
def _logging(level: int) -> Iterator[None]:
    handler = RichHandler(level, console=err, show_path=False, show_level=False, highlighter=None)
    logger = logging.getLogger("widedeep")
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _bayes_table(spans: Sequence["SimulatedSpan"], title: str) -> Table:
    table = Table("span", "rows", "label rate", "Bayes AUC", "Bayes log loss", title=title)
    for day in spans:
        known = (day.bayes.label_rate, day.bayes.auc, day.bayes.log_loss) if day.bayes else ()
        table.add_row(str(day.span), f"{day.rows:,}", *("" if number is None else f"{number:.4f}" for number in known))
    return table


def _moves_table(past: Sequence[ChampionPointer]) -> Table:
    table = Table("move", "when (UTC)", "what", "release", "span", "by", "why")
    for m in past:
        table.add_row(str(m.sequence), f"{m.moved_at:%Y-%m-%d %H:%M}", m.kind, m.release_id, str(m.span), m.moved_by, m.reason)
    return table


def _print_json(found: Value | Sequence[Value]) -> None:
    plain = found.model_dump(mode="json") if isinstance(found, Value) else [value.model_dump(mode="json") for value in found]
    out.print_json(json.dumps(plain))


def _rows(snapshot: object) -> str:
    rows = getattr(snapshot, "rows", None)
    return "" if rows is None else f"{rows:,}"
