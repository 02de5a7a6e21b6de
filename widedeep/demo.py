"""A first look: a small history and three spans through the real steps and a real S3 server, without Airflow.

One span is promoted, one is quarantined because its ratings are damaged, and one is rejected because its ratings sit on the wrong
rows: every column of it looks right, so only the gate can tell.
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from widedeep.artifacts import LIVE, Outcome, Verdict
from widedeep.data.movielens import deliveries, fetch
from widedeep.errors import StackError
from widedeep.local.alone import store_alone
from widedeep.publishing import lanes, layout
from widedeep.publishing.pointer import champion
from widedeep.steps import Workplace, bootstrap, deliver_sample, open_workplace, run_span

HISTORY_SPANS = 4
TODAY = date(2026, 11, 23)  # fixed, since who is held out of a span depends on its date: the story stays the same
COLOURS = {"promoted": "green", "quarantined": "magenta", "rejected": "red", "held": "yellow"}


def as_it_is(rows: pa.Table) -> pa.Table:
    return rows


def out_of_ten(rows: pa.Table) -> pa.Table:
    """Somebody upstream changed the scale."""
    return _with_ratings(rows, 2 * rows["rating"].to_numpy())


def on_wrong_rows(rows: pa.Table) -> pa.Table:
    """A join upstream lost its key: the right ratings, in another order."""
    return _with_ratings(rows, np.random.default_rng(7).permutation(rows["rating"].to_numpy()))


@dataclass(frozen=True)
class Scene:
    title: str
    damage: Callable[[pa.Table], pa.Table]


SCENES = (
    Scene("a good day", as_it_is),
    Scene("ratings out of ten instead of five", out_of_ten),
    Scene("ratings joined to the wrong rows", on_wrong_rows),
)


def demonstrate(out: Console) -> None:
    """Run the demo; the store and everything in it are gone afterwards.

    Raises:
        StackError: the store does not start.
    """
    began = time.monotonic()
    with TemporaryDirectory(prefix="widedeep-demo-") as folder, store_alone(Path(folder), TODAY) as settings:
        fetch(Path(settings["WIDEDEEP_SAMPLE"]))
        with open_workplace(settings, actor="demo") as workplace:
            first = date.fromisoformat(settings["WIDEDEEP_HISTORY_START"])
            with out.status(f"learning a history of {HISTORY_SPANS} spans"):
                last = first + timedelta(days=HISTORY_SPANS - 1)
                deliver_sample(workplace, first, last)
                release = bootstrap(workplace, first, last).release
            out.print(f"{first} to {last}: the history is learnt, its release [bold]{release}[/] is the first champion\n")
            for i, scene in enumerate(SCENES):
                _play(out, workplace, last + timedelta(days=i + 1), scene)
            out.print(_summary(lanes.outcomes(workplace.store, LIVE)[HISTORY_SPANS:]))
            pointer = champion(workplace.store, LIVE)
            followed = pointer.release_id if pointer else "nothing"
            out.print(f"readers follow [bold]{followed}[/]; {time.monotonic() - began:.0f} s in all")


def _play(out: Console, place: Workplace, span: date, scene: Scene) -> None:
    out.rule(f"[bold]{span}: {scene.title}", align="left")
    _deliver(place, span, scene.damage)
    with out.status("") as status:
        progress = run_span(place, span, on_step=lambda step: status.update(f"{span}: {step}"))
    outcome = next(o for o in lanes.outcomes(place.store, LIVE) if o.span == span)
    if progress.verdict:
        blob = place.store.get(progress.verdict)
        out.print(_comparison(Verdict.from_bytes(blob.data)) if blob else "")
    out.print(f"[bold {COLOURS[outcome.result]}]{outcome.result}[/]: {'; '.join(outcome.reasons)}\n")


def _deliver(place: Workplace, span: date, damage: Callable[[pa.Table], pa.Table]) -> None:
    first = place.settings.history_start
    if place.settings.sample is None or first is None:
        raise StackError("the demo's settings name no sample; run it as `make demo`")
    ((_, rows),) = deliveries(place.settings.sample, first, [(span - first).days])
    file = io.BytesIO()
    pq.write_table(damage(rows), file)
    place.store.create(layout.delivery(place.contract.delivery.prefix, span) + "ratings.parquet", file.getvalue())


def _with_ratings(rows: pa.Table, ratings: np.ndarray) -> pa.Table:
    return rows.set_column(rows.column_names.index("rating"), "rating", pa.array(ratings, pa.int64()))


def _comparison(verdict: Verdict) -> Table:
    rows = verdict.candidate_metrics.rows if verdict.candidate_metrics else 0
    title = f"on {rows:,} held-out rows"
    table = Table("", "log loss", "AUC", "calibration", title=title, title_justify="left")
    for name, metrics in (("candidate", verdict.candidate_metrics), ("champion", verdict.champion_metrics)):
        if metrics:
            table.add_row(name, f"{metrics.log_loss:.4f}", f"{metrics.auc or 0:.4f}", f"{metrics.calibration or 0:.3f}")
    return table


def _summary(outcomes: tuple[Outcome, ...]) -> Table:
    table = Table("span", "story", "rows", "result", "release")
    for outcome, scene in zip(outcomes, SCENES, strict=True):
        rows = f"{outcome.snapshot.rows:,}" if outcome.snapshot else ""
        result = f"[{COLOURS[outcome.result]}]{outcome.result}[/]"
        table.add_row(str(outcome.span), scene.title, rows, result, outcome.release_id or "")
    return table
