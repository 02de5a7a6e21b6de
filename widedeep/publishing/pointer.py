"""What the champion pointers say. Each names the one that it replaced by digest: the moves of a lane read back to its first."""

from collections.abc import Iterator

from widedeep.artifacts import LIVE, ChampionPointer, sha256
from widedeep.errors import IntegrityError
from widedeep.publishing import layout
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
    """The releases that are nobody's parent in a lane: those that were taken back in it, and in `live`."""
    pointers = [champion(store, each) for each in dict.fromkeys((lane, LIVE))]
    return frozenset(release for pointer in pointers if pointer for release in pointer.withdrawn)


def _before(store: ObjectStore, pointer: ChampionPointer) -> ChampionPointer:
    key = layout.move(pointer.lane, pointer.sequence - 1)
    blob = store.get(key)
    if blob is None or sha256(blob.data) != pointer.previous_move:
        got = f"SHA-256 {sha256(blob.data)}" if blob else "no object"
        raise IntegrityError(f"{store.url}/{key}: got {got}, wanted {pointer.previous_move}. Restore it from a copy.")
    return ChampionPointer.from_bytes(blob.data, f"{store.url}/{key}")
