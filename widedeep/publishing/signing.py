"""Ed25519 signatures over manifests, moves and what the steps of a run hand on: whoever holds only a public key can tell who
trained, judged and published a release, who made it the champion, and that no byte changed.

- What is signed is DSSE's pre-authentication encoding of the stored bytes (github.com/secure-systems-lab/dsse, protocol.md):
  it binds a type to the bytes, so that a signed move can't pass for a manifest, nor anything else signed with the same key.
  python-tuf signs canonical JSON instead, which a reader has to make again before it can verify; here the bytes themselves are
  signed. They are not repeated in an envelope, since they stand beside it.
- What a step hands on (a candidate, a dry run's report, a verdict) is bound to its key in the store, too: a verdict that was
  reached under another contract, or on other rows, can't be put in its place.
- Ed25519 (RFC 8032) takes no randomness: the same key signs the same bytes with the same signature, so publishers at once agree.
- Rotation: one valid signature by any accepted key is enough. One that is there under an accepted key must fit.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from widedeep.artifacts import ChampionPointer, Digest, Manifest, ReleaseId, Value, sha256
from widedeep.errors import IntegrityError, SignatureError
from widedeep.publishing import layout
from widedeep.publishing.keys import Signer, Trust
from widedeep.publishing.store import ObjectStore

MANIFEST_TYPE = "application/vnd.widedeep.manifest+json"
MOVE_TYPE = "application/vnd.widedeep.move+json"
STEP_TYPE = "application/vnd.widedeep.step+json; key={key}"


class Signature(Value):
    """One key's signature over one object, base64."""

    format: Literal[1] = 1
    key_id: Digest
    ed25519: str


def authenticated(payload_type: str, payload: bytes) -> bytes:
    """DSSE v1's pre-authentication encoding: no two pairs of a type and a payload give the same bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True)
class _Stored:
    """Bytes that are signed: their type, what they are, where they and a key's signature stand, and what to do without one."""

    payload_type: str
    data: bytes
    what: str
    key: str
    signature: Callable[[Digest], str]
    advice: str

    def authenticated(self) -> bytes:
        return authenticated(self.payload_type, self.data)


def sign(store: ObjectStore, manifest: Manifest, signer: Signer) -> None:
    """Store the signature beside the manifest's place. Done again, it finds it there.

    Raises:
        SignatureError: another one stands under this key's id. It stays.
    """
    _sign(store, _manifest(manifest), signer)


def sign_move(store: ObjectStore, pointer: ChampionPointer, data: bytes, signer: Signer) -> None:
    """Store the signature over what is, or is about to be, the pointer's bytes. Done again, it finds it there.

    Raises:
        SignatureError: another one stands under this key's id. It stays.
    """
    _sign(store, _move(pointer, data), signer)


def sign_step(store: ObjectStore, key: str, data: bytes, signer: Signer) -> None:
    """Store the signature over what a step is about to store under `key`. Done again, it finds it there.

    Raises:
        SignatureError: another one stands under this key's id. It stays.
    """
    _sign(store, _step(key, data), signer)


def check_signature(store: ObjectStore, manifest: Manifest, trust: Trust) -> tuple[Digest, ...]:
    """The accepted keys that signed the manifest.

    Raises:
        SignatureError: a signature under an accepted key does not fit, or there is none although one is required.
    """
    return _check(store, _manifest(manifest), trust)


def check_move(store: ObjectStore, pointer: ChampionPointer, data: bytes, trust: Trust) -> tuple[Digest, ...]:
    """The accepted keys that signed a move; `data` are the pointer's stored bytes.

    Raises:
        SignatureError: a signature under an accepted key does not fit, or there is none although one is required.
    """
    return _check(store, _move(pointer, data), trust)


def check_step(store: ObjectStore, key: str, data: bytes, trust: Trust) -> tuple[Digest, ...]:
    """The accepted keys that signed what a step has stored under `key`.

    Raises:
        SignatureError: a signature under an accepted key does not fit, or there is none although one is required.
    """
    return _check(store, _step(key, data), trust)


def check_candidate(store: ObjectStore, staged: Manifest, trust: Trust) -> tuple[Digest, ...]:
    """The accepted keys that signed a staged manifest, as a candidate or as the release that it has become since.

    Raises:
        SignatureError: a signature under an accepted key does not fit, or there is none although one is required.
    """
    published = check_signature(store, staged, replace(trust, required=False))
    return published or check_step(store, layout.candidate(staged.release_id), staged.to_bytes(), trust)


def _manifest(manifest: Manifest) -> _Stored:
    signature = partial(layout.signature, manifest.release_id, manifest.content_digest())
    advice = _signs("manifest", manifest.release_id)
    return _Stored(MANIFEST_TYPE, manifest.to_bytes(), "manifest", layout.manifest(manifest.release_id), signature, advice)


def _move(pointer: ChampionPointer, data: bytes) -> _Stored:
    what = f"pointer, which is move {pointer.sequence} ({pointer.kind} to {pointer.release_id} by {pointer.moved_by})"
    signature = partial(layout.move_signature, pointer.lane, sha256(data))
    return _Stored(MOVE_TYPE, data, what, layout.champion(pointer.lane), signature, _signs(what, pointer.release_id))


def _step(key: str, data: bytes) -> _Stored:
    signature = partial(layout.step_signature, key, sha256(data))
    advice = "Nobody with such a key has made it: find out who did, remove it, then run the step that makes it again."
    return _Stored(STEP_TYPE.format(key=key), data, "object", key, signature, advice)


def _signs(what: str, release_id: ReleaseId) -> str:
    return f"If this {what} is right, `widedeep verify {release_id} --sign` signs it where such a key is."


def _sign(store: ObjectStore, stored: _Stored, signer: Signer) -> None:
    signed = signer.key.sign(stored.authenticated())
    if not store.create(stored.signature(signer.key_id), _written(signer.key_id, signed)):
        _check(store, stored, Trust({signer.key_id: signer.key.public_key()}, required=True))


def _check(store: ObjectStore, stored: _Stored, trust: Trust) -> tuple[Digest, ...]:
    found = [each for each, public in sorted(trust.keys.items()) if _fits(store, stored, each, public)]
    if trust.required and not found:
        accepted = ", ".join(each[:16] for each in sorted(trust.keys))
        raise SignatureError(
            f"{store.url}/{stored.key}: got no signature by an accepted key, wanted one by {accepted}. "
            f"Nothing was loaded or moved. {stored.advice}"
        )
    return tuple(found)


def _fits(store: ObjectStore, stored: _Stored, accepted: Digest, public: Ed25519PublicKey) -> bool:
    key = stored.signature(accepted)
    blob = store.get(key)
    if blob is None:
        return False
    try:
        signed = base64.b64decode(Signature.from_bytes(blob.data).ed25519, validate=True)
        public.verify(signed, stored.authenticated())
        fits = _written(accepted, signed) == blob.data  # base64 and JSON have more than one spelling
    except (InvalidSignature, IntegrityError, ValueError):
        fits = False
    if not fits:
        raise SignatureError(
            f"{store.url}/{key}: got a signature that does not fit the {stored.what}, wanted that of key {accepted[:16]}. "
            "Nothing was loaded. Somebody changed it; restore it from a copy, and find out who."
        )
    return True


def _written(key_id: Digest, signed: bytes) -> bytes:
    return Signature(key_id=key_id, ed25519=base64.b64encode(signed).decode()).to_bytes()
