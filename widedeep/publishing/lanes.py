"""A lane is a chain of settled spans; `widedeep.publishing.moves` has the pointer to its champion. Readers follow `live`.

- A span is settled once; the lane's head, its latest settled span, never moves back (first law). That it was promoted stands over
  what another run has settled it as.
- Rows that become valid after their span was settled are added beside its outcome, which stays.
- The parent of a span is the newest release promoted for an earlier span and not withdrawn, never simply the latest (first law).
- Another lane than `live` branches off where it was opened: before that day, the live lane's outcomes are its own (third law).
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime, timedelta

from widedeep.artifacts import LIVE, Backfill, Opening, Outcome, Proposal
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
    return (*_live(store, _first_of(store, lane, span, {o.span for o in own})), *own, *additions(store, lane))


def _first_of(store: ObjectStore, lane: str, span: date, own: Collection[date]) -> date:
    """The first span that is the lane's own; `span` itself is one, too."""
    opened = opening(store, lane)
    return min([*([opened.first] if opened else []), span, *own])


def _live(store: ObjectStore, before: date) -> tuple[Outcome, ...]:
    """The outcomes that count in the live lane, of spans before a day, and what was added to those spans."""
    lane_of = _live_spans(store)
    lanes = sorted({*lane_of.values()})
    settled = {lane: _settled(store, lane, [s for s, of in lane_of.items() if of == lane and s < before]) for lane in lanes}
    taken_over = [outcome for lane in lanes if lane != LIVE for outcome in settled[lane]]
    # A twin may have taken the place of a champion that came with an adopted lane.
    counting = (*settled.get(LIVE, ()), *with_promotions(store, LIVE, taken_over))
    added = [a for lane in lanes for a in additions(store, lane) if lane_of.get(a.span) == lane]
    return (*sorted(counting, key=lambda o: o.span), *(addition for addition in added if addition.span < before))


def _live_spans(store: ObjectStore) -> dict[date, str]:
    """The spans that count as settled in the live lane, and the lane whose outcome of each counts; reads no outcome."""
    pointer = champion(store, LIVE)
    lane_of: dict[date, str] = dict.fromkeys(settled_spans(store, LIVE), LIVE)
    for adopted in pointer.adopted if pointer else ():
        lane_of |= {span: adopted.lane for span in settled_spans(store, adopted.lane) if span <= adopted.until}
    return lane_of


def settled_until(store: ObjectStore, lane: str, span: date) -> date | None:
    """The last span before `span` that counts as settled in the lane; reads no outcome."""
    return max((day for day in _settled_in(store, lane, span)[0] if day < span), default=None)


def _settled_in(store: ObjectStore, lane: str, span: date) -> tuple[set[date], date | None]:
    """The spans that the lane builds on, as `history` has them, and where it branches off."""
    live = {*_live_spans(store)}
    if lane == LIVE:
        return live, None
    own = settled_spans(store, lane)
    first = _first_of(store, lane, span, own)
    return {day for day in live if day < first} | {*own}, first


def unsettled_before(store: ObjectStore, lane: str, span: date, begins: date | None = None) -> date | None:
    """The first span before `span` that the lane has not settled: what `span` has to wait for. Reads no outcome.

    A champion whose run (or bootstrap) died before it settled its span counts, too. `begins` is the first day of a lane without
    any settled span; a lane that was opened knows its own.
    """
    settled, branches_off = _settled_in(store, lane, span)
    found = first_unsettled(settled, span, branches_off or (begins if not settled else None))
    pointer = champion(store, lane)
    promoted = pointer.span if pointer and pointer.span < span and pointer.span not in settled else None
    return min(filter(None, (found, promoted)), default=None)


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


def first_unsettled(settled: Collection[date], span: date, begins: date | None = None) -> date | None:
    """The first day before `span` without an outcome, counted from the first settled one, or from where the lane begins."""
    first = min([*settled, *([begins] if begins else [])], default=span)
    between = (first + timedelta(days=i) for i in range((span - first).days))
    return next((day for day in between if day not in settled), None)


def opening(store: ObjectStore, lane: str) -> Opening | None:
    """Where the lane begins, if it was opened."""
    blob = store.get(layout.opening(lane))
    return Opening.from_bytes(blob.data, f"{store.url}/{layout.opening(lane)}") if blob else None


def open_lane(store: ObjectStore, lane: str, first: date, now: datetime, by: str) -> Opening:
    """Let a lane other than `live` begin at a day. Who opens it first decides: its opening stands, and is returned.

    Raises:
        OrderError: the lane has begun later than that day.
    """
    mine = Opening(lane=lane, first=first, live_head=head(store, LIVE), opened_at=now, opened_by=by)
    opened = mine if store.create(layout.opening(lane), mine.to_bytes()) else opening(store, lane) or mine
    if first < opened.first:
        raise OrderError(
            f"span {first}: lane {lane} begins at {opened.first}, and no lane grows backwards. Choose another lane, or none."
        )
    return opened


def lane_of_backfill(store: ObjectStore, span: date, backfill: Backfill, now: datetime, by: str) -> str:
    """`live` for what extends it as it stood when the first of these runs began, else the lane that they share.

    Raises:
        OrderError: a day before the span is left out of the backfill, and so would be of the models of that lane.
    """
    opened = open_lane(store, backfill.lane, backfill.first, now, by)
    if opened.live_head is None or span > opened.live_head:
        return LIVE
    if missing := [str(day) for day in backfill.left_out if day < span]:
        raise OrderError(
            f"span {span}: this backfill leaves out {', '.join(missing)}, where runs are already, and a model of {span} would "
            "lack what those days teach. Nothing was done: ask for the same days again with 'All Runs' to be reprocessed."
        )
    return backfill.lane


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


def proposals(store: ObjectStore, lane: str) -> tuple[Proposal, ...]:
    """The twins of champions from which the lane may go on, each as promoted once it led the lane; the earliest first."""
    blobs = [(key, store.get(key)) for key in store.keys(layout.proposals(lane))]
    found = [Proposal.from_bytes(blob.data, f"{store.url}/{key}") for key, blob in blobs if blob]
    pointer = champion(store, lane) if found else None
    kept = store.keys(layout.promotions(lane)) if found else ()  # a twin's is kept once the pointer leaves it
    led = {layout.promoted(key) for key in kept} | {pointer.release_id if pointer else None}
    return tuple(each.model_copy(update={"result": "promoted"}) if each.release_id in led else each for each in found)


def propose(store: ObjectStore, proposal: Proposal) -> Proposal:
    """Let a person decide whether the lane goes on from a twin. The first proposal for the same head stands and is returned."""
    key = layout.proposal(proposal.lane, proposal.head, str(proposal.release_id))
    if store.create(key, proposal.to_bytes()):
        return proposal
    standing = store.get(key)
    return Proposal.from_bytes(standing.data, f"{store.url}/{key}") if standing else proposal


def _first(store: ObjectStore, key: str, outcome: Outcome) -> Outcome:
    if store.create(key, outcome.to_bytes()):
        return outcome
    standing = store.get(key)
    return Outcome.from_bytes(standing.data, f"{store.url}/{key}") if standing else outcome


def _replay(span: date) -> str:
    return f"replay-{span}"
