"""The one door by which a release comes into a process that serves: published, of the promised digest, signed where required."""

from collections.abc import Callable

from widedeep.artifacts import ChampionPointer, Digest, Manifest
from widedeep.errors import IntegrityError, OrderError
from widedeep.publishing import layout
from widedeep.publishing.keys import Trust
from widedeep.publishing.pointer import standing
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.signing import check_move, check_signature
from widedeep.publishing.store import ObjectStore
from widedeep.publishing.swap import check_newest

Target = Callable[[ChampionPointer | None], tuple[ChampionPointer | None, Manifest]]
"""What a reader goes to, given the last move that it has followed: that or a later move, if it follows moves, and the release."""


def this_release(store: ObjectStore, trust: Trust, release_id: str, manifest_sha256: Digest) -> Target:
    """That one, whoever is champion, and before anybody is."""
    return lambda _followed: (None, load_to_rehearse(store, trust, release_id, manifest_sha256))


def champion_to_serve(
    store: ObjectStore, trust: Trust, lane: str, followed: ChampionPointer | None = None
) -> tuple[ChampionPointer, Manifest]:
    """The lane's latest move and the release that it leads to. Who has `followed` a move goes on to later ones only.

    Who has followed none yet still sees by the moves that are kept whether later ones were made.

    Raises:
        OrderError: nothing was promoted yet.
        IntegrityError: the pointer lies before what was followed, or before what is kept. Nothing was loaded.
        SignatureError: no accepted key signed the move although that is required, or a signature does not fit.
        All that `load_to_serve` raises.
    """
    found = standing(store, lane)
    if found is None:
        raise OrderError(f"lane {lane}: has no champion yet, so nothing can be served. Run `widedeep bootstrap` first.")
    pointer, blob = found
    check_move(store, pointer, blob.data, trust)
    if followed and pointer != followed and pointer.sequence <= followed.sequence:
        raise IntegrityError(
            f"{store.url}/{layout.champion(lane)}: got move {pointer.sequence} to {pointer.release_id}, wanted one after move "
            f"{followed.sequence} to {followed.release_id}, which was followed already. Nothing was loaded. Somebody put an old "
            "pointer back by hand: restore the latest one from a copy, then use `widedeep rollback`. If all of the store was "
            "restored, start this process again."
        )
    check_newest(store, lane, found)
    return pointer, load_to_serve(store, trust, pointer.release_id, pointer.manifest_sha256)


def load_to_serve(store: ObjectStore, trust: Trust, release_id: str, manifest_sha256: Digest) -> Manifest:
    """The manifest of a published release.

    Raises:
        IntegrityError, FormatError: missing, other bytes than promised, or of a newer format. Nothing was loaded.
        SignatureError: no accepted key signed it although that is required, or a signature does not fit. Nothing was loaded.
    """
    manifest = load_manifest(store, release_id, published=True, expected_sha256=manifest_sha256)
    check_signature(store, manifest, trust)
    return manifest


def load_to_rehearse(store: ObjectStore, trust: Trust, release_id: str, manifest_sha256: Digest) -> Manifest:
    """The manifest of a candidate, which whoever asks has checked; once it is published, a server's rules hold.

    Raises: as `load_to_serve`.
    """
    if store.get(layout.manifest(release_id)):
        return load_to_serve(store, trust, release_id, manifest_sha256)
    return load_manifest(store, release_id, published=False, expected_sha256=manifest_sha256)
