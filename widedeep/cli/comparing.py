"""Two releases side by side. Nothing is decided or stored by it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from widedeep.cli.terminal import AsJson, app, err, out, print_json, workplace
from widedeep.errors import UsageError

if TYPE_CHECKING:
    from widedeep.evaluation.report.values import Report


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
