"""What the promotion of a lane over `live` would do, and when it can't be.

- Both champions are judged on the newest held-out rows that neither has learnt, in whatever version of their day (fifth law).
- A lane that lags behind `live` is refused: what live has learnt since would be taken back.
"""

from collections.abc import Iterable
from datetime import date

from widedeep.artifacts import LIVE, Candidate, ChampionPointer, Manifest, Part, ReleaseId, Snapshot, Value, lane_name
from widedeep.errors import OrderError, WithheldError
from widedeep.publishing import lanes, moves, releases, snapshots
from widedeep.publishing.keys import load_trust
from widedeep.publishing.pending import Seen, unlearnt
from widedeep.publishing.pointer import champion, withdrawn
from widedeep.publishing.removal import known_lanes
from widedeep.publishing.renewals import seen_by
from widedeep.publishing.signing import check_signature
from widedeep.steps.comparing import check_one_split
from widedeep.steps.descent import replay_told
from widedeep.steps.workplace import Workplace


class LanePlan(Value):
    """What the promotion of a lane would do. `champion` is live's, of `champion_span`.

    `own` are the days that the lane has settled itself, up to live's head. `withdrawn` are the champions of live that would be
    taken back, `pending` the days that the next candidate would learn after it. `left_out` has rows that are not judged on:
    one of both may have learnt them in another version of their day.
    """

    lane: str
    candidate: Candidate
    own: tuple[date, ...]
    champion: ReleaseId
    champion_span: date
    withdrawn: tuple[ReleaseId, ...]
    pending: tuple[date, ...]
    holdout: tuple[Part, ...]
    left_out: tuple[Part, ...] = ()

    def told(self) -> str:
        days = f"{self.own[0]} to {self.own[-1]}" if len(self.own) > 1 else str(self.own[0])
        return (
            f"lane {self.lane}, which has {days} of its own: {self.candidate.release_id} of span {self.candidate.span} would "
            f"take the place of {self.champion} of span {self.champion_span}, live's champion; compared on held-out rows of "
            f"{_listed(sorted({part.span for part in self.holdout}))}, which neither has learnt; withdrawn: "
            f"{_listed(self.withdrawn)}; to be learnt next: {_listed(self.pending)}"
        )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names)) or "none"


def plan_lane_promotion(place: Workplace, lane: str) -> LanePlan:
    """What the promotion of a lane would do. Moves nothing.

    Raises:
        UsageError: the lane is `live`, or no name of a lane.
        OrderError: it or live has no champion, or an unsettled one; their heads are not the same day; its champion is live's
            already; or there are no held-out rows that neither has learnt.
        WithheldError: it or live is frozen, or a rollback withdrew its champion or an ancestor of it.
        ContractError: one of both was trained by another split.
        SignatureError: no accepted key signed one of both although that is required, or a signature does not fit.
    """
    moves.check_not_live(lane_name(lane))
    theirs, live = _champion(place, lane), _champion(place, LIVE)
    if theirs.release_id == live.release_id:
        raise OrderError(
            f"lane {lane}: its champion {theirs.release_id} is live's already: it was promoted, or the lane has learnt what live "
            "has. `widedeep descendants --span …` tells which versions; replay from the first day that was delivered again."
        )
    _check_heads(place, lane)
    ours, standing = (_signed_manifest(place, pointer) for pointer in (theirs, live))
    line = frozenset(moves.line(place.store, ours))
    _check_not_withheld(place, theirs, live, line)
    check_one_split(place.contract, ours, standing)
    seen, other = seen_by(place.store, ours), seen_by(place.store, standing)
    holdout = _holdout(place, lane, seen | other)
    if not holdout:
        raise OrderError(
            f"lane {lane}: got no settled day with held-out rows that neither {ours.release_id} nor {standing.release_id} has "
            f"learnt, wanted one to compare them on. Run a later day in {LIVE}, then in the lane, and promote it then."
        )
    gone = moves.withdrawn_by_adoption(place.store, live, theirs, ours)
    waiting = unlearnt(lanes.history(place.store, lane, date.max), seen) if place.contract.pending.rule == "carry" else []
    return LanePlan(
        lane=lane,
        candidate=releases.as_candidate(ours),
        own=lanes.settled_spans(place.store, lane),
        champion=live.release_id,
        champion_span=live.span,
        withdrawn=tuple(release for release in gone if release not in live.withdrawn),
        pending=tuple(sorted(snapshot.span for snapshot in waiting)),
        holdout=holdout,
        left_out=_learnt_by_one(place, seen ^ other, holdout),
    )


