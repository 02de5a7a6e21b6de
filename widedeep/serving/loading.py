"""The one door by which a release comes into a process that serves: published, of the promised digest, signed where required."""

from widedeep.artifacts import Digest, Manifest
from widedeep.publishing import layout
from widedeep.publishing.keys import Trust
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.signing import check_signature
from widedeep.publishing.store import ObjectStore


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
    """The manifest of a candidate. Nobody signs one before the gate has judged it; once it is published, a server's rules hold.

    Raises: as `load_to_serve`.
    """
    if store.get(layout.manifest(release_id)):
        return load_to_serve(store, trust, release_id, manifest_sha256)
    return load_manifest(store, release_id, published=False, expected_sha256=manifest_sha256)
