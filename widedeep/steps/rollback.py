"""A release that was champion becomes champion again: rehearsed first, then moved by one compare-and-swap. Nothing is retrained.

Spans that it has not learnt are pending from then on (fifth law), and the next day's candidate starts from it.
"""

import logging
from collections.abc import Iterable
from datetime import date

from widedeep.artifacts import Candidate, ChampionPointer, Manifest, Outcome, ReleaseId, Value
from widedeep.errors import OrderError, PermanentError
from widedeep.publishing import lanes, moves, releases
from widedeep.publishing.keys import load_signer
from widedeep.publishing.pending import awaited, unlearnt
from widedeep.publishing.pointer import champion
from widedeep.publishing.pointer import moves as read_moves
from widedeep.publishing.renewals import seen_by
from widedeep.publishing.snapshots import rows_stand
from widedeep.steps.descent import Heir, heirs
from widedeep.steps.judgement import rehearsed
from widedeep.steps.workplace import Workplace

log = logging.getLogger(__name__)


class RollbackPlan(Value):
    """What a rollback would do, decided on move `sequence` of the lane.

    `withdrawn` are the champions that it would take back, `heirs` all other releases that were trained from them, in whatever
    lane; after a rollback of `live` none of them is a parent any more. `pending` are the spans that have to be learnt again, at
    most `at_once` of them by each candidate; `forgotten` those that never will be (rule `drop`).
    """

    lane: str
    sequence: int
    champion: ReleaseId
    to: Candidate
    withdrawn: tuple[ReleaseId, ...]
    pending: tuple[date, ...]
    at_once: int | None = None
    forgotten: tuple[date, ...] = ()
    heirs: tuple[Heir, ...] = ()

    def told(self) -> str:
        few = self.at_once is not None and len(self.pending) > self.at_once
        again = f"to be learnt again{f', at most {self.at_once} by each candidate' if few else ''}: {_listed(self.pending)}"
        lost = f"; never learnt again, by the contract's rule 'drop': {_listed(self.forgotten)}" if self.forgotten else ""
        trained = f"; trained from them: {', '.join(map(_named, self.heirs))}" if self.heirs else ""
        return (
            f"lane {self.lane}: from {self.champion} back to {self.to.release_id} of span {self.to.span}; "
            f"withdrawn: {', '.join(self.withdrawn) or 'none'}{trained}; {again}{lost}"
        )


def _named(heir: Heir) -> str:
    where = f"lane {', '.join(heir.lanes)}" if heir.lanes else "settled by no lane"
    return f"{heir.release_id} of span {heir.span} ({where})"


def _listed(spans: Iterable[date]) -> str:
    return ", ".join(map(str, spans)) or "none"


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
        OrderError: the lane has no champion, or had no other; or rows that candidates after it would need were pruned.
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
    _check_rows(place, past, manifest)
    waiting = unlearnt((outcome for outcome in past if outcome.span > manifest.lineage.span), seen_by(place.store, manifest))
    spans, rule = tuple(sorted(snapshot.span for snapshot in waiting)), place.contract.pending
    withdrawn = tuple(sorted(set(gone) - set(standing.withdrawn)))
    return RollbackPlan(
        lane=lane,
        sequence=standing.sequence,
        champion=standing.release_id,
        to=releases.as_candidate(manifest),
        withdrawn=withdrawn,
        pending=spans if rule.rule == "carry" else (),
        at_once=rule.max_spans,
        forgotten=spans if rule.rule == "drop" else (),
        heirs=heirs(place.store, withdrawn),
    )


def _check_rows(place: Workplace, past: Iterable[Outcome], to: Manifest) -> None:
    """Raise OrderError if rows are gone that the lane would wait for: its next candidate could not be trained or judged."""
    needed = awaited(past, seen_by(place.store, to), place.contract.split.pool_spans, place.contract.pending)
    gone = sorted({snapshot.span for snapshot in needed if not rows_stand(place.store, snapshot)})
    if gone:
        raise OrderError(
            f"rollback to {to.release_id} of span {to.lineage.span}: got no rows of {_listed(gone)} (pruned), wanted them, since "
            "the lane would have to learn them again. The champion stays. Choose a later release (`widedeep champion --history`) "
            "or run those spans in a lane of their own (`widedeep run --span ... --lane ...`), which stores their rows again."
        )


def rehearse_rollback(place: Workplace, plan: RollbackPlan) -> str:
    """Serve the old release on a server of its own, as before a promotion. Returns the key of the report.

    Raises:
        PermanentError: it fails, and the reasons; the pointer stays.
        UnknownOutcomeError: the store, the disk or the process's environment failed.
    """
    # Nobody stands beside it: to be unlike the champion, or slower, is no fault of who comes back for it.
    report = rehearsed(place, plan.to, None)
    name = f"rollback-{plan.lane}-{plan.sequence}-{report.content_digest()[:16]}"
    key = releases.save_evidence(place.store, plan.to.release_id, name, report, load_signer(place.settings))
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
