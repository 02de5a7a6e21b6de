"""What the chain pays for warm starts, measured now or so far."""

from typing import Annotated

import typer
from rich.table import Table

from widedeep.artifacts import Audit
from widedeep.cli.terminal import AsJson, app, out, print_json, watched, workplace


@app.command(rich_help_panel="Run")
def audit(
    history: Annotated[bool, typer.Option("--history", help="List the audits so far; measure nothing.")] = False,
    propose: Annotated[bool, typer.Option("--propose", help="Above the limit: let a person decide on the twin.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a twin of the champion from scratch on the same history, and tell how much better it is: the warm-start debt."""
    from widedeep.steps import audit as measure
    from widedeep.steps import audits
    from widedeep.steps import propose as put_up

    if history:
        with workplace() as place:
            show_audits(audits(place), as_json)
        return
    with workplace() as place, watched(place, "audit") as (told, on_step):
        found = measure(told, on_step)
        proposed = put_up(told, found, on_step) if propose and isinstance(found, Audit) and found.over else None
    if as_json:
        print_json(found)
        return
    out.print(found.told(), markup=False, highlight=False, soft_wrap=True)
    if proposed:
        answer = (
            f"`widedeep review --span {proposed.span} --release {proposed.release_id}` asks whether the chain goes on from it"
        )
        told_of = answer if proposed.result == "held" else "; ".join(proposed.reasons)
        out.print(f"the twin is {proposed.result}: {told_of}", markup=False, highlight=False, soft_wrap=True)


def show_audits(found: tuple[Audit, ...], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    table = Table("scored", "champion", "of span", "twin", "spans", "rows", "debt", "interval", "limit", "")
    for each in found:
        d, scored = each.debt, max(part.span for part in each.holdout)
        over = "[red]above[/]" if each.over else ""
        interval, size = f"{d.lower:+.4f} to {d.upper:+.4f}", (str(each.spans), f"{each.rows:,}")
        table.add_row(
            *(str(scored), each.release_id, str(each.span), each.twin, *size, f"{d.estimate:+.4f}", interval),
            *(f"{each.limit:.4g}", over),
        )
    out.print(table if found else "no audit yet: `widedeep audit` makes one.")
