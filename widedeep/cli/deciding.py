"""Commands by which a person decides: back to a former champion, or nothing new for now."""

from typing import Annotated

import typer

from widedeep.artifacts import LIVE
from widedeep.cli.terminal import LaneName, Reason, app, err, out, workplace
from widedeep.errors import UsageError


@app.command(rich_help_panel="Decide")
def rollback(
    reason: Reason,
    to: Annotated[str | None, typer.Option(metavar="RELEASE", help="Default: the champion before the present one.")] = None,
    lane: LaneName = LIVE,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Make a former champion the champion again, after a dry run; later champions are withdrawn, their spans learnt again."""
    from widedeep.steps import plan_rollback, rehearse_rollback, roll_back

    with workplace() as place:
        plan = plan_rollback(place, lane, to)
        out.print(plan.told(), soft_wrap=True)
        if not (yes or err.is_terminal):
            raise UsageError("rollback: nobody can be asked here; look at what it would do above, and give --yes.")
        if not yes:
            typer.confirm("Roll back?", abort=True, err=True)
        rehearse_rollback(place, plan)
        pointer = roll_back(place, plan, reason)
    out.print(f"[bold]{pointer.release_id}[/] is champion of lane {pointer.lane} by move {pointer.sequence}")


@app.command(rich_help_panel="Decide")
def freeze(reason: Reason, lane: LaneName = LIVE) -> None:
    """Promote nothing in a lane until it is thawed; runs go on, and what passes is stored and pending."""
    from widedeep.publishing.moves import freeze as stop

    with workplace() as place:
        pointer = stop(place.store, lane, place.because(reason))
    out.print(f"lane {lane} is [cyan]frozen[/] since {pointer.moved_at:%Y-%m-%d %H:%M} UTC: {pointer.frozen}")


@app.command(rich_help_panel="Decide")
def thaw(reason: Reason, lane: LaneName = LIVE) -> None:
    """Allow promotions in a frozen lane again."""
    from widedeep.publishing.moves import thaw as go_on

    with workplace() as place:
        pointer = go_on(place.store, lane, place.because(reason))
    out.print(f"lane {lane} promotes again; champion is [bold]{pointer.release_id}[/]")
