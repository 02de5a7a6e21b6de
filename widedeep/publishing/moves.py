"""Moves of a lane's champion pointer: promotions, rollbacks, adoptions of another lane, freezes and thaws.

- One object holds all that decides, and moves by compare-and-swap: a move is whole or did not happen, and none gets lost.
- `widedeep.publishing.swap` keeps what the pointer said before it is replaced, signs the move, and builds on nothing unsigned
  where signatures are required (SignatureError).
- A promotion leads only to what the gate compared with the present champion, and never to an earlier span; an adoption only to
  what was compared, too; a rollback only to a release that was champion of the lane.
- What the gate held is promoted only by a person's approval, and only while its span is the lane's latest; a twin of the champion
  while the span is that was so when the twin was proposed. A lane whose champion the gate held beside live's is adopted only by
  `adopt_held`.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from widedeep.artifacts import LIVE, Adoption, ChampionPointer, Decision, Manifest, Release, Verdict, sha256
from widedeep.errors import OrderError, StaleError, SupersededError, UsageError, WithheldError
from widedeep.publishing import layout
from widedeep.publishing.keys import ANYBODY, Signer, Trust
from widedeep.publishing.lanes import head, history, parent, settled_spans, superseded_by
from widedeep.publishing.pointer import champion, moves, standing, withdrawn
from widedeep.publishing.releases import check_bound, load_manifest
from widedeep.publishing.signing import check_move
from widedeep.publishing.store import Blob, ObjectStore
from widedeep.publishing.swap import swap_pointer


@dataclass(frozen=True)
class Because:
    """When, by whom and why a pointer is moved, with which key, and whose pointers may be built on."""

    now: datetime
    by: str
    reason: str
    signer: Signer | None = None
    trust: Trust = ANYBODY


def promote(store: ObjectStore, lane: str, release: Release, verdict: Verdict, because: Because) -> ChampionPointer:
    """Point the lane at a release that the gate compared with its present champion. Done again, it finds the pointer there.

    Raises:
        UsageError: the verdict is not 'promote', or is about another release. The pointer stays.
        IntegrityError: the release is not published with the bytes that were judged. The pointer stays.
        WithheldError: the lane is frozen, or the release or its parent was withdrawn. The pointer stays.
        OrderError: the champion is of a later span. The pointer stays.
        StaleError: the champion changed since the comparison. The pointer stays; the release stays stored, unpromoted.
    """
    manifest = _judged(store, release.release_id, release.manifest_sha256, verdict, "promote")
    return _lead(store, lane, manifest, verdict, because)


def approve(
    store: ObjectStore, lane: str, release: Release, verdict: Verdict, because: Because, until: date | None = None
) -> ChampionPointer:
    """Point the lane at a release that the gate held and a person approves. Done again, it finds the pointer there.

    Raises:
        UsageError: the verdict is not 'hold', or is about another release. The pointer stays.
        SupersededError: a span of the lane later than `until`, by default its own, has settled. The pointer stays.
        All that `promote` raises beside.
    """
    return _lead(store, lane, approvable(store, lane, release, verdict, until), verdict, because)


def approvable(store: ObjectStore, lane: str, release: Release, verdict: Verdict, until: date | None = None) -> Manifest:
    """The manifest of a held release that `approve` would promote now; raises what that would."""
    manifest = _judged(store, release.release_id, release.manifest_sha256, verdict, "hold")
    found = standing(store, lane)
    if not _leads_to(found, manifest):
        check_latest(store, lane, until or release.span)
        _check_may_lead(store, lane, manifest, verdict, found)
    return manifest


def check_latest(store: ObjectStore, lane: str, span: date) -> None:
    """Raise SupersededError if a later span of the lane has settled."""
    if later := superseded_by(store, lane, span):
        raise SupersededError(
            f"span {span} of lane {lane}: superseded by span {later}. Its candidate stays stored, unpromoted; a later one learns "
            "its rows."
        )


def _lead(store: ObjectStore, lane: str, manifest: Manifest, verdict: Verdict, because: Because) -> ChampionPointer:
    found = standing(store, lane)
    if found and _leads_to(found, manifest):
        return found[0]
    _check_may_lead(store, lane, manifest, verdict, found)
    moved = _next(found, "promote", because, manifest) if found else _first(lane, manifest, because)
    return _move(store, because, found, moved)


def _leads_to(found: tuple[ChampionPointer, Blob] | None, manifest: Manifest) -> bool:
    return found is not None and found[0].release_id == manifest.release_id


def _check_may_lead(
    store: ObjectStore, lane: str, manifest: Manifest, verdict: Verdict, found: tuple[ChampionPointer, Blob] | None
) -> None:
    span = manifest.lineage.span
    _check_not_withheld(store, lane, manifest, {manifest.release_id, manifest.lineage.parent})
    if found and found[0].span > span:
        raise OrderError(f"lane {lane}: champion is of {found[0].span}, later than {span}; the pointer never moves back in time.")
    _check_compared(store, lane, span, verdict)


def rollback(store: ObjectStore, lane: str, release_id: str, sequence: int, because: Because) -> ChampionPointer:
    """Point the lane back at a release that was its champion; `withdrawing` says what is withdrawn by that.

    `sequence` is the move that the decision was made on. Done again, it finds the pointer there.

    Raises:
        OrderError: the lane has no champion yet.
        UsageError: the release was never champion of the lane, or is so now. The pointer stays.
        IntegrityError: its manifest is not the one that was champion. The pointer stays.
        StaleError: the pointer has moved on since `sequence`. It stays where it is.
    """
    found = _wanted(store, lane)
    pointer = found[0]
    if pointer.sequence != sequence:
        next_one = next((move for move in moves(store, lane) if move.sequence == sequence + 1), None)
        if next_one and (next_one.kind, next_one.release_id) == ("rollback", release_id):
            return next_one
        raise StaleError(
            f"lane {lane}: got move {pointer.sequence} ({pointer.kind} to {pointer.release_id} by {pointer.moved_by}), wanted "
            f"move {sequence}, on which the rollback was decided. The pointer stays; look at the lane and decide again."
        )
    was, manifest, gone = withdrawing(store, lane, release_id)
    return _move(store, because, found, _next(found, "rollback", because, manifest, withdrawn=gone, adopted=was.adopted))


def withdrawing(store: ObjectStore, lane: str, release_id: str) -> tuple[ChampionPointer, Manifest, tuple[str, ...]]:
    """Where a rollback would lead: that release's latest move, its manifest, and all that would stand withdrawn then, sorted.

    Withdrawn are the champions of later spans or moves, and what was withdrawn before, less the release itself and its ancestors.

    Raises:
        UsageError: the release was never champion of the lane, or is so now.
        IntegrityError: its manifest is not the one that was champion.
    """
    past = list(moves(store, lane))
    was = next((move for move in past if move.release_id == release_id), None)
    if was is None or past[0].release_id == release_id:
        others = dict.fromkeys(move.release_id for move in past if past[0].release_id != move.release_id)
        raise UsageError(
            f"lane {lane}: {release_id} {'was never' if was is None else 'is'} its champion; wanted one that was: "
            f"{', '.join(others) or 'there is none yet'}. `widedeep champion --history` lists them."
        )
    manifest = load_manifest(store, release_id, published=True, expected_sha256=was.manifest_sha256)
    spans = {move.release_id: move.span for move in past}
    since = {move.release_id for move in past if move.sequence > was.sequence}  # such as a lane's or a twin of the same span
    gone = {release for release, span in spans.items() if span > was.span} | since | set(past[0].withdrawn)
    own = set(line(store, manifest, min((spans.get(release, date.min) for release in gone), default=date.max)))
    return was, manifest, tuple(sorted(gone - own))


def adopt(store: ObjectStore, lane: str, verdict: Verdict, because: Because) -> ChampionPointer:
    """Point `live` at the champion of another lane, which was compared with live's, and take that lane's outcomes over.

    Live's champions that are no ancestors of it are withdrawn, and so is what was withdrawn in the lane; spans that it has not
    learnt are pending. Done again, it finds the pointer there.

    Raises:
        UsageError: the verdict is not 'promote', or is about another release; or the lane is `live`. The pointer stays.
        OrderError: the lane has no champion, or has gone past live's head. The pointer stays.
        WithheldError: `live` is frozen, or the release or one of its ancestors was withdrawn in it. The pointer stays.
        StaleError: the live champion changed since the comparison. The pointer stays.
    """
    return _adopt(store, lane, verdict, "promote", because)


def adopt_held(store: ObjectStore, lane: str, verdict: Verdict, because: Because) -> ChampionPointer:
    """`adopt` a lane whose champion the gate held beside live's, and a person approves. Done again, it finds the pointer there.

    Raises:
        UsageError: the verdict is not 'hold', or is about another release; or the lane is `live`. The pointer stays.
        All that `adopt` raises beside.
    """
    return _adopt(store, lane, verdict, "hold", because)


def _adopt(store: ObjectStore, lane: str, verdict: Verdict, decision: Decision, because: Because) -> ChampionPointer:
    check_not_live(lane)
    theirs, blob = _wanted(store, lane)
    check_move(store, theirs, blob.data, because.trust)
    manifest = _judged(store, theirs.release_id, theirs.manifest_sha256, verdict, decision)
    found = _wanted(store, LIVE)
    if found[0].release_id == theirs.release_id:
        return found[0]
    until, live_head = head(store, lane) or theirs.span, head(store, LIVE)
    if live_head is None or until > live_head:
        raise OrderError(
            f"lane {lane}: its head {until} lies after live's, {live_head}: live would never settle what lies between. "
            "Run the spans of live up to there first."
        )
    own = frozenset(line(store, manifest))
    _check_not_withheld(store, LIVE, manifest, own)
    _check_compared(store, LIVE, theirs.span, verdict)
    changed = {
        "withdrawn": withdrawn_by_adoption(store, found[0], theirs, manifest),
        "adopted": (*found[0].adopted, Adoption(lane=lane, until=until)),
    }
    return _move(store, because, found, _next(found, "adopt", because, manifest, **changed))


def check_not_live(lane: str) -> None:
    """Raise UsageError if the lane is the one that others are promoted over."""
    if lane == LIVE:
        raise UsageError(f"lane {LIVE}: can't be promoted over itself; wanted another one, such as `widedeep replay` rebuilds.")


def withdrawn_by_adoption(
    store: ObjectStore, live: ChampionPointer, theirs: ChampionPointer, manifest: Manifest
) -> tuple[str, ...]:
    """All that would stand withdrawn, sorted, were `live` to adopt a lane whose champion has this manifest.

    Not those whose history a twin in its line has learnt anew: earlier days still go on from them. Nor those from before what was
    pruned: whether it descends from them nobody can tell.
    """
    own, known_since = _line_through_twins(store, manifest)
    since = min([known_since, *settled_spans(store, theirs.lane)])  # for its own days the lane has releases of its own
    gone = {move.release_id for move in moves(store, LIVE) if move.span >= since}.difference(own)
    return tuple(sorted({*gone, *live.withdrawn, *theirs.withdrawn}.difference(line(store, manifest))))


def _line_through_twins(store: ObjectStore, manifest: Manifest) -> tuple[set[str], date]:
    """A release, its ancestors and those of a twin's champion, and from which span on they are all known."""
    own = {manifest.release_id}
    while before := manifest.lineage.parent or manifest.lineage.twin_of:
        own.add(before)
        if store.get(layout.manifest(before)) is None:
            return own, manifest.lineage.span
        manifest = load_manifest(store, before, published=True)
    return own, date.min


