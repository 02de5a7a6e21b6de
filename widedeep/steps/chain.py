"""The steps in their order, and a run of one span through all of them."""

from collections.abc import Callable, Mapping
from datetime import date

from widedeep.artifacts import OnHold, Progress
from widedeep.steps import arrival, gating, judgement, lateness, release, retraining
from widedeep.steps.settled import unless_settled
from widedeep.steps.workplace import Workplace

start = lateness.start
ingest = unless_settled(lateness.ingest)
validate = unless_settled(arrival.validate)
train = unless_settled(retraining.train)
dry_run = unless_settled(judgement.dry_run)
gate = unless_settled(gating.gate)
publish = unless_settled(release.publish)
settle = unless_settled(release.settle)

STEPS: Mapping[str, Callable[[Workplace, Progress], Progress]] = {
    "ingest": ingest,
    "validate": validate,
    "train": train,
    "dry_run": dry_run,
    "gate": gate,
    "publish": publish,
    "settle": settle,
}


def quiet(step: str) -> None:
    """Tell nobody which step runs."""


def run_span(
    place: Workplace, span: date, lane: str | None = None, on_step: Callable[[str], None] = quiet, *, on_hold: OnHold = "drop"
) -> Progress:
    """What a DAG run does, from a shell: all steps of one span, one after the other."""
    progress = start(place, span, lane, on_hold=on_hold)
    for name, step in STEPS.items():
        if not progress.over or name == "settle":
            on_step(name)
            progress = step(place, progress)
    return progress
