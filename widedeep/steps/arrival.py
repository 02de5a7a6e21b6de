"""A delivered span becomes a valid snapshot, or is quarantined, or turns out not to have been delivered at all."""

import logging
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING

from widedeep.artifacts import LIVE, Backfill, OnHold, Progress, Snapshot, Validation, Waiting, lane_name
from widedeep.errors import OrderError
from widedeep.publishing import lanes, layout, snapshots
from widedeep.publishing.claims import claim
from widedeep.publishing.erasures import without_erased
from widedeep.steps import delivery
from widedeep.steps.findings import judged, save_overview
from widedeep.steps.reviewing import accepted
from widedeep.steps.settled import settled
from widedeep.steps.workplace import Workplace, stored, wanted

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


def start(
    place: Workplace,
    span: date,
    lane: str | None = None,
    *,
    backfill: Backfill | None = None,
    on_hold: OnHold = "drop",
    run_id: str | None = None,
) -> Progress:
    """Begin a run of a span: find its lane (third law), and whether the span is settled there already, which ends the run.

    `lane`: where it is to run, whatever its day. `backfill`: the runs that it belongs to, which agree on one lane. `run_id`: as
    which its scheduler knows it, so that later spans can wait for it.

    Raises:
        OrderError: the lane has gone past the span, or begins after it; nothing was written.
    """
    now, by = place.clock(), place.actor
    if backfill and not lane:
        name = lanes.lane_of_backfill(place.store, span, backfill, now, by)
    else:
        name = lanes.resolve_lane(place.store, span, lane_name(lane) if lane else None)
        if name != LIVE:
            lanes.open_lane(place.store, name, backfill.first if backfill else span, now, by)
    progress = Progress(span=span, lane=name, on_hold="drop" if name == LIVE else on_hold)
    if done := settled(place, progress):
        return done
    if run_id:
        claim(place.store, name, span, run_id)
    return progress


def readiness(place: Workplace, progress: Progress, not_before: datetime | None = None) -> Waiting | None:
    """What `ingest` would have to wait for, or None: all data are there, or their deadline has passed.

    `not_before`: nothing counts as missing before that time, even after the contract's deadline. A machine that was off starts
    the job that delivers and the run that waits for it at once.
    """
    if progress.over:
        return None
    if place.settings.history_start and progress.lane == LIVE and not _begun(place, progress.span):
        return Waiting(span=progress.span, reason="the lane's history is not learnt yet: run widedeep_bootstrap", until=None)
    missing, until = delivery.look(place, progress.span).missing, delivery.wait_until(place, progress.span, not_before)
    return Waiting(span=progress.span, reason=missing, until=until) if missing and place.clock() < until else None


def _begun(place: Workplace, span: date) -> bool:
    return lanes.parent_as_of(lanes.outcomes(place.store, LIVE), span) is not None


def stay(day: date, rows: "pa.Table") -> bool:  # noqa: ARG001
    """Late rows stay with the span that they came with, outside of its day."""
    return False


def ingest(
    place: Workplace,
    progress: Progress,
    not_before: datetime | None = None,
    take_late: Callable[[date, "pa.Table"], bool] = stay,
) -> Progress:
    """Turn the delivered files into an immutable, digested snapshot.

    `take_late` gets the rows that are to make a new version of an earlier day, and says whether they did.

    Raises:
        OrderError: the span has to wait (see `readiness`); nothing was written.
    """
    from widedeep.data.late import own_rows

    waiting = readiness(place, progress, not_before)
    if waiting:
        until = f" or wait until {waiting.until:%Y-%m-%d %H:%M} UTC" if waiting.until else ""
        raise OrderError(f"span {progress.span}: {waiting.reason}. Deliver it{until}, then run again.")
    seen = delivery.look(place, progress.span)
    if not seen.malformed and (seen.missing or not seen.files):
        reason = delivery.given_up(place, progress.span, seen)
        log.log(logging.WARNING if seen.files else logging.INFO, "%s: no data: %s", progress.span, reason)
        return progress.model_copy(update={"no_data": reason})
    table = delivery.read(place, progress.span, seen)
    if isinstance(table, delivery.Refused):
        return _quarantine_unreadable(place, progress, table)
    kept = without_erased(place.store, progress.span, table, place.contract.user)
    rows = own_rows(kept, place.contract, progress.span, take_late)
    snapshot = snapshots.save_snapshot(place.store, progress.span, rows, place.folder())
    told = f"{snapshot.rows} rows in {len(seen.files)} file(s), snapshot v{snapshot.version} {snapshot.digest[:12]}"
    log.info("%s: %s", snapshot.span, told)
    return progress.model_copy(update={"snapshot": snapshot})


