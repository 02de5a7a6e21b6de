"""Who stands for a release, its evidence and the pointers that lead to it: signatures fit, and are there where required."""

from collections import Counter
from dataclasses import replace

from widedeep.artifacts import ChampionPointer, Digest, Manifest
from widedeep.errors import IntegrityError, SignatureError
from widedeep.publishing import layout
from widedeep.publishing.keys import Signer, Trust
from widedeep.publishing.pointer import moves, standing
from widedeep.publishing.releases import evidence_of
from widedeep.publishing.signing import check_move, check_signature, check_step, sign, sign_move, sign_step
from widedeep.publishing.store import Blob, ObjectStore


def check_signatures(store: ObjectStore, manifest: Manifest, trust: Trust, signer: Signer | None) -> tuple[str, list[str]]:
    """Who signed the manifest, and what is wrong with that. With a `signer`, it is signed first."""
    try:
        if signer:
            sign(store, manifest, signer)
        accepted = check_signature(store, manifest, trust)
    except SignatureError as error:
        return "missing, or does not fit", [str(error)]
    if accepted:
        return _keys(accepted), []
    standing = len(list(store.keys(layout.signatures(manifest.release_id, manifest.content_digest()))))
    unknown = f"{standing} there, by none of {len(trust.keys)} accepted keys (WIDEDEEP_VERIFY_KEYS)"
    return unknown if standing else "none, and none is required", []


def check_witnesses(store: ObjectStore, manifest: Manifest, trust: Trust, signer: Signer | None) -> tuple[str, list[str]]:
    """Who signed the evidence, and what is wrong with that. With a `signer`, all of it is signed first."""
    signed: Counter[Digest] = Counter()
    unsigned: list[str] = []
    problems: list[str] = []
    found = evidence_of(store, manifest.release_id)
    for name, data in found.items():
        key = layout.evidence(manifest.release_id, name)
        try:
            if signer:
                sign_step(store, key, data, signer)
            accepted = check_step(store, key, data, replace(trust, required=False))
        except SignatureError as error:
            problems.append(str(error))
            continue
        signed.update(accepted)
        unsigned += [] if accepted else [f"{name}.json"]
    if trust.required and unsigned:
        problems.append(_unsigned(store, manifest, trust, unsigned))
    told = (f"{count} of {len(found)} by {key[:16]}" for key, count in sorted(signed.items()))
    return f"evidence signed: {', '.join(told) or 'none'}", problems


def _unsigned(store: ObjectStore, manifest: Manifest, trust: Trust, names: list[str]) -> str:
    """Both may be: it is from before there was this key, or somebody without a key has put it there."""
    return (
        f"{store.url}/{layout.evidences(manifest.release_id)}: got no signature by an accepted key over {', '.join(names)}, "
        f"wanted one {_keys(tuple(sorted(trust.keys)))}. If all of it is from before there was such a key, "
        f"`widedeep verify {manifest.release_id} --sign` signs it; else find out who put it there."
    )


def check_moves(store: ObjectStore, manifest: Manifest, trust: Trust, signer: Signer | None) -> tuple[str, list[str]]:
    """Of which lanes it is the champion by whose move, and what is wrong with that. With a `signer`, those are signed first."""
    seen: list[str] = []
    problems: list[str] = []
    for lane in filter(None, map(layout.lane_of, store.keys(layout.LANES))):
        try:
            found = standing(store, lane)
            if found and found[0].release_id == manifest.release_id:
                seen.append(_champion(store, found, manifest, trust, signer))
        except (IntegrityError, SignatureError) as error:
            problems.append(str(error))
    return "; ".join(seen) or ("a pointer is wrong" if problems else "champion of no lane now"), problems


def _champion(
    store: ObjectStore, found: tuple[ChampionPointer, Blob], manifest: Manifest, trust: Trust, signer: Signer | None
) -> str:
    """The move in words, once all before it are read.

    Raises:
        IntegrityError: a move before it is missing or was changed, or it leads to other bytes.
        SignatureError: no accepted key signed it although that is required, or a signature does not fit.
    """
    pointer, blob = found
    if pointer.manifest_sha256 != manifest.content_digest():
        raise IntegrityError(
            f"{store.url}/{layout.champion(pointer.lane)}: leads to {pointer.release_id} with manifest "
            f"{pointer.manifest_sha256[:16]}…, wanted the one that is there, {manifest.content_digest()[:16]}…."
        )
    for _ in moves(store, pointer.lane):
        pass
    if signer:
        sign_move(store, pointer, blob.data, signer)
    accepted = check_move(store, pointer, blob.data, trust)
    return (
        f"champion of {pointer.lane} by move {pointer.sequence}, signed {_keys(accepted) if accepted else 'by no accepted key'}"
    )


def _keys(accepted: tuple[Digest, ...]) -> str:
    return f"by {', '.join(key[:16] for key in accepted)}"
