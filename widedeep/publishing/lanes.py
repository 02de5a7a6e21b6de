"""A lane is a chain of settled spans and one pointer to its champion. Readers follow `live`.

- A span is settled once; the lane's head, its latest settled span, never moves back (first law).
- The parent of a span is the newest release promoted for an earlier span, never simply the latest (first law).
- The pointer moves by compare-and-swap, only to what the gate compared with its present release, and never to an earlier span.
- Another lane than `live` branches off: before its first span, the live lane's outcomes are its own (third law).
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from widedeep.artifacts import LIVE, ChampionPointer, Outcome, Release, Verdict
from widedeep.errors import OrderError, StaleError, UsageError
from widedeep.publishing import layout
from widedeep.publishing.releases import check_bound, load_manifest
from widedeep.publishing.store import ObjectStore


def champion(store: ObjectStore, lane: str) -> tuple[ChampionPointer, str] | None:
    """The lane's pointer with its etag, or None before the first promotion."""
    blob = store.get(layout.champion(lane))
    return (ChampionPointer.from_bytes(blob.data, f"{store.url}/{layout.champion(lane)}"), blob.etag) if blob else None


def settled_spans(store: ObjectStore, lane: str) -> tuple[date, ...]:
    """The lane's own settled spans, in order; reads no outcome."""
    return tuple(layout.outcome_span(key) for key in store.keys(layout.outcomes(lane)))


def head(store: ObjectStore, lane: str) -> date | None:
    """The lane's latest settled span."""
    return max(settled_spans(store, lane), default=None)


def outcomes(store: ObjectStore, lane: str) -> tuple[Outcome, ...]:
    """The lane's own outcomes, in span order."""
    return _read(store, lane, settled_spans(store, lane))


def history(store: ObjectStore, lane: str, span: date) -> tuple[Outcome, ...]:
    """What a run of `span` builds on, in span order: the lane's own outcomes and, before its first span, those of `live`."""
    own = outcomes(store, lane)
    if lane == LIVE:
        return own
    first = min([span, *(outcome.span for outcome in own)])
    return (*_read(store, LIVE, (s for s in settled_spans(store, LIVE) if s < first)), *own)


def _read(store: ObjectStore, lane: str, spans: Iterable[date]) -> tuple[Outcome, ...]:
    keys = [layout.outcome(lane, span) for span in spans]
    blobs = [(key, store.get(key)) for key in keys]
    return tuple(Outcome.from_bytes(blob.data, f"{store.url}/{key}") for key, blob in blobs if blob)


def parent_as_of(history: Iterable[Outcome], span: date) -> str | None:
    """The newest release promoted for a span earlier than `span`."""
    promoted = [o for o in history if o.result == "promoted" and o.span < span]
    return max(promoted, key=lambda o: o.span).release_id if promoted else None


def first_unsettled(history: Iterable[Outcome], span: date) -> date | None:
    """The first span between the first settled one and `span` that has no outcome: what `span` has to wait for."""
    settled = {o.span for o in history}
    if not settled:
        return None
    first = min(settled)
    between = (first + timedelta(days=i) for i in range((span - first).days))
    return next((day for day in between if day not in settled), None)


def resolve_lane(store: ObjectStore, span: date, requested: str | None) -> str:
    """The lane that a run of `span` belongs to: the requested one; `live` if it extends or has settled it; else one of its own.

    Raises:
        OrderError: the requested lane has gone past the span without it.
    """
    settled = settled_spans(store, requested or LIVE)
    if not settled or span > max(settled) or span in settled:
        return requested or LIVE
    if requested:
        raise OrderError(
            f"span {span}: lies before the head {max(settled)} of lane {requested}, which never moves back. "
            f"Run it without a lane: it gets one of its own, {_replay(span)}."
        )
    return _replay(span)


def settle(store: ObjectStore, outcome: Outcome) -> Outcome:
    """Write how a span ended. If it is settled already, that outcome stands and is returned."""
    key = layout.outcome(outcome.lane, outcome.span)
    if store.create(key, outcome.to_bytes()):
        return outcome
    standing = store.get(key)
    return Outcome.from_bytes(standing.data, f"{store.url}/{key}") if standing else outcome


def promote(
    store: ObjectStore, lane: str, release: Release, verdict: Verdict, *, now: datetime, by: str, reason: str
) -> ChampionPointer:
    """Point the lane at a release that the gate compared with its present champion. Done again, it finds the pointer there.

    Raises:
        UsageError: the verdict is not 'promote', or is about another release. The pointer stays.
        IntegrityError: the release is not published with the bytes that were judged. The pointer stays.
        OrderError: the champion is of a later span. The pointer stays.
        StaleError: the champion changed since the comparison. The pointer stays; the release stays stored, unpromoted.
    """
    _check_verdict(release, verdict)
    load_manifest(store, release.release_id, published=True, expected_sha256=release.manifest_sha256)
    standing = champion(store, lane)
    if standing and standing[0].release_id == release.release_id:
        return standing[0]
    _check_champion(store, lane, release, verdict, standing[0] if standing else None)
    pointer = ChampionPointer(
        lane=lane,
        release_id=release.release_id,
        span=release.span,
        manifest_sha256=release.manifest_sha256,
        sequence=standing[0].sequence + 1 if standing else 1,
        previous=standing[0].release_id if standing else None,
        moved_at=now,
        moved_by=by,
        reason=reason,
    )
    return _move(store, pointer, standing[1] if standing else None)


def _check_verdict(release: Release, verdict: Verdict) -> None:
    check_bound(verdict, release.release_id, release.manifest_sha256)
    if verdict.decision != "promote":
        raise UsageError(f"{release.release_id}: got a verdict {verdict.decision!r}, wanted 'promote'. The champion stays.")


def _check_champion(store: ObjectStore, lane: str, release: Release, verdict: Verdict, standing: ChampionPointer | None) -> None:
    if standing and standing.span > release.span:
        raise OrderError(
            f"lane {lane}: champion is of {standing.span}, later than {release.span}; the pointer never moves back in time."
        )
    present = (standing.release_id, standing.manifest_sha256) if standing else _inherited_champion(store, lane, release.span)
    compared = (verdict.champion, verdict.champion_manifest_sha256)
    if present != compared:
        raise StaleError(
            f"lane {lane}: got {present[0] or 'nobody'} as champion, wanted {compared[0] or 'nobody'}, which "
            f"{release.release_id} was compared with. The release stays stored, unpromoted. Run the gate again."
        )


def _inherited_champion(store: ObjectStore, lane: str, span: date) -> tuple[str | None, str | None]:
    """What stands for the champion in a lane that has promoted nothing yet: nobody, or where it branched off from `live`."""
    parent = parent_as_of(history(store, lane, span), span) if lane != LIVE else None
    return (parent, load_manifest(store, parent, published=True).content_digest()) if parent else (None, None)


def _move(store: ObjectStore, pointer: ChampionPointer, expected_etag: str | None) -> ChampionPointer:
    try:
        store.swap(layout.champion(pointer.lane), pointer.to_bytes(), expected_etag)
    except StaleError:
        winner = champion(store, pointer.lane)
        if winner and winner[0].release_id == pointer.release_id:
            return winner[0]
        raise
    return pointer


def _replay(span: date) -> str:
    return f"replay-{span}"