def _champion(place: Workplace, lane: str) -> ChampionPointer:
    if pointer := champion(place.store, lane):
        return pointer
    known = known_lanes(place.store)
    if lane not in known:
        others = ", ".join(other for other in known if other != LIVE) or "there is none yet"
        raise OrderError(f"lane {lane}: there is no such lane, wanted one of: {others}. `widedeep replay --from …` makes one.")
    settled = lanes.settled_spans(place.store, lane)
    why = f"none of its {len(settled)} day(s) was promoted" if settled else "it has settled no day yet"
    raise OrderError(
        f"lane {lane}: {why}, wanted a champion to promote or to compare with. `widedeep spans --lane {lane}` tells how its days "
        "were settled."
    )


def _check_heads(place: Workplace, lane: str) -> None:
    """Raise OrderError unless both have settled the same latest day, and the day of their champion."""
    heads = {}
    for each in (lane, LIVE):
        settled, promoted = lanes.head(place.store, each), _champion(place, each).span
        if settled is None or promoted > settled:
            raise OrderError(
                f"lane {each}: its head is {settled}, wanted {promoted}, whose candidate is its champion: that run died before "
                f"the span was settled. Run it again: `widedeep run --span {promoted} --lane {each}`."
            )
        heads[each] = settled
    later = [span for span in lanes.settled_spans(place.store, LIVE) if span > heads[lane]]
    if later:
        raise OrderError(
            f"lane {lane}: its head is {heads[lane]}, wanted live's, {heads[LIVE]}: {len(later)} day(s) of live are later, and "
            f"what it learnt of them would be taken back. Rebuild them in the lane first: {replay_told(later[0], lane)}."
        )
    if heads[lane] > heads[LIVE]:
        raise OrderError(
            f"lane {lane}: its head is {heads[lane]}, wanted live's, {heads[LIVE]}: live would never settle what lies between. "
            "Run the days of live up to there first."
        )


def _check_not_withheld(place: Workplace, theirs: ChampionPointer, live: ChampionPointer, line: frozenset[str]) -> None:
    for pointer in (live, theirs):
        if pointer.frozen:
            raise WithheldError(
                f"lane {pointer.lane} is frozen: {pointer.frozen}. Nothing is promoted into it or out of it; "
                f"`widedeep thaw --lane {pointer.lane}` ends that."
            )
    gone = sorted((withdrawn(place.store, theirs.lane) | set(live.withdrawn)) & line)
    if gone:
        raise WithheldError(
            f"lane {theirs.lane}: its champion {theirs.release_id} is or descends from {gone[0]}, which a rollback withdrew. "
            "Rebuild its days in a new lane, which starts from what stands."
        )


def _holdout(place: Workplace, lane: str, learnt: Seen) -> tuple[Part, ...]:
    """The held-out rows of the newest days that nobody has learnt in any version, as the lane has them; as many as are pooled."""
    days = {span for span, _, part in learnt if part == "holdout"}
    unseen = unlearnt(lanes.history(place.store, lane, date.max), learnt, "holdout")
    fitting = [snapshot for snapshot in unseen if snapshot.span not in days]
    newest = max((snapshot.span for snapshot in fitting), default=date.min)
    pooled = [s for s in fitting if (newest - s.span).days < place.contract.split.pool_spans]
    return tuple(_part(snapshot, "holdout") for snapshot in sorted(pooled, key=lambda s: (s.span, s.version)))


def _learnt_by_one(place: Workplace, apart: Seen, holdout: tuple[Part, ...]) -> tuple[Part, ...]:
    """What only one of both has learnt of days so near that the same row may have come with them.

    Another version of a day may hold out other users, and a late row comes with another day than its own.
    """
    near, found = place.contract.late.days, {}
    for span, digest, side in sorted(apart):
        if any(abs((span - part.span).days) <= near for part in holdout):
            for snapshot in snapshots.versions(place.store, span):
                if snapshot.digest == digest and snapshots.rows_stand(place.store, snapshot):
                    found[span, digest, side] = _part(snapshot, side)
    return tuple(found.values())


def _part(snapshot: Snapshot, side: str) -> Part:
    return Part.model_validate({"span": snapshot.span, "version": snapshot.version, "digest": snapshot.digest, "part": side})


def _signed_manifest(place: Workplace, pointer: ChampionPointer) -> Manifest:
    manifest = releases.load_manifest(place.store, pointer.release_id, published=True, expected_sha256=pointer.manifest_sha256)
    check_signature(place.store, manifest, load_trust(place.settings))
    return manifest
