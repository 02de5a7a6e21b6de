"""Ed25519 signatures over manifests: whoever holds only a public key can tell who published a release, and that no byte changed.

- What is signed is DSSE's pre-authentication encoding of the manifest's stored bytes (github.com/secure-systems-lab/dsse,
  protocol.md): it binds a type to the bytes, so that nothing else that is ever signed with the same key can pass for a manifest.
  python-tuf signs canonical JSON instead, which a reader has to make again before it can verify; here the bytes themselves are
  signed. They are not repeated in an envelope, since they stand beside it.
- Ed25519 (RFC 8032) takes no randomness: the same key signs the same manifest with the same bytes, so publishers at once agree.
- Rotation: one valid signature by any accepted key is enough. One that is there under an accepted key must fit.
"""

import base64
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from widedeep.artifacts import Digest, Manifest, Value
from widedeep.errors import IntegrityError, SignatureError
from widedeep.publishing import layout
from widedeep.publishing.keys import Signer, Trust
from widedeep.publishing.store import ObjectStore

PAYLOAD_TYPE = "application/vnd.widedeep.manifest+json"


class Signature(Value):
    """One key's signature over one manifest, base64."""

    format: Literal[1] = 1
    key_id: Digest
    ed25519: str


def authenticated(payload_type: str, payload: bytes) -> bytes:
    """DSSE v1's pre-authentication encoding: no two pairs of a type and a payload give the same bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(store: ObjectStore, manifest: Manifest, signer: Signer) -> None:
    """Store the signature beside the manifest's place. Done again, it finds it there.

    Raises:
        SignatureError: another one stands under this key's id. It stays.
    """
    signed = signer.key.sign(authenticated(PAYLOAD_TYPE, manifest.to_bytes()))
    key = layout.signature(manifest.release_id, manifest.content_digest(), signer.key_id)
    if not store.create(key, _stored(signer.key_id, signed)):
        check_signature(store, manifest, Trust({signer.key_id: signer.key.public_key()}, required=True))


def check_signature(store: ObjectStore, manifest: Manifest, trust: Trust) -> tuple[Digest, ...]:
    """The accepted keys that signed the manifest.

    Raises:
        SignatureError: a signature under an accepted key does not fit, or there is none although one is required.
    """
    found = [each for each, public in sorted(trust.keys.items()) if _fits(store, manifest, each, public)]
    if trust.required and not found:
        accepted = ", ".join(each[:16] for each in sorted(trust.keys))
        raise SignatureError(
            f"{store.url}/{layout.manifest(manifest.release_id)}: got no signature by an accepted key, wanted one by {accepted}. "
            f"Nothing was loaded. `widedeep verify {manifest.release_id} --sign` signs it where such a key is."
        )
    return tuple(found)


def _fits(store: ObjectStore, manifest: Manifest, accepted: Digest, public: Ed25519PublicKey) -> bool:
    key = layout.signature(manifest.release_id, manifest.content_digest(), accepted)
    blob = store.get(key)
    if blob is None:
        return False
    try:
        signed = base64.b64decode(Signature.from_bytes(blob.data).ed25519, validate=True)
        public.verify(signed, authenticated(PAYLOAD_TYPE, manifest.to_bytes()))
        fits = _stored(accepted, signed) == blob.data  # base64 and JSON have more than one spelling
    except (InvalidSignature, IntegrityError, ValueError):
        fits = False
    if not fits:
        raise SignatureError(
            f"{store.url}/{key}: got a signature that does not fit the manifest, wanted that of key {accepted[:16]}. "
            "Nothing was loaded. Somebody changed it; restore it from a copy, and find out who."
        )
    return True


def _stored(key_id: Digest, signed: bytes) -> bytes:
    return Signature(key_id=key_id, ed25519=base64.b64encode(signed).decode()).to_bytes()