def freeze(store: ObjectStore, lane: str, because: Because) -> ChampionPointer:
    """Promote nothing in this lane until it is thawed. A frozen lane stays as it is, with its first reason.

    Raises:
        OrderError: the lane has no champion yet.
        StaleError: the pointer moved at this moment; do it again.
    """
    found = _wanted(store, lane)
    return found[0] if found[0].frozen else _move(store, because, found, _next(found, "freeze", because, frozen=because.reason))


def thaw(store: ObjectStore, lane: str, because: Because) -> ChampionPointer:
    """Allow promotions again. What passed while the lane was frozen is stored and pending; the next candidate learns it.

    Raises:
        OrderError: the lane has no champion yet.
        StaleError: the pointer moved at this moment; do it again.
    """
    found = _wanted(store, lane)
    return _move(store, because, found, _next(found, "thaw", because, frozen=None)) if found[0].frozen else found[0]


def _wanted(store: ObjectStore, lane: str) -> tuple[ChampionPointer, Blob]:
    found = standing(store, lane)
    if found is None:
        raise OrderError(f"lane {lane}: nothing was promoted yet. Run `widedeep bootstrap` or `widedeep run` first.")
    return found


def _judged(store: ObjectStore, release_id: str, manifest_sha256: str, verdict: Verdict, decision: Decision) -> Manifest:
    """The manifest on which the verdict decides so."""
    check_bound(verdict, release_id, manifest_sha256)
    if verdict.decision != decision:
        raise UsageError(f"{release_id}: got a verdict {verdict.decision!r}, wanted {decision!r}. The champion stays.")
    return load_manifest(store, release_id, published=True, expected_sha256=manifest_sha256)


