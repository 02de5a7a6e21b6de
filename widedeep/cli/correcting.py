"""Commands for data that were settled and are repaired, corrected or late."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from widedeep.artifacts import LIVE
from widedeep.cli.terminal import AsJson, LaneName, Reason, Span, app, out, workplace


@app.command(rich_help_panel="Data")
def requeue(
    span: Span,
    reason: Reason,
    rows: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Repaired rows, such as a mended quarantine table. Default: what is delivered by now."),
    ] = None,
    lane: LaneName = LIVE,
) -> None:
    """Take in repaired or re-delivered rows of a settled span: what nobody has learnt is learnt by the next candidate."""
    from widedeep.steps.requeueing import read_repaired
    from widedeep.steps.requeueing import requeue as again

    repaired = read_repaired(rows) if rows else None
    with workplace() as place:
        done = again(place, span.date(), reason, lane, repaired)
    out.print(done.told, soft_wrap=True, highlight=False)


@app.command(rich_help_panel="Look")
def descendants(
    span: Span,
    version: Annotated[int | None, typer.Option(min=1, help="Only who learnt this version. Default: any.")] = None,
    as_json: AsJson = False,
) -> None:
    """Which releases learnt a span, and which version of it."""
    from widedeep.publishing.snapshots import versions
    from widedeep.steps.descent import descendants as who
    from widedeep.steps.descent import how_to_replay

    with workplace() as place:
        found, newest = who(place.store, span.date(), version), versions(place.store, span.date())[-1].version
    if as_json:
        out.print_json(json.dumps([asdict(d) | {"span": str(d.span)} for d in found]))
        return
    table = Table("release", "span", "learnt version", "by", "state", title=f"who learnt {span:%Y-%m-%d} (newest: v{newest})")
    for d in found:
        state = f"champion of {', '.join(d.champion_of)}" if d.champion_of else "published" if d.published else "staged"
        numbers = ", ".join(f"v{number}" for number in d.versions)
        table.add_row(d.release_id, str(d.span), numbers, "itself" if d.own else "an ancestor", state)
    out.print(table if found else f"{span:%Y-%m-%d}: no release learnt it.")
    if told := how_to_replay(span.date(), newest, found):
        out.print(told, soft_wrap=True, highlight=False)
