"""Commands for somebody's own data: a first contract from a sample, its JSON Schema, and the checks of a span."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from widedeep.cli.terminal import AsJson, Span, app, counted, err, out, workplace
from widedeep.errors import OrderError

if TYPE_CHECKING:
    from widedeep.data.guess import Draft
    from widedeep.steps.contracts import Checked

COLOURS = {"critical": "red", "drastic": "yellow", "rows": "magenta", "warning": "cyan"}
JUDGED = {"valid": "green", "held": "yellow", "quarantined": "magenta", "no data": "yellow"}


@app.command(rich_help_panel="Data")
def init(
    source: Annotated[str, typer.Option("--from", metavar="PATH", help="A file, a folder, or s3://bucket/prefix.")],
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Default: <name>.yaml.")] = None,
    name: Annotated[str | None, typer.Option(help="What the chain is called. Default: after the path.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="How many rows to look at, at most.")] = 500_000,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Guess a contract from a sample of your data, with the reasons as comments: correct it, then `widedeep validate`."""
    from widedeep.data.guess import draft, read_sample, text_of
    from widedeep.steps.contracts import listing_of, name_of, require_writable, schema_for, write_contract

    called = name or name_of(source)
    path = file or Path(f"{called}.yaml")
    require_writable(path, force)
    with counted("init") as on_file:
        guessed = draft(read_sample(listing_of(source, os.environ), rows, on_file), called)
    write_contract(path, text_of(guessed, schema_for(path)))
    if as_json:
        out.print_json(json.dumps(_plain(guessed, path), default=str))
        return
    _show(guessed, path)


@app.command(rich_help_panel="Data")
def schema() -> None:
    """The JSON Schema of a contract, for editors."""
    from widedeep.data.schema import contract_schema

    typer.echo(json.dumps(contract_schema(), indent=2, ensure_ascii=False))


@app.command(rich_help_panel="Data")
def validate(
    span: Span,
    lane: Annotated[str | None, typer.Option(help="Default: live after its head, else a lane of its own.")] = None,
    docs: Annotated[Path | None, typer.Option(metavar="DIR", help="Save the Data Docs, to open in a browser.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hold a delivered span against the contract; exit status 1 if it would not be learnt.

    Nothing is settled. Snapshot, findings and Data Docs are stored as a run would store them, and its run finds them.
    """
    from widedeep.steps.contracts import check_span, save_pages

    with workplace() as place:
        checked = check_span(place, span.date(), lane)
        if checked.validation is None:
            raise OrderError(f"span {span:%Y-%m-%d}: {checked.progress.no_data}. Deliver it, then validate again.")
        saved = save_pages(place.store, checked.pages, docs) if docs else ()
        pages = tuple(f"{place.store.url}/{page}" for page in checked.pages)
    if as_json:
        out.print_json(json.dumps(_findings(checked, pages)))
    else:
        _report(checked, tuple(map(str, saved)) or pages)
    raise typer.Exit(0 if checked.judgement == "valid" else 1)


def _show(guessed: "Draft", path: Path) -> None:
    out.print(_table(guessed, f"{path}: {guessed.sample.table.num_rows:,} rows were looked at"))
    for place in guessed.undecided:
        out.print(Text.assemble(("to decide: ", "bold red"), f"{place}: {guessed.why[place]}"), soft_wrap=True)
    step = "decide what it asks, and correct it" if guessed.undecided else "correct it"
    out.print(f"{path} is written: {step}. Then deliver a day, and", markup=False, soft_wrap=True)
    out.print(f"  export WIDEDEEP_CONTRACT={path.resolve()}", markup=False, highlight=False, soft_wrap=True)
    out.print("  widedeep validate --span YYYY-MM-DD\n  widedeep run --span YYYY-MM-DD", highlight=False)


def _table(guessed: "Draft", title: str) -> Table:
    """A line for each column, with the first of its reasons: all of them stand in the file."""
    places = {guessed.document.get(place): place for place in ("user", "time", "item", "title")}
    places[guessed.document["label"]["column"]] = "label"
    table = Table("column", "type", "role", "of", "values", "null", "note", title=title)
    for column in guessed.columns:
        entries, seen = column.entries, column.seen
        role = " ".join(filter(None, [places.get(column.name), entries.get("role")]))
        nulls = f"{seen.null_share:.1%}" if seen.null_share else ""
        cells = (
            column.name,
            entries.get("type", "none"),
            role,
            entries.get("of", ""),
            f"{seen.different:,}",
            nulls,
            *column.why[:1],
        )
        table.add_row(*(Text(_printable(cell)) for cell in cells), style="yellow" if column.gives_away or not entries else None)
    return table


def _plain(guessed: "Draft", path: Path) -> dict[str, Any]:
    return {
        "path": str(path),
        "contract": guessed.document,
        "why": dict(guessed.why) | {f"columns.{column.name}": "; ".join(column.why) for column in guessed.columns},
        "undecided": guessed.undecided,
        "leaks": [column.name for column in guessed.columns if column.gives_away],
    }


def _report(checked: "Checked", pages: tuple[str, ...]) -> None:
    findings = checked.validation.findings if checked.validation else ()
    for severity, colour in COLOURS.items():
        for finding in (f for f in findings if f.severity == severity):
            out.print(Text.assemble((f"{severity:>8} ", colour), _printable(finding.message)), soft_wrap=True)
    counts = {severity: sum(f.severity == severity for f in findings) for severity in COLOURS}
    told = ", ".join(f"{count} {severity}" for severity, count in counts.items() if count) or "none"
    judged = (checked.judgement, f"bold {JUDGED[checked.judgement]}")
    out.print(Text.assemble(f"span {checked.progress.span}: {_rows(checked)}, ", judged, f"; findings: {told}"), soft_wrap=True)
    for page in pages:
        err.print(f"Data Docs: {page}", markup=False, highlight=False, soft_wrap=True)


def _rows(checked: "Checked") -> str:
    whole = checked.progress.snapshot if checked.validation is None else checked.validation.snapshot
    if whole is None:
        return "its files can't be read"
    clean = checked.validation.clean if checked.validation else None
    return f"{whole.rows:,} rows" + (f", {whole.rows - clean.rows:,} of them bad and taken out" if clean else "")


def _printable(text: str) -> str:
    """What a terminal shows as it is: values in a message come from the delivery."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _findings(checked: "Checked", pages: tuple[str, ...]) -> dict[str, Any]:
    validation = checked.validation.model_dump(mode="json") if checked.validation else {}
    return {**validation, "judgement": checked.judgement, "lane": checked.progress.lane, "docs": pages}
