"""A promotion is a fact from the moment that the pointer moved: it stands over whatever else a run has written of its span.

Two runs of a span may come to other ends, as amid a deploy of another contract: one settles it as rejected while the other moves
the pointer. As long as a release is champion, the pointer tells that it was promoted; before it points elsewhere, that is kept.
"""

from collections.abc import Iterable
from datetime import date

from widedeep.artifacts import ChampionPointer, Outcome
from widedeep.publishing import layout, snapshots
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.store import ObjectStore


def with_promotions(store: ObjectStore, lane: str, settled: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """A lane's own outcomes, or those of a lane that it has adopted, each as what its span was promoted as here, if it was."""
    found = tuple(settled)
    pointer = champion(store, lane) if found else None
    if pointer is None:
        return found
    kept = [outcome for key in store.keys(layout.promotions(lane)) if (outcome := _read(store, key))]
    # A twin that a rollback took back leaves the span to the release whose twin it was, settled as promoted or approved later;
    # what an adoption took back leaves it to the adopted lane.
    first = {outcome.span for outcome in found if outcome.result == "promoted" or outcome.lane != lane}
    kept = [outcome for outcome in kept if not (outcome.span in first and outcome.release_id in pointer.withdrawn)]
    in_turn = sorted(kept, key=lambda outcome: (outcome.release_id not in pointer.withdrawn, outcome.settled_at))
    promoted: dict[date, Outcome] = {outcome.span: outcome for outcome in in_turn}
    own = next((outcome for outcome in found if outcome.span == pointer.span), None)
    if own and (told := _unlike(store, pointer, own)):
        promoted[told.span] = told
    return tuple(promoted.get(outcome.span, outcome) for outcome in found)


def keep_promotion(store: ObjectStore, pointer: ChampionPointer) -> None:
    """Keep that the champion was promoted, before the pointer leaves it, if its span was settled otherwise."""
    settled = _read(store, layout.outcome(pointer.lane, pointer.span))
    if settled and (told := _unlike(store, pointer, settled)):
        store.create(layout.promotion(pointer.lane, pointer.span, pointer.release_id), told.to_bytes())


def promotion(store: ObjectStore, pointer: ChampionPointer) -> Outcome | None:
    """How the champion's span was settled by the move that promoted it; None if another lane did, which this one has adopted."""
    leading = (m for m in moves(store, pointer.lane) if m.release_id == pointer.release_id and m.kind in {"promote", "adopt"})
    move = next(leading, None)
    if move is None or move.kind == "adopt":
        return None
    manifest = load_manifest(store, move.release_id, published=True, expected_sha256=move.manifest_sha256)
    own = next(part for part in manifest.lineage.learnt if part.span == move.span and part.part == "train")
    return Outcome(
        lane=move.lane,
        span=move.span,
        result="promoted",
        reasons=(move.reason,),
        snapshot=snapshots.version(store, own.span, own.version),
        release_id=move.release_id,
        learnt=manifest.lineage.learnt,
        settled_at=move.moved_at,
        settled_by=move.moved_by,
    )


def _unlike(store: ObjectStore, pointer: ChampionPointer, settled: Outcome) -> Outcome | None:
    """The champion's promotion, with what was written of its span, if that was something else."""
    if (settled.result, settled.release_id) == ("promoted", pointer.release_id):
        return None
    told = promotion(store, pointer)
    was = f"promoted with {settled.release_id}" if settled.result == "promoted" else settled.result
    before = f"{settled.settled_by} had settled the span as {was}"
    held_by = settled.verdict if settled.release_id == pointer.release_id else None
    return told.model_copy(update={"reasons": (*told.reasons, before), "verdict": held_by}) if told else None


def _read(store: ObjectStore, key: str) -> Outcome | None:
    blob = store.get(key)
    return Outcome.from_bytes(blob.data, f"{store.url}/{key}") if blob else None