def _check_not_withheld(store: ObjectStore, lane: str, manifest: Manifest, line: Collection[str | None]) -> None:
    """`line` are the release and the ancestors that count; within a lane the parent is enough, since it was a champion."""
    pointer = champion(store, lane)
    if pointer and pointer.frozen:
        raise WithheldError(
            f"lane {lane} is frozen: {pointer.frozen}. {manifest.release_id} stays stored, unpromoted; `widedeep thaw` ends it"
        )
    gone = withdrawn(store, lane).intersection(line)
    if gone:
        raise WithheldError(f"{min(gone)} was withdrawn by a rollback; {manifest.release_id} stays stored, unpromoted")


def _check_compared(store: ObjectStore, lane: str, span: date, verdict: Verdict) -> None:
    pointer = champion(store, lane)
    stands = pointer and pointer.release_id not in withdrawn(store, lane)
    present = (pointer.release_id, pointer.manifest_sha256) if pointer and stands else _inherited_champion(store, lane, span)
    compared = (verdict.champion, verdict.champion_manifest_sha256)
    if present != compared:
        raise StaleError(
            f"lane {lane}: got {present[0] or 'nobody'} as champion, wanted {compared[0] or 'nobody'}, which "
            f"{verdict.candidate} was compared with. The release stays stored, unpromoted. Run the gate again."
        )


