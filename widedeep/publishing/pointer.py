"""What the champion pointers say. Each names the one that it replaced by digest: the moves of a lane read back to its first."""

from collections.abc import Iterator

from widedeep.artifacts import LIVE, ChampionPointer, sha256
from widedeep.errors import IntegrityError
from widedeep.publishing import layout
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.store import Blob, ObjectStore


def champion(store: ObjectStore, lane: str) -> ChampionPointer | None:
    """The lane's pointer, or None before the first promotion."""
    found = standing(store, lane)
    return found[0] if found else None


def standing(store: ObjectStore, lane: str) -> tuple[ChampionPointer, Blob] | None:
    """The lane's pointer and the object that holds it.

    Raises:
        IntegrityError: the object is no pointer, or another lane's, signed as it may be.
    """
    key = layout.champion(lane)
    blob = store.get(key)
    if blob is None:
        return None
    pointer = ChampionPointer.from_bytes(blob.data, f"{store.url}/{key}")
    if pointer.lane != lane:
        raise IntegrityError(
            f"{store.url}/{key}: got the pointer of lane {pointer.lane}, wanted {lane}'s. Restore it from a copy."
        )
    return pointer, blob


def moves(store: ObjectStore, lane: str) -> Iterator[ChampionPointer]:
    """All moves of a lane, the newest first.

    Raises:
        IntegrityError: a move is missing or was changed.
    """
    pointer = champion(store, lane)
    while pointer:
        yield pointer
        pointer = _before(store, pointer) if pointer.previous_move else None


def withdrawn(store: ObjectStore, lane: str) -> frozenset[str]:
    """The releases that are nobody's parent in a lane: taken back in it or in `live`, and its champions that descend from those.

    In `live` a rollback names them all, since each champion descends from the one before.
    """
    pointers = [champion(store, each) for each in dict.fromkeys((lane, LIVE))]
    gone = {release for pointer in pointers if pointer for release in pointer.withdrawn}
    own = {move.release_id: move.span for move in moves(store, lane)} if gone and lane != LIVE else {}
    for release in sorted(own, key=lambda release: own[release]):  # parents are of earlier spans
        manifest = load_manifest(store, release, published=True) if store.get(layout.manifest(release)) else None
        if manifest and manifest.lineage.parent in gone:
            gone.add(release)
    return frozenset(gone)


def _before(store: ObjectStore, pointer: ChampionPointer) -> ChampionPointer:
    key = layout.move(pointer.lane, pointer.sequence - 1)
    blob = store.get(key)
    if blob is None or sha256(blob.data) != pointer.previous_move:
        got = f"SHA-256 {sha256(blob.data)}" if blob else "no object"
        raise IntegrityError(f"{store.url}/{key}: got {got}, wanted {pointer.previous_move}. Restore it from a copy.")
    return ChampionPointer.from_bytes(blob.data, f"{store.url}/{key}")
