"""What lies below `lanes/`, from one listing: the lanes, and the keys of what each has settled."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from widedeep.artifacts import LIVE, ChampionPointer, Outcome
from widedeep.publishing import layout
from widedeep.views.shelf import Shelf, Unreadable


@dataclass
class LaneKeys:
    """Keys of one lane; `outcomes` and `promotions` by span, `moves` from the first."""

    outcomes: dict[date, str] = field(default_factory=dict)
    promotions: dict[date, list[str]] = field(default_factory=lambda: defaultdict(list))
    additions: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    proposals: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)


def lane_keys(shelf: Shelf) -> Mapping[str, LaneKeys]:
    """All lanes by name, `live` first; a key that is none of ours is passed over."""
    found: dict[str, LaneKeys] = defaultdict(LaneKeys)
    for key in shelf.keys(layout.lanes()):
        parts = key.split("/")
        if len(parts) > 2:  # noqa: PLR2004 (lanes/<lane>/…)
            _sort_in(found[parts[1]], parts[1], key)
    return dict(sorted(found.items(), key=lambda item: (item[0] != LIVE, item[0])))


def _sort_in(lane: LaneKeys, name: str, key: str) -> None:
    try:
        if key.startswith(layout.outcomes(name)):
            lane.outcomes[layout.outcome_span(key)] = key
        elif key.startswith(layout.promotions(name)):
            lane.promotions[date.fromisoformat(layout.part(key, 3))].append(key)
        elif key.startswith(layout.additions(name)):
            lane.additions.append(key)
        elif key.startswith(layout.held_rows(name)):
            lane.held.append(key)
        elif key.startswith(layout.proposals(name)):
            lane.proposals.append(key)
        elif layout.part(key, 2) == "moves":
            lane.moves.append(key)
    except ValueError:  # somebody's own file
        return


def pointer_of(shelf: Shelf, lane: str) -> ChampionPointer | Unreadable | None:
    """Whom readers of the lane follow now."""
    return shelf.fresh(layout.champion(lane), ChampionPointer.from_bytes)


def outcome_of(shelf: Shelf, lane: LaneKeys, span: date, pointer: ChampionPointer | None = None) -> Outcome | Unreadable | None:
    """How the lane settled a span: that it was promoted stands over what else was written of it, and who leads it over that.

    What a rollback took back leaves the span to whoever was promoted before, as `widedeep.publishing.promotions` has it.
    """
    own = shelf.value(lane.outcomes[span], Outcome.from_bytes) if span in lane.outcomes else None
    gone = pointer.withdrawn if pointer else ()
    first = isinstance(own, Outcome) and own.result == "promoted"
    promoted = [shelf.value(key, Outcome.from_bytes) for key in lane.promotions.get(span, ())]
    kept = [o for o in promoted if isinstance(o, Outcome) and not (first and o.release_id in gone)]
    found = max(kept, key=lambda o: (o.release_id not in gone, o.settled_at)) if kept else own
    if isinstance(found, Outcome) and pointer and pointer.span == span and not _is_of(found, pointer):
        told = {"result": "promoted", "release_id": pointer.release_id, "settled_at": pointer.moved_at}
        return found.model_copy(update={**told, "settled_by": pointer.moved_by})
    return found


def _is_of(outcome: Outcome, pointer: ChampionPointer) -> bool:
    return (outcome.result, outcome.release_id) == ("promoted", pointer.release_id)
