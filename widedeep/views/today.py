"""The chain at one glance: who is champion since when, what was decided last, and what waits for anybody."""

from collections.abc import Iterable
from datetime import date, datetime
from functools import partial

from widedeep.artifacts import LIVE, ChampionPointer, Manifest, Outcome, Proposal, Result, Verdict
from widedeep.publishing import layout
from widedeep.publishing.formats import read_manifest
from widedeep.views.chain import Judged, View, fitting, judged
from widedeep.views.found import LaneKeys, lane_keys, outcome_of, pointer_of
from widedeep.views.shelf import Shelf, Unreadable

LEARNABLE = {"promoted", "held", "rejected", "learnt", "added"}


class Champion(View):
    """Whom readers of `live` follow."""

    release_id: str
    span: date
    kind: str
    sequence: int
    moved_at: datetime
    moved_by: str
    reason: str
    previous: str | None
    frozen: str | None
    withdrawn: int
    there: bool


class Waiting(View):
    """A span that was not learnt, or that waits for a person, and why."""

    span: date
    result: Result
    reasons: tuple[str, ...]
    release_id: str | None


class OtherLane(View):
    """A lane beside `live`. `adopted`: live has taken it over."""

    lane: str
    settled: int
    head: date | None
    champion: str | None
    adopted: bool


class Today(View):
    """`unlearnt` are settled spans whose rows no release in the champion's line has learnt; `open` those that a person can still
    decide on. `problems` are keys that can't be read."""

    champion: Champion | None
    head: date | None
    settled: int
    last: Waiting | None
    last_verdict: Judged | None
    pending: tuple[Waiting, ...]
    quarantined: tuple[Waiting, ...]
    no_data: tuple[Waiting, ...]
    open: tuple[Waiting, ...]
    lanes: tuple[OtherLane, ...]
    problems: tuple[str, ...]


class Seen(View):
    """Of a manifest: the spans whose training rows its line has learnt."""

    spans: frozenset[date]


def today(shelf: Shelf) -> Today:
    """How `live` stands now."""
    lanes = lane_keys(shelf)
    live, pointer = lanes.get(LIVE, LaneKeys()), pointer_of(shelf, LIVE)
    standing = pointer if isinstance(pointer, ChampionPointer) else None
    seen = shelf.value(layout.manifest(standing.release_id), _seen) if standing else None
    known = seen.spans if isinstance(seen, Seen) else frozenset()
    head = max(live.outcomes, default=None)
    asked = sorted({span for span in live.outcomes if span not in known} | {day for day in (head,) if day})
    found = [*zip(asked, shelf.each(partial(_outcome, shelf, live, standing), asked), strict=True)]
    outcomes = {span: outcome for span, outcome in found if isinstance(outcome, Outcome)}
    waiting = [outcome for span, outcome in outcomes.items() if span not in known]
    last = outcomes.get(head) if head else None
    verdicts = judged(shelf, last.release_id)[0] if last and last.release_id else ()
    problems = [live.outcomes[span] for span, outcome in found if not isinstance(outcome, Outcome)]
    problems += [each.key for each in (pointer, seen) if isinstance(each, Unreadable)]
    return Today(
        champion=_champion(standing, seen) if standing else None,
        head=head,
        settled=len(live.outcomes),
        last=_waiting(last) if last else None,
        last_verdict=fitting(verdicts, last) if last else None,
        pending=_told(o for o in waiting if o.result in LEARNABLE and (o.result != "held" or o.release_id)),
        quarantined=_told(o for o in waiting if o.result == "quarantined"),
        no_data=_told(o for o in waiting if o.result == "no data"),
        open=_told(_open(shelf, [*waiting, *_proposed(shelf, live)], head, standing)),
        lanes=tuple(_other(shelf, lane, keys, standing) for lane, keys in lanes.items() if lane != LIVE),
        problems=tuple(problems),
    )


def _outcome(shelf: Shelf, lane: LaneKeys, pointer: ChampionPointer | None, span: date) -> Outcome | Unreadable | None:
    return outcome_of(shelf, lane, span, pointer)


def _seen(data: bytes) -> Seen:
    manifest: Manifest = read_manifest(data, "manifest")
    return Seen(spans=frozenset(p.span for p in (*manifest.inherited, *manifest.lineage.learnt) if p.part == "train"))


def _champion(pointer: ChampionPointer, seen: Seen | Unreadable | None) -> Champion:
    return Champion.model_validate({**dict(pointer), "withdrawn": len(pointer.withdrawn), "there": seen is not None})


def _waiting(outcome: Outcome) -> Waiting:
    return Waiting(span=outcome.span, result=outcome.result, reasons=outcome.reasons, release_id=outcome.release_id)


def _told(outcomes: Iterable[Outcome]) -> tuple[Waiting, ...]:
    return tuple(map(_waiting, outcomes))


def _proposed(shelf: Shelf, lane: LaneKeys) -> list[Proposal]:
    """Twins of champions from which the lane may go on."""
    found = [shelf.value(key, Proposal.from_bytes) for key in lane.proposals]
    return [proposal for proposal in found if isinstance(proposal, Proposal)]


def _open(shelf: Shelf, waiting: Iterable[Outcome], head: date | None, pointer: ChampionPointer | None) -> Iterable[Outcome]:
    """Held by the gate: until a later span has settled, or another champion leads. Held for its data: until it is answered."""
    leader = pointer.release_id if pointer else None
    for outcome in waiting:
        if outcome.result != "held":
            continue
        answers = shelf.keys(f"decisions/{outcome.span}/")
        if outcome.verdict is None:
            if all("/verdict-" in key for key in answers):
                yield outcome
            continue
        verdict = shelf.value(outcome.verdict, Verdict.from_bytes) if outcome.until == head else None
        if not isinstance(verdict, Verdict) or verdict.champion != leader:
            continue
        if layout.ruling(outcome.span, verdict.content_digest()) not in answers:
            yield outcome


def _other(shelf: Shelf, lane: str, keys: LaneKeys, live: ChampionPointer | None) -> OtherLane:
    pointer = pointer_of(shelf, lane)
    return OtherLane(
        lane=lane,
        settled=len(keys.outcomes),
        head=max(keys.outcomes, default=None),
        champion=pointer.release_id if isinstance(pointer, ChampionPointer) else None,
        adopted=live is not None and any(adopted.lane == lane for adopted in live.adopted),
    )
