"""A move of a pointer is whole, or did not happen: what it said is kept and the mover's signature stands before it is replaced.

- Nobody ever sees a pointer of a mover with a key without its signature.
- Where signatures are required, no move is built on a pointer that nobody signed: a signature stands for all before it.
- A pointer that the kept ones have passed was put back by hand, and is not built on.
- Before it leads to another release, that is said beside the release, whose manifest is looked at again after that, and the
  promotion of the present one is kept.
"""

from widedeep.artifacts import ChampionPointer, canonical_json
from widedeep.errors import IntegrityError, StaleError
from widedeep.publishing import layout
from widedeep.publishing.keys import Signer, Trust
from widedeep.publishing.pointer import champion
from widedeep.publishing.promotions import keep_promotion
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.removal import restore
from widedeep.publishing.signing import check_move, sign_move
from widedeep.publishing.store import Blob, ObjectStore

BY_HAND = "Somebody put an old pointer back by hand: restore the latest one from a copy, then use `widedeep rollback`."


def swap_pointer(
    store: ObjectStore, found: tuple[ChampionPointer, Blob] | None, pointer: ChampionPointer, signer: Signer | None, trust: Trust
) -> ChampionPointer:
    """Replace what was `found`, if it still stands there. Where a rival has just made the same move, that one is returned.

    A move whose answer got lost was made, also if others have followed since: then it is kept as it was written.

    Raises:
        StaleError: somebody else was first, with another move.
        SignatureError: what was found is not signed although that is required, or its signature does not fit.
        IntegrityError: what was found is an old pointer, put back by hand; or the release is gone, or not as it was judged.
    """
    data = pointer.to_bytes()
    if found:
        check_move(store, found[0], found[1].data, trust)
    check_newest(store, pointer.lane, found)
    if found:
        _keep(store, layout.move(pointer.lane, found[0].sequence), found[1].data)
    if signer:
        sign_move(store, pointer, data, signer)
    if found and found[0].release_id == pointer.release_id:
        return _swap(store, pointer, data, found[1].etag)
    if found:
        keep_promotion(store, found[0])
    _announce(store, pointer)
    moved = _swap(store, pointer, data, found[1].etag if found else None)
    restore(store, pointer.release_id)
    return moved


def _announce(store: ObjectStore, pointer: ChampionPointer) -> None:
    """Whoever takes the release away at this moment sees that it is to be champion, or we see that its manifest is gone."""
    told = {"lane": pointer.lane, "move": pointer.sequence}
    store.create(layout.coming(pointer.release_id, pointer.lane, pointer.sequence), canonical_json(told))
    load_manifest(store, pointer.release_id, published=True, expected_sha256=pointer.manifest_sha256)


def _swap(store: ObjectStore, pointer: ChampionPointer, data: bytes, expected_etag: str | None) -> ChampionPointer:
    try:
        store.swap(layout.champion(pointer.lane), data, expected_etag)
    except StaleError:
        kept = store.get(layout.move(pointer.lane, pointer.sequence))
        if kept and kept.data == data:
            return pointer
        winner = champion(store, pointer.lane)
        if winner and (winner.kind, winner.release_id, winner.frozen) == (pointer.kind, pointer.release_id, pointer.frozen):
            return winner
        raise
    return pointer


def check_newest(store: ObjectStore, lane: str, found: tuple[ChampionPointer, Blob] | None) -> None:
    """Raise IntegrityError if the next move is kept already, so was replaced, and this stands there all the same.

    Who reads a pointer while it moves on has read one that was right; so has who reads it right before that.
    """
    passed = layout.move(lane, found[0].sequence + 1 if found else 1)
    if store.get(passed):
        standing = store.get(layout.champion(lane))
        if (standing and standing.etag) == (found and found[1].etag):
            raise IntegrityError(f"{store.url}/{layout.champion(lane)}: got {_told(found)}, wanted one after {passed}. {BY_HAND}")


def _told(found: tuple[ChampionPointer, Blob] | None) -> str:
    return f"move {found[0].sequence}" if found else "no pointer"


def _keep(store: ObjectStore, key: str, data: bytes) -> None:
    """Store what the pointer says before it is replaced. Rivals store the same."""
    if not store.create(key, data):
        standing = store.get(key)
        if standing and standing.data != data:
            raise IntegrityError(f"{store.url}/{key}: got another pointer than the present one with this number. {BY_HAND}")
