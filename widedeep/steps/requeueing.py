"""Rows of a settled span that are repaired, corrected or late: what nobody has learnt yet is learnt by the next candidate, once.

Nothing that was trained changes, and the span's outcome stays. If nothing of the span was learnt, its newest version takes the
place of the one before. If it was, rows that the learnt version lacks go beside it, or wait for a replay, as the contract says;
and where the learnt rows themselves were corrected, only a replay can take that in. What changed drastically waits for a person.
"""

import logging
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from widedeep.artifacts import LIVE, Outcome, Progress, Snapshot, Validation
from widedeep.errors import UsageError
from widedeep.publishing import lanes, snapshots
from widedeep.publishing.erasures import without_erased
from widedeep.publishing.pending import NO_ROWS, Seen, valid
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.renewals import seen_by
from widedeep.steps import arrival, delivery
from widedeep.steps.descent import descendants, how_to_replay
from widedeep.steps.redelivery import remember
from widedeep.steps.reviewing import review_of
from widedeep.steps.workplace import Workplace, stored, wanted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Requeued:
    """What became of the rows, in words; `added`: those that the next candidate learns, if any. `news`: there were other rows."""

    told: str
    added: Snapshot | None = None
    news: bool = True


def requeue(place: Workplace, span: date, reason: str, lane: str = LIVE, repaired: pa.Table | None = None) -> Requeued:
    """Take in what is delivered for a settled span by now, or these repaired rows of it beside those that passed.

    Raises:
        UsageError: the span is not settled, nothing is delivered, the rows fail the contract, or the reason is blank.
    """
    place.because(reason)
    past = _past(place, span, lane)
    progress = Progress(span=span, lane=lane)
    if repaired is not None:
        progress = progress.model_copy(update={"snapshot": _merged(place, past, lane, repaired)})
    seen = delivery.look(place, span) if repaired is None and lane == LIVE else None
    judged = _judged(place, progress)
    done = None if judged.quarantined else _offer(place, past, judged, wanted(judged.snapshot, "snapshot", "ingest"), reason)
    found = _found(place, judged)
    if seen:  # last: who dies before does it again
        remember(place, span, seen, found.snapshot)
    if done is None:
        told = "; ".join(finding.message for finding in found.critical)
        raise UsageError(f"span {span}: the rows don't pass: {told}. Nothing was added; mend them and requeue them again.")
    return done


def _past(place: Workplace, span: date, lane: str) -> list[Outcome]:
    """How the span was settled, and what was added since."""
    past = [o for o in lanes.history(place.store, lane, date.max) if o.span == span]
    if not past:
        raise UsageError(f"span {span}: is not settled in lane {lane}; `widedeep run --span {span}` takes in what is delivered.")
    return past


def _merged(place: Workplace, past: list[Outcome], lane: str, repaired: pa.Table) -> Snapshot:
    """A version with all rows that count and the repaired ones."""
    from widedeep.data.bad_rows import without_reasons
    from widedeep.data.conform import conform
    from widedeep.data.tables import without

    span = past[0].span
    tables = [snapshots.load_rows(place.store, s, place.folder()) for s in valid(past, _seen(place, lane))]
    delivered = {*place.contract.columns, *(name for table in tables for name in table.column_names)}
    plain = conform(without_reasons(repaired, delivered), place.contract)
    rows = without_erased(place.store, span, plain, place.contract.user)
    try:
        standing = pa.concat_tables([*tables, rows.slice(0, 0)], promote_options="permissive")
        merged = pa.concat_tables([standing, without(rows, standing)], promote_options="permissive")
    except pa.ArrowException as error:
        raise UsageError(f"span {span}: the rows don't go with those that passed: {error}. Mend their columns.") from error
    return snapshots.save_snapshot(place.store, span, merged, place.folder())


def _judged(place: Workplace, progress: Progress) -> Progress:
    """The progress with findings on a version.

    Raises:
        UsageError: there is none.
    """
    taken = progress if progress.snapshot else arrival.ingest(place, progress)
    if taken.no_data:
        raise UsageError(f"span {progress.span}: {taken.no_data}. Deliver it, or give repaired rows, then requeue it again.")
    return taken if taken.over else arrival.validate(place, taken)


def _found(place: Workplace, judged: Progress) -> Validation:
    key = wanted(judged.validation, "validation", "validate")
    return Validation.from_bytes(stored(place.store, key), f"{place.store.url}/{key}")


