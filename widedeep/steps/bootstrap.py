"""The first release of a chain: a whole history learnt in one go, and every span of it settled."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

from widedeep.artifacts import LIVE, Outcome, Progress
from widedeep.data.contract import Pending
from widedeep.errors import OrderError, PermanentError, UsageError
from widedeep.publishing import lanes
from widedeep.publishing.pointer import champion
from widedeep.steps.arrival import ingest, start, validate
from widedeep.steps.chain import quiet
from widedeep.steps.delivery import look
from widedeep.steps.gating import gate_after
from widedeep.steps.judgement import dry_run
from widedeep.steps.redelivery import remember
from widedeep.steps.release import learnt_in, outcome_of, publish, read_verdict
from widedeep.steps.retraining import train_after
from widedeep.steps.workplace import Workplace, wanted


def bootstrap(place: Workplace, first: date, last: date, on_step: Callable[[str], None] = quiet) -> Progress:
    """Learn the spans `first` to `last` into the live lane's first release; done again, it finds what it made.

    Raises:
        OrderError: the live lane has other settled spans: a bootstrap is for an empty lane.
        PermanentError: no span is usable, or the gate rejects the release. Nothing was settled.
    """
    if last < first:
        raise UsageError(f"bootstrap from {first} to {last}: the last span lies before the first")
    done = [outcome.span for outcome in _settled(place, first, last) if outcome.release_id]
    if done:
        return start(place, done[0], LIVE)
    runs = [_arrive(place, first + timedelta(days=i), on_step) for i in range((last - first).days + 1)]
    usable = [run for run in runs if not run.over]
    if not usable:
        raise PermanentError(
            f"bootstrap from {first} to {last}: no usable span below {place.store.url}. Deliver them, run again."
        )
    standing = champion(place.store, LIVE)
    if standing and standing.span != usable[-1].span:
        raise OrderError(
            f"bootstrap from {first} to {last}: the first release was learnt up to {standing.span}, before its run died, and not "
            f"to {usable[-1].span}. Run it again with the same days as then; later ones are daily spans."
        )
    if standing is None:
        _learn(place, usable, on_step)
    on_step("settle")
    return _settle(place, runs)


def _settle(place: Workplace, runs: list[Progress]) -> Progress:
    """Settle the whole history, the release's own span last: its outcome says that all of it is settled."""
    pointer = wanted(champion(place.store, LIVE), "champion", "publish")
    for run in runs:
        if run.span != pointer.span:
            lanes.settle(place.store, outcome_of(place, run) if run.over else learnt_in(place, run, pointer.release_id))
    return start(place, pointer.span, LIVE)


def _settled(place: Workplace, first: date, last: date) -> tuple[Outcome, ...]:
    settled = lanes.outcomes(place.store, LIVE)
    outside = [o.span for o in settled if not first <= o.span <= last]
    if outside:
        raise OrderError(
            f"bootstrap from {first} to {last}: lane {LIVE} has settled {outside[0]} already; a bootstrap is for an empty lane. "
            "To go on from the head, run the daily spans."
        )
    return settled


def _arrive(place: Workplace, span: date, on_step: Callable[[str], None]) -> Progress:
    """Ingest and validate one span of the history; nobody waits for what was not delivered."""
    on_step(f"ingest {span}")
    here = replace(place, settings=place.settings.model_copy(update={"history_start": None}))
    seen = look(here, span)
    progress = ingest(here, Progress(span=span, lane=LIVE))
    remember(here, span, seen, progress.snapshot)
    return progress if progress.over else validate(here, progress)


def _learn(place: Workplace, usable: list[Progress], on_step: Callable[[str], None]) -> None:
    history = tuple(learnt_in(place, run, None) for run in usable[:-1])
    everything = Pending(max_spans=len(usable))
    on_step("train")
    progress = train_after(place, usable[-1], history, everything)
    on_step("dry_run")
    progress = dry_run(place, progress)
    on_step("gate")
    progress = gate_after(place, progress, history, everything)
    if progress.decision != "promote":
        reasons = "; ".join(read_verdict(place, progress).reasons)
        advice = "Nothing was settled; mend the history or the contract"
        raise PermanentError(f"bootstrap: the gate says {progress.decision}: {reasons}. {advice}.")
    on_step("publish")
    publish(place, progress)
