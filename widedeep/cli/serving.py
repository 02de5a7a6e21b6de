"""The scoring server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from widedeep.artifacts import LIVE, Digest, ReleaseId
from widedeep.cli.terminal import LaneName, app, out, workplace

if TYPE_CHECKING:
    from widedeep.steps import Workplace

CONTRACT = "else the contract says it."


@app.command(rich_help_panel="Run")
def serve(
    lane: LaneName = LIVE,
    release: Annotated[str | None, typer.Option(help="This one, whatever is champion: its id, or how that begins.")] = None,
    host: Annotated[str, typer.Option(help="Beyond this machine only with WIDEDEEP_SERVE_TOKEN.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8100,
    followed: Annotated[
        Path | None, typer.Option(help="Keeps the last move that it followed: started again, it goes back to none before it.")
    ] = None,
    poll: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks for a new champion.")] = 5,
    batch: Annotated[int | None, typer.Option(min=1, help=f"Rows that are scored at once; {CONTRACT}")] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=64, help=f"That score one request; {CONTRACT}")] = None,
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help=f"Of the layers' products: float32 or bfloat16; {CONTRACT}")
    ] = None,
) -> None:
    """Serve a lane's champion, or one release, over HTTP: /score, /rank, /release, /health, /metrics."""
    from widedeep.serving.listening import Serving
    from widedeep.serving.listening import serve as listen

    with workplace() as place:
        rule = place.contract.serving
        scoring = batch or rule.batch, threads or rule.threads, precision or rule.precision
        pinned = _named(place, release) if release else None
        serving = Serving(lane, host, port, poll, *scoring, followed, pinned)
        listen(place.store, place.contract, place.settings, serving, lambda address: out.print(address, highlight=False))


def _named(place: "Workplace", release: str) -> tuple[ReleaseId, Digest]:
    """A release, or a candidate that is signed where that is required."""
    from widedeep.publishing.keys import load_trust
    from widedeep.publishing.signing import check_candidate
    from widedeep.steps.named import find_manifest

    found = find_manifest(place.store, release)
    check_candidate(place.store, found, load_trust(place.settings))
    return found.release_id, found.content_digest()
