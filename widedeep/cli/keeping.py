"""Commands that look after the store."""

import json
from dataclasses import asdict
from itertools import count
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.table import Table

from widedeep.cli.terminal import AsJson, app, counted, out, print_json, workplace
from widedeep.errors import UsageError

KEPT = {True: "[green]kept[/]", False: "[red]broken[/]", None: "[yellow]no answer[/]"}


@app.command(rich_help_panel="Keep")
def doctor(as_json: AsJson = False) -> None:
    """Try on the store itself, with racing writers, whether it is safe to publish to; exit status 1 if it is not."""
    from widedeep.steps import examine_store

    with workplace() as place:
        diagnosis = examine_store(place)
    if as_json:
        out.print_json(json.dumps({"safe": diagnosis.safe, **diagnosis.model_dump(mode="json")}))
    else:
        for check in diagnosis.checks:
            out.print(f"{KEPT[check.passed]} [bold]{check.name}[/]: ", end="")
            out.print(check.finding, markup=False, soft_wrap=True)
        out.print(diagnosis.verdict(), markup=False, soft_wrap=True)
    raise typer.Exit(0 if diagnosis.safe else 1)


@app.command(rich_help_panel="Keep")
def prune(
    delete: Annotated[bool, typer.Option("--delete", help="Delete it; else it is only shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """What the contract's retention does not keep: old candidates, rows, reports, and what crashes left behind."""
    from widedeep.steps import plan_prune
    from widedeep.steps import prune as carry_out

    with workplace() as place:
        planned = plan_prune(place)
        if delete:
            with counted("prune") as on_item:
                done = count(1)
                planned = carry_out(place, planned, lambda _: on_item(next(done), len(planned.items)))
    if as_json:
        items = [{**asdict(item), "size_bytes": item.size_bytes} for item in planned.items]
        uploads = [{"kind": "upload", "name": u.key, "why": "never completed", **asdict(u)} for u in planned.uploads]
        out.print_json(json.dumps([*items, *uploads], default=str))
        return
    table = Table("kind", "what", "why", "size")
    for item in planned.items:
        table.add_row(item.kind, item.name, item.why, decimal(item.size_bytes))
    if planned.items:
        out.print(table)
    went = "freed" if delete else "would be freed by `widedeep prune --delete`"
    out.print(f"{decimal(planned.size_bytes)} {went}; {len(planned.uploads)} unfinished uploads")


@app.command(rich_help_panel="Keep")
def erase(
    user: Annotated[str, typer.Option(help="The user's key, as in the contract's user column.")],
    delete: Annotated[bool, typer.Option("--delete", help="Erase; else it is only shown.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept with the record, so no name in it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forget one user: rows, vocabulary rows, releases; tells what is left, and what must be retrained (docs/erasure.md)."""
    from widedeep.steps import erase as carry_out
    from widedeep.steps import plan_erasure

    if delete and not (reason or "").strip():
        raise UsageError("erase --delete: got no --reason, wanted why, in words; it is kept with the record.")
    with workplace() as place:
        with counted("search") as on_look:
            found, report = plan_erasure(place, user, on_look)
        if delete:
            with counted("erase") as on_item:
                done = count(1)
                report = carry_out(place, found, str(reason), lambda _: on_item(next(done), len(report.gone)))
    if as_json:
        print_json(report)
        return
    for line in report.told():
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    freed = "freed" if delete else "would be freed by `widedeep erase --user ... --reason ... --delete`"
    out.print(f"{decimal(report.size_bytes)} {freed}")
