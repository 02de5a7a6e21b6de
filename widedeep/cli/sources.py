"""Commands that bring data: the sample, and a simulated app store."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from widedeep.cli.terminal import DAY, AsJson, First, Last, app, counted, out, print_json, workplace

if TYPE_CHECKING:
    from widedeep.steps.simulated import SimulatedSpan

sample_app = typer.Typer(help="MovieLens-100k as a source of daily spans.", no_args_is_help=True)
app.add_typer(sample_app, name="sample", rich_help_panel="Data")


@app.command(rich_help_panel="Data")
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
    with counted("simulate") as on_day:
        written = write(settings.stationary() if stationary else settings, days, folder, on_day)
    if deliver:
        with workplace() as place:
            deliver_simulated(place, folder, written)
    if as_json:
        print_json(written)
        return
    out.print(_bayes_table(written, f"{folder}"))


def _bayes_table(spans: Sequence["SimulatedSpan"], title: str) -> Table:
    table = Table("span", "rows", "label rate", "Bayes AUC", "Bayes log loss", title=title)
    for day in spans:
        known = (day.bayes.label_rate, day.bayes.auc, day.bayes.log_loss) if day.bayes else ()
        table.add_row(str(day.span), f"{day.rows:,}", *("" if number is None else f"{number:.4f}" for number in known))
    return table


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

    with workplace() as place:
        delivered = deliver_sample(place, first.date(), last.date())
    out.print(
        f"sample: {len(delivered)} spans are delivered"
        + (f", {delivered[0]} to {delivered[-1]}" if delivered else ": it is used up")
    )
