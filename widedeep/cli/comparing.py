"""Two releases side by side. Nothing is decided or stored by it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from widedeep.cli.terminal import AsJson, app, err, out, print_json, workplace
from widedeep.errors import UsageError

if TYPE_CHECKING:
    from widedeep.evaluation.report.values import Report
    from widedeep.serving.explaining import Lists, Moved


@app.command(rich_help_panel="Look")
def compare(
    candidate: Annotated[str, typer.Argument(help="A release's id, or how it begins.")],
    champion: Annotated[str, typer.Argument(help="What it is compared with.")],
    output: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a page with pictures.")] = None,
    as_json: AsJson = False,
) -> None:
    """Two releases side by side on the newest held-out rows that neither has learnt. Nothing is decided by it."""
    from widedeep.steps.comparing import compare as compared

    if output and not output.parent.is_dir():
        raise UsageError(f"compare: got --output {output}, and {output.parent} is no folder; wanted a file in one that is there.")
    with workplace() as place:
        report = compared(place, candidate, champion)
    if output:
        write_page(report, output)
    if as_json:
        print_json(report)
        return
    show_comparison(report)


@app.command(rich_help_panel="Look")
def explain(
    candidate: Annotated[str, typer.Argument(help="A release's id, or how it begins.")],
    champion: Annotated[str, typer.Argument(help="Beside it.")],
    user: Annotated[str | None, typer.Option(help="Whose lists. Default: what differs in the lists of sample users.")] = None,
    top: Annotated[int, typer.Option(min=1, max=100, help="How many items.")] = 10,
    as_json: AsJson = False,
) -> None:
    """What users would see by two releases, and what the wide and the deep part add to each score."""
    from widedeep.serving.explaining import lists, moved
    from widedeep.steps.named import find_manifest

    with workplace() as place:
        both = (find_manifest(place.store, candidate), find_manifest(place.store, champion))
        if user is None:
            found = moved(place.store, place.contract, *both, top, place.folder())
            print_json(found) if as_json else show_moved(found)
        else:
            ranked = lists(place.store, place.contract, both, user, top, place.folder())
            print_json(ranked) if as_json else show_lists(ranked)


def show_moved(found: "Moved") -> None:
    table = Table(
        "item", "", "candidate's lists", "champion's lists", title=f"lists of {found.users} users, {found.k} items each"
    )
    for item in found.items:
        table.add_row(item.item, item.title or "", str(item.one), str(item.other))
    out.print(table)
    out.print(f"in both lists: {found.kept:.0%} of the items; the same items: {found.unchanged} of {found.users} lists")


def show_lists(found: "Lists") -> None:
    if not found.known:
        err.print(f"user {found.user} is in no learnt span: ranked by what the items alone tell", style="yellow")
    for each in found.lists:
        table = Table("#", "item", "", "score", "wide", "deep", "bias", title=f"user {found.user}, release {each.release_id}")
        for place_, item in enumerate(each.items, 1):
            parts = (f"{value:+.3f}" for value in (item.wide, item.deep, item.bias))
            table.add_row(str(place_), item.item, item.title or "", f"{item.score:.4f}", *parts)
        out.print(table)


def write_page(report: "Report", output: Path) -> None:
    from widedeep.evaluation.report.page import page

    output.write_bytes(page(report, in_store=False))
    err.print(f"written: {output}", highlight=False, soft_wrap=True)


def show_comparison(report: "Report") -> None:
    from widedeep.evaluation.report.tables import compared_lines

    spans = ", ".join(sorted({str(part.span) for part in report.holdout}))
    table = Table("", report.release_id, report.compared_with or "", "change", title=f"held-out rows of span {spans}")
    for line in compared_lines(report):
        table.add_row(*line)
    out.print(table)
    for difference in report.differences:
        i = difference.interval
        out.print(f"{difference.name}: loss differs by {i.estimate:+.5f}, {i.percent} interval {i.lower:+.5f} to {i.upper:+.5f}")