def _offer(place: Workplace, past: list[Outcome], judged: Progress, snapshot: Snapshot, reason: str) -> Requeued:
    seen = _seen(place, judged.lane)
    waiting = valid(past, seen)
    learnt = [s for s in waiting if {(s.span, s.digest, "train"), (s.span, s.digest, "holdout")} & seen]
    if learnt:
        return _beside(place, waiting, learnt, judged, snapshot, reason)
    line = _line(past)
    if waiting and line[-1] == snapshot.digest:
        return Requeued(f"span {judged.span}: nothing new: v{snapshot.version} waits to be learnt already", news=False)
    return _add(place, judged, snapshot, line[-1], reason)


def _seen(place: Workplace, lane: str) -> Seen:
    """What the lane's next candidate would not learn again."""
    parent = lanes.parent(place.store, lane, lanes.history(place.store, lane, date.max), date.max)
    return seen_by(place.store, load_manifest(place.store, parent, published=True) if parent else None)


def _line(past: list[Outcome]) -> list[str]:
    """Digests of the versions that replaced one another, the last one last."""
    settled, *added = past
    line = [settled.snapshot.digest if settled.snapshot else NO_ROWS]
    while later := next((o.snapshot for o in added if o.replaces == line[-1] and o.snapshot), None):
        line.append(later.digest)
    return line


def _beside(
    place: Workplace, valid_rows: list[Snapshot], learnt: list[Snapshot], judged: Progress, newest: Snapshot, reason: str
) -> Requeued:
    """Add what all versions that count lack, if no learnt row has changed."""
    from widedeep.data.tables import without

    span, rows = judged.span, snapshots.load_rows(place.store, newest, place.folder())
    standing = {s.digest: snapshots.load_rows(place.store, s, place.folder()) for s in valid_rows}
    fresh = rows
    for table in standing.values():
        fresh = without(fresh, table)
    corrected = sum(without(standing[s.digest], rows).num_rows for s in learnt)
    if not (fresh.num_rows or corrected):
        return Requeued(
            f"span {span}: nothing new: all {rows.num_rows:,} rows are learnt, or wait to be learnt, already", news=False
        )
    if corrected or place.contract.late.requeued == "replay":
        why = f"{corrected:,} rows that were learnt are other ones now" if corrected else "the contract wants a replay"
        replay = how_to_replay(span, newest.version, descendants(place.store, span), judged.lane) or ""
        told = f"span {span}: v{newest.version} is stored, and the next candidate does not learn it: {why}. {replay}"
        return Requeued(told.rstrip())
    return _add(place, judged, snapshots.save_snapshot(place.store, span, fresh, place.folder()), None, reason)


def _add(place: Workplace, judged: Progress, snapshot: Snapshot, replaces: str | None, reason: str) -> Requeued:
    made = Outcome(
        lane=judged.lane,
        span=judged.span,
        result="added",
        reasons=(reason.strip(),),
        snapshot=snapshot,
        replaces=replaces,
        settled_at=place.clock(),
        settled_by=place.actor,
    )
    if judged.drastic:
        return _hold(place, made, judged)
    standing = lanes.add(place.store, made)
    if standing.snapshot != snapshot:
        raise UsageError(
            f"span {judged.span}: {standing.settled_by} added other rows at the same moment. Look at them, then requeue."
        )
    log.info("%s: %d rows were added to lane %s: %s", judged.span, snapshot.rows, judged.lane, reason)
    return Requeued(
        f"span {judged.span}: the next candidate of lane {judged.lane} learns {snapshot.rows:,} rows, v{snapshot.version}",
        snapshot,
    )


def _hold(place: Workplace, made: Outcome, judged: Progress) -> Requeued:
    """Let the rows wait for a person, who is told what changed, unless one has said no to them."""
    found = _found(place, judged)
    changed = tuple(finding.message for finding in found.drastic)
    lanes.hold(place.store, made.model_copy(update={"result": "held", "reasons": changed, "validation": judged.validation}))
    if answer := review_of(place.store, found):
        return Requeued(f"span {answer.told()}. Nothing was added; mend the rows and requeue them again.")
    return Requeued(
        f"span {judged.span}: is held, and learnt once a person accepts it (`widedeep review --span {judged.span}`): "
        + "; ".join(changed)
    )


def read_repaired(path: Path) -> pa.Table:
    """Repaired rows from a file of any kind that can be delivered.

    Raises:
        UsageError: it can't be read.
    """
    from widedeep.data.sources import Unreadable, read_delivery

    if not path.is_file():
        raise UsageError(f"{path}: no such file, wanted one with repaired rows, such as a mended quarantine table.")
    table = read_delivery([(path.name, path)])
    if isinstance(table, Unreadable):
        raise UsageError("; ".join(finding.message for finding in table.findings))
    return table
