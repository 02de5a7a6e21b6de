"""Commands by which a person decides: back to a former champion, over to another lane, nothing new for now, or what becomes of a
day that is held.
"""

from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from widedeep.artifacts import LIVE, Outcome, Review, Ruling
from widedeep.cli.terminal import DAY, AsJson, LaneName, Reason, app, err, out, print_json, rows_of, workplace
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
def promote_lane(
    lane: Annotated[str, typer.Argument(help="Such as `widedeep replay` rebuilds.")],
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Make another lane's champion live's, after a dry run and a comparison on rows that neither has learnt."""
    from widedeep.steps import adopted, compare_lane, decision_of, lane_question, plan_lane_promotion
    from widedeep.steps import promote_lane as move

    with workplace() as place:
        if pointer := adopted(place, lane):
            out.print(f"[bold]{pointer.release_id}[/] of lane {lane} is champion of lane {pointer.lane} already")
            return
        plan = plan_lane_promotion(place, lane)
        verdict = compare_lane(place, plan)
        out.print(lane_question(place, plan, verdict), markup=False, highlight=False, soft_wrap=True)
        asks = decision_of(place, verdict) != "reject" and not yes  # who approves what the gate rejects is refused
        if asks and not err.is_terminal:
            raise UsageError("promote-lane: nobody can be asked here; look at the comparison above, and give --yes.")
        if asks:
            typer.confirm("Promote the lane?", abort=True, err=True)
        pointer = move(place, lane, verdict, reason)
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


@app.command(rich_help_panel="Decide")
def review(
    span: Annotated[datetime | None, typer.Option(**DAY, help="Without an answer: why it is held.")] = None,
    accept: Annotated[bool | None, typer.Option("--accept/--reject", help="Learn its rows; promote its candidate.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the answer.")] = "",
    lane: LaneName = LIVE,
    release: Annotated[str | None, typer.Option(help="Where two things of the day wait: which one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Spans that are held for a person, by drastic changes or by the gate; with an answer, what becomes of one of them."""
    from widedeep.steps.reviewing import awaited_review, open_reviews, question
    from widedeep.steps.reviewing import review as answered_with

    if span is None and (accept is not None or reason):
        raise UsageError("review: wanted --span with an answer, got none. `widedeep review` lists the spans that wait.")
    with workplace() as place:
        if span is None:
            show_reviews(open_reviews(place, lane), lane, as_json)
        elif accept is None:
            asked = question(place, awaited_review(place, span.date(), lane, release))
            out.print(asked, markup=False, highlight=False, soft_wrap=True)
        else:
            answer = answered_with(place, span.date(), "accept" if accept else "reject", reason, lane, release)
            show_answer(answer, accept=accept, as_json=as_json)


def show_answer(standing: Review | Ruling, *, accept: bool, as_json: bool) -> None:
    if (standing.answer == "accept") != accept:
        requeue = f" To learn repaired rows of it: `widedeep requeue --span {standing.span}`."
        repaired = requeue if isinstance(standing, Review) else ""
        raise UsageError(f"span {standing.told()}. The first answer stands.{repaired}")
    if as_json:
        print_json(standing)
        return
    out.print(standing.told(), markup=False, highlight=False, soft_wrap=True)


def show_reviews(found: tuple[Outcome, ...], lane: str, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    table = Table("span", "rows", "held since (UTC)", "why")
    for o in found:
        table.add_row(str(o.span), rows_of(o.snapshot), f"{o.settled_at:%Y-%m-%d %H:%M}", Text("\n".join(o.reasons)))
    out.print(table if found else f"lane {lane}: no span waits for a review.")
