"""A lane is a chain of settled spans; `widedeep.publishing.moves` has the pointer to its champion. Readers follow `live`.

- A span is settled once; the lane's head, its latest settled span, never moves back (first law). That it was promoted stands over
  what another run has settled it as.
- Rows that become valid after their span was settled are added beside its outcome, which stays.
- The parent of a span is the newest release promoted for an earlier span and not withdrawn, never simply the latest (first law).
- Another lane than `live` branches off: before its first span, the live lane's outcomes are its own (third law).
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import date, timedelta

from widedeep.artifacts import LIVE, Outcome
from widedeep.errors import OrderError
from widedeep.publishing import layout
from widedeep.publishing.pointer import champion, withdrawn
from widedeep.publishing.promotions import with_promotions
from widedeep.publishing.renewals import load_renewals
from widedeep.publishing.store import ObjectStore


def settled_spans(store: ObjectStore, lane: str) -> tuple[date, ...]:
    """The lane's own settled spans, in order; reads no outcome."""
    return tuple(layout.outcome_span(key) for key in store.keys(layout.outcomes(lane)))


def head(store: ObjectStore, lane: str) -> date | None:
    """The lane's latest settled span."""
    return max(settled_spans(store, lane), default=None)


def outcomes(store: ObjectStore, lane: str) -> tuple[Outcome, ...]:
    """How the lane settled its own spans, in span order."""
    return _settled(store, lane, settled_spans(store, lane))


def outcome(store: ObjectStore, lane: str, span: date) -> Outcome | None:
    """How the lane settled one of its own spans, if it has."""
    return next(iter(_settled(store, lane, [span])), None)


def superseded_by(store: ObjectStore, lane: str, span: date) -> date | None:
    """The lane's first later span that is settled, or promoted by a run that has yet to settle it."""
    pointer = champion(store, lane)
    known = [*settled_spans(store, lane), *([pointer.span] if pointer else [])]
    return min((each for each in known if each > span), default=None)


def _settled(store: ObjectStore, lane: str, spans: Iterable[date]) -> tuple[Outcome, ...]:
    return with_promotions(store, lane, _read(store, [layout.outcome(lane, span) for span in spans]))


def additions(store: ObjectStore, lane: str) -> tuple[Outcome, ...]:
    """What became valid in the lane after its span was settled, in span order."""
    return _read(store, store.keys(layout.additions(lane)))


def history(store: ObjectStore, lane: str, span: date) -> tuple[Outcome, ...]:
    """What a run of `span` builds on: the lane's own outcomes and, before its first span, those of `live`; additions last.

    Where `live` has adopted another lane, that lane's outcomes stand for its own. Each has the rows that stand since an erasure.
    """
    return load_renewals(store).outcomes(_history(store, lane, span))


def _history(store: ObjectStore, lane: str, span: date) -> tuple[Outcome, ...]:
    if lane == LIVE:
        return _live(store, date.max)
    own = outcomes(store, lane)
    return (*_live(store, min([span, *(outcome.span for outcome in own)])), *own, *additions(store, lane))


def _live(store: ObjectStore, before: date) -> tuple[Outcome, ...]:
    """The outcomes that count in the live lane, of spans before a day, and what was added to those spans."""
    pointer = champion(store, LIVE)
    lane_of: dict[date, str] = dict.fromkeys(settled_spans(store, LIVE), LIVE)
    for adopted in pointer.adopted if pointer else ():
        lane_of |= {span: adopted.lane for span in settled_spans(store, adopted.lane) if span <= adopted.until}
    lanes = sorted({*lane_of.values()})
    settled = [o for lane in lanes for o in _settled(store, lane, [s for s in lane_of if lane_of[s] == lane and s < before])]
    added = [a for lane in lanes for a in additions(store, lane) if lane_of.get(a.span) == lane]
    return (*sorted(settled, key=lambda o: o.span), *(addition for addition in added if addition.span < before))


def _read(store: ObjectStore, keys: Iterable[str]) -> tuple[Outcome, ...]:
    blobs = [(key, store.get(key)) for key in keys]
    return tuple(Outcome.from_bytes(blob.data, f"{store.url}/{key}") for key, blob in blobs if blob)


def parent(store: ObjectStore, lane: str, history: Iterable[Outcome], span: date) -> str | None:
    """What the lane's candidate of a span starts from and is compared with: its champion, if that is earlier and stands."""
    pointer, gone = champion(store, lane), withdrawn(store, lane)
    if pointer and pointer.span < span and pointer.release_id not in gone:
        return pointer.release_id
    return parent_as_of(history, span, gone)


def parent_as_of(history: Iterable[Outcome], span: date, withdrawn: Collection[str] = ()) -> str | None:
    """The newest release promoted for a span earlier than `span` that no rollback has withdrawn."""
    return next((release for _, release in _promoted(history, span, withdrawn)), None)


def anchors_as_of(history: Iterable[Outcome], span: date, days: int, withdrawn: Collection[str] = ()) -> list[str]:
    """What was champion `days` before the span, then ever later ones: the first is the anchor, the others stand in for it."""
    found = list(_promoted(history, span, withdrawn))
    old = [release for promoted, release in found if promoted <= span - timedelta(days)]
    return [*old[:1], *(release for promoted, release in reversed(found) if promoted > span - timedelta(days))]


def _promoted(history: Iterable[Outcome], span: date, withdrawn: Collection[str]) -> Iterator[tuple[date, str]]:
    """The releases promoted for earlier spans that no rollback has withdrawn, with their spans, the newest first."""
    found = [o for o in history if o.result == "promoted" and o.span < span and o.release_id not in withdrawn]
    yield from ((o.span, str(o.release_id)) for o in sorted(found, key=lambda o: o.span, reverse=True))


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
    first = _first(store, layout.outcome(outcome.lane, outcome.span), outcome)
    return first if first is outcome else with_promotions(store, outcome.lane, [first])[0]


def add(store: ObjectStore, outcome: Outcome) -> Outcome:
    """Write what became valid in a settled span. If other rows replace the same version already, those stand and are returned."""
    digest = outcome.snapshot.digest if outcome.snapshot else ""
    return _first(store, layout.addition(outcome.lane, outcome.span, outcome.replaces, digest), outcome)


def held(store: ObjectStore, lane: str) -> tuple[Outcome, ...]:
    """What came after its span was settled, and waited or waits for a person, in span order."""
    return _read(store, store.keys(layout.held_rows(lane)))


def hold(store: ObjectStore, outcome: Outcome) -> Outcome:
    """Write that rows of a settled span wait for a person. The first writer of the same rows stands and is returned."""
    digest = outcome.snapshot.digest if outcome.snapshot else ""
    return _first(store, layout.held(outcome.lane, outcome.span, digest), outcome)


def _first(store: ObjectStore, key: str, outcome: Outcome) -> Outcome:
    if store.create(key, outcome.to_bytes()):
        return outcome
    standing = store.get(key)
    return Outcome.from_bytes(standing.data, f"{store.url}/{key}") if standing else outcome


def _replay(span: date) -> str:
    return f"replay-{span}"