def _inherited_champion(store: ObjectStore, lane: str, span: date) -> tuple[str | None, str | None]:
    """What stands for the champion in a lane without one, or whose line `live` withdrew: nobody, or where it branches off."""
    before = parent(store, lane, history(store, lane, span), span) if lane != LIVE else None
    return (before, load_manifest(store, before, published=True).content_digest()) if before else (None, None)


def line(store: ObjectStore, manifest: Manifest, since: date = date.min) -> Iterator[str]:
    """A release and its ancestors, as far back as a span, or as what was pruned: its parent is still named."""
    yield manifest.release_id
    while manifest.lineage.parent and manifest.lineage.span > since:
        yield manifest.lineage.parent
        if store.get(layout.manifest(manifest.lineage.parent)) is None:
            return
        manifest = load_manifest(store, manifest.lineage.parent, published=True)


def _first(lane: str, to: Manifest, because: Because) -> ChampionPointer:
    told = {"moved_at": because.now, "moved_by": because.by, "reason": because.reason}
    return ChampionPointer(lane=lane, sequence=1, previous=None, **_at(to), **told)


def _next(
    found: tuple[ChampionPointer, Blob], kind: str, because: Because, to: Manifest | None = None, **changed: Any
) -> ChampionPointer:
    """The pointer after a move: to a release, or where it stands."""
    before, blob = found
    told = {"moved_at": because.now, "moved_by": because.by, "reason": because.reason}
    link = {"kind": kind, "sequence": before.sequence + 1, "previous_move": sha256(blob.data)}
    return before.model_copy(update=link | told | changed | ({"previous": before.release_id, **_at(to)} if to else {}))


def _at(to: Manifest) -> dict[str, Any]:
    return {"release_id": to.release_id, "span": to.lineage.span, "manifest_sha256": to.content_digest()}


def _move(
    store: ObjectStore, because: Because, found: tuple[ChampionPointer, Blob] | None, pointer: ChampionPointer
) -> ChampionPointer:
    return swap_pointer(store, found, pointer, because.signer, because.trust)
