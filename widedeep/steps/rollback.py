"""A release that was champion becomes champion again: rehearsed first, then moved by one compare-and-swap. Nothing is retrained.

Spans that it has not learnt are pending from then on (fifth law), and the next day's candidate starts from it.
"""

import logging
from datetime import date

from widedeep.artifacts import Candidate, ChampionPointer, ReleaseId, Value
from widedeep.errors import OrderError, PermanentError
from widedeep.publishing import lanes, moves, releases
from widedeep.publishing.pending import unlearnt
from widedeep.publishing.pointer import champion
from widedeep.publishing.pointer import moves as read_moves
from widedeep.steps.judgement import rehearsed
from widedeep.steps.workplace import Workplace

log = logging.getLogger(__name__)


class RollbackPlan(Value):
    """What a rollback would do, decided on move `sequence` of the lane.

    `withdrawn` are the champions that it would take back, with everything that was trained from them; `pending` the spans that
    the next candidate has to learn again.
    """

    lane: str
    sequence: int
    champion: ReleaseId
    to: Candidate
    withdrawn: tuple[ReleaseId, ...]
    pending: tuple[date, ...]

    def told(self) -> str:
        spans = ", ".join(map(str, self.pending)) or "none"
        return (
            f"lane {self.lane}: from {self.champion} back to {self.to.release_id} of span {self.to.span}; "
            f"withdrawn: {', '.join(self.withdrawn) or 'none'}; to be learnt again: {spans}"
        )


def former_champions(place: Workplace, lane: str) -> tuple[ChampionPointer, ...]:
    """What a lane can be rolled back to, the latest champion first: each with the move that made it champion last.

    Raises:
        OrderError: the lane has no champion yet.
        IntegrityError: the history of its moves is damaged.
    """
    past = list(read_moves(place.store, lane))
    if not past:
        raise OrderError(f"lane {lane}: nothing was promoted yet, so nothing can be rolled back.")
    latest = {move.release_id: move for move in reversed(past) if move.kind not in ("freeze", "thaw")}
    return tuple(sorted((m for r, m in latest.items() if r != past[0].release_id), key=lambda m: -m.sequence))


def plan_rollback(place: Workplace, lane: str, release_id: str | None = None) -> RollbackPlan:
    """What a rollback to a release, or to the champion before the present one's span, would do. Moves nothing.

    Raises:
        OrderError: the lane has no champion, or had no other.
        UsageError: the release was never champion of the lane, or is so now.
        IntegrityError: its manifest is not the one that was champion, or the history of moves is damaged.
    """
    former = former_champions(place, lane)
    standing = champion(place.store, lane)
    before = [move for move in former if standing and move.span < standing.span and move.release_id not in standing.withdrawn]
    if standing is None or not (release_id or before):
        raise OrderError(f"lane {lane}: its first champion stands, so there is nothing to roll back to.")
    _, manifest, gone = moves.withdrawing(place.store, lane, release_id or before[0].release_id)
    past = lanes.history(place.store, lane, date.max)
    waiting = unlearnt((outcome for outcome in past if outcome.span > manifest.lineage.span), manifest.seen())
    return RollbackPlan(
        lane=lane,
        sequence=standing.sequence,
        champion=standing.release_id,
        to=releases.as_candidate(manifest),
        withdrawn=tuple(sorted(set(gone) - set(standing.withdrawn))),
        pending=tuple(sorted(snapshot.span for snapshot in waiting)),
    )


def rehearse_rollback(place: Workplace, plan: RollbackPlan) -> str:
    """Serve the old release in a fresh process, as before a promotion. Returns the key of the report.

    Raises:
        PermanentError: it fails, and the reasons; the pointer stays.
        UnknownOutcomeError: the store, the disk or the process's environment failed.
    """
    report = rehearsed(place, plan.to)
    name = f"rollback-{plan.lane}-{plan.sequence}-{report.content_digest()[:16]}"
    key = releases.save_evidence(place.store, plan.to.release_id, name, report)
    if report.failures:
        raise PermanentError(
            f"rollback to {plan.to.release_id}: its dry run fails: {'; '.join(report.failures)}. The champion stays; "
            "choose another release (`widedeep champion --history`)."
        )
    log.info("%s passes its dry run: %d rows reproduced", plan.to.release_id, report.rows_scored)
    return key


def roll_back(place: Workplace, plan: RollbackPlan, reason: str) -> ChampionPointer:
    """Move the pointer as planned. Done again, it finds it there.

    Raises:
        UsageError: the reason is blank.
        StaleError: the pointer has moved since the plan was made; it stays where it is.
    """
    pointer = moves.rollback(place.store, plan.lane, plan.to.release_id, plan.sequence, place.because(reason))
    log.info("%s", plan.told())
    return pointer
