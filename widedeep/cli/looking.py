"""Commands that tell what there is, and what it was made of."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from widedeep.artifacts import LIVE, ChampionPointer
from widedeep.cli.terminal import AsJson, Colour, LaneName, app, counted, err, out, print_json, rows_of, workplace
from widedeep.errors import OrderError, UsageError


@app.command(rich_help_panel="Look")
def spans(lane: LaneName = LIVE, as_json: AsJson = False) -> None:
    """How each span of a lane was settled, why, and what was added to it since."""
    from widedeep.publishing.lanes import additions, outcomes

    with workplace() as place:
        found = sorted((*outcomes(place.store, lane), *additions(place.store, lane)), key=lambda o: (o.span, o.settled_at))
    if as_json:
        print_json(found)
        return
    table = Table("span", "result", "rows", "release", "why")
    for o in found:
        colour = Colour.__members__.get(o.result, "default")
        table.add_row(
            str(o.span), f"[{colour}]{o.result}[/]", rows_of(o.snapshot), o.release_id or "", Text("; ".join(o.reasons))
        )
    out.print(table if found else f"lane {lane}: no span is settled yet. Run `widedeep bootstrap` or `widedeep run`.")


@app.command(rich_help_panel="Look")
def releases(as_json: AsJson = False) -> None:
    """Published releases, newest span first."""
    from widedeep.publishing.releases import releases as published

    with workplace() as place:
        found = sorted(published(place.store), key=lambda release: (release.span, release.release_id), reverse=True)
    if as_json:
        print_json(found)
        return
    table = Table("release", "span", "decision", "manifest")
    for release in found:
        table.add_row(release.release_id, str(release.span), release.decision, release.manifest_sha256[:12])
    out.print(table if found else "no release is published yet. Run `widedeep bootstrap` or `widedeep run`.")


@app.command(rich_help_panel="Look")
def champion(
    lane: LaneName = LIVE,
    history: Annotated[bool, typer.Option("--history", help="All moves of the pointer, the newest first.")] = False,
    as_json: AsJson = False,
) -> None:
    """The release that readers of a lane follow."""
    from widedeep.publishing.pointer import moves

    with workplace() as place:
        past = list(moves(place.store, lane)) if history else list(islice(moves(place.store, lane), 1))
    if not past:
        raise OrderError(f"lane {lane}: nothing was promoted yet. Run `widedeep bootstrap` or `widedeep run`.")
    if as_json:
        print_json(past if history else past[0])
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


def _moves_table(past: Sequence[ChampionPointer]) -> Table:
    table = Table("move", "when (UTC)", "what", "release", "span", "by", "why")
    for m in past:
        table.add_row(str(m.sequence), f"{m.moved_at:%Y-%m-%d %H:%M}", m.kind, m.release_id, str(m.span), m.moved_by, m.reason)
    return table


@app.command(rich_help_panel="Look")
def rank(
    user: Annotated[str, typer.Option(help="User, as in the contract's user column.")],
    top: Annotated[int, typer.Option(min=1, help="How many items.")] = 10,
    lane: LaneName = LIVE,
    as_json: AsJson = False,
) -> None:
    """Rank the champion's catalogue for a user."""
    from widedeep.publishing.keys import load_trust
    from widedeep.serving.loading import champion_to_serve
    from widedeep.serving.ranking import rank as rank_for

    with workplace() as place:
        _, manifest = champion_to_serve(place.store, load_trust(place.settings), lane)
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


@app.command(rich_help_panel="Look")
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
    with workplace() as place:
        signer = load_signer(place.settings) if sign else None
        if sign and signer is None:
            raise UsageError("verify --sign: there is no key to sign with. Set WIDEDEEP_SIGNING_KEY_FILE.")
        for each in (find_release(place.store, release),) if release is not None else published_ids(place.store):
            with counted(f"verify {each}") as on_file:
                found.append(check(place, each, on_file, sound, signer))
            if not as_json:
                out.print(found[-1].told(), highlight=False, soft_wrap=True)
    if as_json:
        print_json(found if everything else found[0])
    if any(each.problems for each in found):
        raise typer.Exit(1)


@app.command(rich_help_panel="Look")
def lineage(release: Annotated[str, typer.Argument(help="Its id, or how it begins.")], as_json: AsJson = False) -> None:
    """What data, code, parents and decision made a release, and who did what with it."""
    from widedeep.steps.lineage import trace
    from widedeep.steps.lineage_tree import tree_of
    from widedeep.steps.named import find_release

    with workplace() as place:
        history = trace(place.store, find_release(place.store, release))
    if as_json:
        print_json(history)
        return
    out.print(tree_of(history), soft_wrap=True)
