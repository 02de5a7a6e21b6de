"""What comes into a process that serves: published, of the promised digest, and signed where that is required."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from widedeep.artifacts import LIVE, Manifest
from widedeep.config import Settings
from widedeep.data.contract import load_contract
from widedeep.errors import IntegrityError, SignatureError
from widedeep.publishing import layout, moves, releases
from widedeep.publishing.keys import Signer, Trust, load_trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import standing
from widedeep.publishing.signing import sign, sign_move
from widedeep.publishing.store import Blob
from widedeep.serving.loading import champion_to_serve, load_to_serve
from widedeep.serving.rehearsal.examining import examine
from widedeep.steps.workplace import open_workplace

KEPT = Path(__file__).parents[1] / "formats" / "1"  # two small releases, signed
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
STRANGERS = Trust({STRANGER.key_id: STRANGER.key.public_key()}, required=True)
NOBODYS = Trust({}, required=False)


@pytest.fixture
def store() -> MemoryStore:
    store, root = MemoryStore(), KEPT / "store"
    store.objects = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return store


@pytest.fixture
def trust() -> Trust:
    return load_trust(Settings(store="s3://kept", contract="", verify_keys=KEPT / "keys.pub", require_signature=True))


@pytest.fixture
def manifest(store: MemoryStore) -> Manifest:
    return releases.load_manifest(store, releases.releases(store)[1].release_id, published=True)


def test_a_release_that_is_published_and_signed_is_served(store: MemoryStore, trust: Trust, manifest: Manifest) -> None:
    for accepted in (trust, NOBODYS):
        assert load_to_serve(store, accepted, manifest.release_id, manifest.content_digest()) == manifest


def test_a_release_signed_by_a_stranger_is_not_served(store: MemoryStore, manifest: Manifest) -> None:
    with pytest.raises(SignatureError, match="got no signature by an accepted key"):
        load_to_serve(store, STRANGERS, manifest.release_id, manifest.content_digest())


def test_a_candidate_and_other_bytes_than_promised_are_not_served(store: MemoryStore, trust: Trust, manifest: Manifest) -> None:
    with pytest.raises(IntegrityError, match="wanted 1111"):
        load_to_serve(store, trust, manifest.release_id, "1" * 64)
    del store.objects[layout.manifest(manifest.release_id)]
    with pytest.raises(IntegrityError, match="missing"):
        load_to_serve(store, trust, manifest.release_id, manifest.content_digest())


def test_a_candidate_is_rehearsed_unsigned_but_a_published_release_by_a_servers_rules(
    store: MemoryStore, manifest: Manifest, tmp_path: Path
) -> None:
    """That it is not signed is nothing against the model: it is no failure in a report, which would be kept."""
    contract = load_contract(KEPT / "contract.yaml")
    named = (manifest.release_id, manifest.content_digest())
    with pytest.raises(SignatureError):
        examine(store, contract, *named, tmp_path, STRANGERS)
    del store.objects[layout.manifest(manifest.release_id)]
    assert examine(store, contract, *named, tmp_path, STRANGERS).report.failures == ()


def test_who_has_followed_nothing_yet_does_not_follow_an_old_pointer_however_well_it_is_signed(
    store: MemoryStore, manifest: Manifest
) -> None:
    sign(store, manifest, STRANGER)
    pointer, blob = standing(store, LIVE)
    sign_move(store, pointer, blob.data, STRANGER)
    because = moves.Because(datetime(2026, 4, 1, tzinfo=UTC), "ann", "so", STRANGER, STRANGERS)
    moves.freeze(store, LIVE, because)
    latest = moves.thaw(store, LIVE, because)
    assert champion_to_serve(store, STRANGERS, LIVE) == (latest, manifest)
    store.objects[layout.champion(LIVE)] = blob.data
    with pytest.raises(IntegrityError, match=r"got move 2, wanted one after .*moves/000003\.json.* by hand"):
        champion_to_serve(store, STRANGERS, LIVE)


def test_a_pointer_that_moves_on_while_it_is_read_is_followed(
    store: MemoryStore, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read stood there then; the next look finds the later one."""
    because = moves.Because(datetime(2026, 4, 1, tzinfo=UTC), "ann", "so")
    read = store.get

    def moved_on(key: str) -> Blob | None:
        if key == layout.move(LIVE, 3):
            monkeypatch.setattr(store, "get", read)
            moves.freeze(store, LIVE, because)
            moves.thaw(store, LIVE, because)
        return read(key)

    before = standing(store, LIVE)[0]
    monkeypatch.setattr(store, "get", moved_on)
    assert champion_to_serve(store, NOBODYS, LIVE) == (before, manifest)
    assert champion_to_serve(store, NOBODYS, LIVE)[0].sequence == 4


def test_the_dry_runs_process_gets_no_key_to_sign_with(s3_endpoint: str, tmp_path: Path) -> None:
    pem = STRANGER.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    environment = {
        "WIDEDEEP_STORE": "s3://widedeep/loading",
        "WIDEDEEP_S3_ENDPOINT": s3_endpoint,
        "WIDEDEEP_CONTRACT": str(KEPT / "contract.yaml"),
        "WIDEDEEP_SIGNING_KEY": pem,
        "AWS_SECRET_ACCESS_KEY": "hush",
    }
    with open_workplace(environment, actor="test") as place:
        assert place.settings.signing_key
        assert not [value for value in place.environment.values() if "PRIVATE" in value]
        assert "PRIVATE" not in repr(place)
        assert "hush" not in repr(place)
