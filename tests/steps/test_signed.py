"""The steps sign what they publish where there is a key, and start from nothing that is not signed where that is required."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from widedeep.artifacts import LIVE, Progress, sha256
from widedeep.config import Settings
from widedeep.data.contract import load_contract
from widedeep.errors import SettingsError, SignatureError
from widedeep.publishing import lanes, layout, releases
from widedeep.publishing.keys import Signer, Trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import champion, standing
from widedeep.publishing.signing import check_move, check_signature, check_step, sign_move, sign_step
from widedeep.steps import Workplace
from widedeep.steps.records import Record
from widedeep.steps.release import publish
from widedeep.steps.retraining import parent_manifest

KEPT = Path(__file__).parents[1] / "formats" / "1"  # two small releases, a parent and its child
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
PEM = SIGNER.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
TRUST = Trust({SIGNER.key_id: SIGNER.key.public_key()}, required=True)
SPAN = date(2026, 3, 3)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """The parent is champion; the child is judged and not published yet."""
    store, root = MemoryStore(), KEPT / "store"
    store.objects = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    (_, child) = releases.releases(store)
    del store.objects[layout.manifest(child.release_id)]
    for key in list(store.keys(layout.signatures(child.release_id))):
        del store.objects[key]
    store.objects[layout.champion(LIVE)] = store.objects.pop(layout.move(LIVE, 1))
    settings = Settings(store="s3://kept", contract=KEPT / "contract.yaml")
    now = datetime(2026, 4, 1, tzinfo=UTC)
    return Workplace(store, load_contract(settings.contract), tmp_path, settings, {}, "ann", lambda: now)


def with_settings(place: Workplace, **changed: object) -> Workplace:
    settings = Settings(**{**place.settings.model_dump(), **changed})
    return Workplace(place.store, place.contract, place.scratch, settings, {}, place.actor, place.clock)


@pytest.fixture
def progress(place: Workplace) -> Progress:
    ids = {layout.staged(key) for key in place.store.keys(layout.RELEASES)} - {None}
    (child,) = ids - {champion(place.store, LIVE).release_id}
    verdict = next(place.store.keys(f"evidence/{child}/verdict-"))
    return Progress(span=SPAN, lane=LIVE, candidate=releases.find_candidate(place.store, child), verdict=verdict)


def test_what_is_published_where_there_is_a_key_is_signed_and_recorded(place: Workplace, progress: Progress) -> None:
    for _ in range(2):  # done again, it finds what it did
        release_id = publish(with_settings(place, signing_key=PEM), progress).release
    manifest = releases.load_manifest(place.store, release_id, published=True)
    assert check_signature(place.store, manifest, TRUST)
    pointer, blob = standing(place.store, LIVE)
    assert (pointer.release_id, pointer.sequence) == (release_id, 2)
    assert check_move(place.store, pointer, blob.data, TRUST)
    evidence = releases.evidence_of(place.store, release_id)
    (name,) = (name for name in evidence if name.startswith("published-"))  # the first record stands
    assert Record.from_bytes(evidence[name]).manifest_sha256 == manifest.content_digest()
    for made in (name, next(name for name in evidence if name.startswith(releases.DECISION))):
        assert check_step(place.store, layout.evidence(release_id, made), evidence[made], TRUST)


def test_the_record_says_who_when_and_with_what(place: Workplace, progress: Progress) -> None:
    publish(place, progress)
    (key,) = (key for key in place.store.keys(layout.evidences(progress.candidate.release_id)) if "/published-" in key)
    kept = Record.from_bytes(place.store.objects[key])
    assert {name.partition("-")[0] for name in kept.rests_on} == {"trained", "dry", "verdict"}
    assert (kept.deed, kept.by, kept.at, kept.contract) == ("published", "ann", place.clock(), "shop")
    assert kept.packages["torch"]
    contract = place.store.objects[layout.contract(kept.contract_digest)]
    assert (sha256(contract), json.loads(contract)["name"]) == (kept.contract_digest, "shop")


def test_without_a_key_nothing_is_published_where_a_signature_is_required(place: Workplace, progress: Progress) -> None:
    required = with_settings(place, require_signature=True, verify_keys=KEPT / "keys.pub")
    before = dict(place.store.objects)
    with pytest.raises(SettingsError, match="nothing to sign with"):
        publish(required, progress)
    assert place.store.objects == before


def test_where_signatures_are_required_nothing_is_promoted_over_a_champion_that_nobody_signed(
    place: Workplace, progress: Progress, tmp_path: Path
) -> None:
    (tmp_path / "ours.pub").write_bytes(SIGNER.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    ours = with_settings(place, signing_key=PEM, require_signature=True, verify_keys=tmp_path / "ours.pub")
    before, blob = standing(place.store, LIVE)
    sign_step(place.store, progress.verdict, place.store.objects[progress.verdict], SIGNER)
    with pytest.raises(SignatureError, match=r"champion\.json: got no signature by an accepted key"):
        publish(ours, progress)
    assert champion(place.store, LIVE) == before
    sign_move(place.store, before, blob.data, SIGNER)
    assert publish(ours, progress).release == champion(place.store, LIVE).release_id


def test_training_starts_from_no_parent_that_is_not_signed_where_that_is_required(
    place: Workplace, progress: Progress, tmp_path: Path
) -> None:
    outcomes = lanes.outcomes(place.store, LIVE)
    (tmp_path / "ours.pub").write_bytes(SIGNER.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    theirs = with_settings(place, require_signature=True, verify_keys=KEPT / "keys.pub")
    ours = with_settings(place, require_signature=True, verify_keys=tmp_path / "ours.pub")
    assert parent_manifest(theirs, progress, outcomes).release_id == champion(place.store, LIVE).release_id
    with pytest.raises(SignatureError):
        parent_manifest(ours, progress, outcomes)