def validate(place: Workplace, progress: Progress) -> Progress:
    """Hold the snapshot against the contract; the chain goes on without a span that fails, or that changed drastically.

    A span of the latter kind that a person has accepted is like any other. Where some rows were taken out, the others are a
    further version of the span, and the chain goes on with that.
    """
    snapshot = wanted(progress.snapshot, "snapshot", "ingest")
    key, validation = judged(place, progress.lane, snapshot)
    drastic = bool(validation.drastic) and not validation.critical and not accepted(place.store, validation)
    _tell(place, validation, snapshot, key, drastic=drastic)
    clean = validation.clean or snapshot
    update = {"snapshot": clean, "validation": key, "quarantined": bool(validation.critical), "drastic": drastic}
    return progress.model_copy(update=update | {"validated_at": _learnt_until(place, progress)})


def validated_too_early(place: Workplace, progress: Progress) -> bool:
    """Whether the lane has learnt since the snapshot was validated: where days overlap, that is more than was known then."""
    unreadable = progress.snapshot is None or progress.result is not None
    return not unreadable and progress.validated_at != _learnt_until(place, progress)


def validate_again(place: Workplace, progress: Progress) -> Progress:
    """Hold the snapshot against what was learnt since it was validated, if anything was."""
    if not validated_too_early(place, progress):
        return progress
    key = wanted(progress.validation, "validation", "validate")
    known = Validation.from_bytes(stored(place.store, key), f"{place.store.url}/{key}")
    return validate(place, progress.model_copy(update={"snapshot": known.snapshot}))


def _learnt_until(place: Workplace, progress: Progress) -> date | None:
    """The last span before this one that its lane has settled."""
    return lanes.settled_until(place.store, progress.lane, progress.span)


def _tell(place: Workplace, validation: Validation, snapshot: Snapshot, key: str, *, drastic: bool) -> None:
    for finding in validation.findings:
        log.warning("%s: %s: %s", snapshot.span, finding.severity, finding.message)
    if validation.clean and validation.bad_rows:
        taken, table = snapshot.rows - validation.clean.rows, f"{place.store.url}/{validation.bad_rows.name}"
        log.warning("%s: %d rows are taken out, v%d is without them: %s", snapshot.span, taken, validation.clean.version, table)
    verdict = "quarantined" if validation.critical else "held for a person to look at" if drastic else "valid"
    report = f"{place.store.url}/{layout.data_report(key)}"
    told = "%s: %d rows are %s, %d finding(s), report %s"
    log.info(told, snapshot.span, (validation.clean or snapshot).rows, verdict, len(validation.findings), report)


def _quarantine_unreadable(place: Workplace, progress: Progress, refused: delivery.Refused) -> Progress:
    key = layout.unreadable(progress.span, refused.digest)
    validation = Validation(span=progress.span, snapshot=None, findings=refused.findings)
    save_overview(place, key, validation, ())
    place.store.create(key, validation.to_bytes())
    for finding in refused.findings:
        log.warning("%s: quarantined: %s", progress.span, finding.message)
    return progress.model_copy(update={"validation": key, "quarantined": True})
