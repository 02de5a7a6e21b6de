"""Signatures: who holds the public key can tell who published a release; who holds the private one leaves it nowhere."""

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from widedeep.artifacts import Candidate, Manifest, Verdict
from widedeep.config import Settings
from widedeep.errors import SettingsError, SignatureError
from widedeep.publishing import layout
from widedeep.publishing.keys import Signer, Trust, key_id, load_signer, load_trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.releases import load_manifest, publish, stage
from widedeep.publishing.signing import authenticated, check_signature, sign

SPAN = date(2026, 1, 5)
OURS, NEXT, THEIRS = (Signer(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (1, 2, 3))

Staged = Callable[..., Candidate]
VerdictOn = Callable[..., Verdict]
Published = Callable[..., Manifest]


def trust(*signers: Signer, required: bool = True) -> Trust:
    return Trust({signer.key_id: signer.key.public_key() for signer in signers}, required)


def private_pem(signer: Signer) -> str:
    return signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(signer: Signer) -> str:
    return signer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def settings(**more: object) -> Settings:
    return Settings(store="s3://widedeep", contract="contract.yaml", **more)


@pytest.fixture
def published(store: MemoryStore, staged: Staged, verdict_on: VerdictOn) -> Published:
    def published(signer: Signer | None = OURS, seed: int = 0) -> Manifest:
        candidate = staged(store, SPAN, seed=seed)
        publish(store, candidate, verdict_on(candidate), signer)
        return load_manifest(store, candidate.release_id, published=True)

    return published


def place_of(manifest: Manifest, signer: Signer = OURS) -> str:
    return layout.signature(manifest.release_id, manifest.content_digest(), signer.key_id)


def test_the_encoding_is_the_one_that_dsse_specifies() -> None:
    encoded = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"  # the example of its protocol.md
    assert authenticated("http://example.com/HelloWorld", b"hello world") == encoded


@given(pairs=st.lists(st.tuples(st.text(), st.binary()), min_size=2, max_size=2, unique=True))
def test_no_two_payloads_are_signed_as_the_same_bytes(pairs: list[tuple[str, bytes]]) -> None:
    assert authenticated(*pairs[0]) != authenticated(*pairs[1])


def test_a_release_is_known_by_who_signed_it(store: MemoryStore, published: Published) -> None:
    manifest = published(OURS)
    assert check_signature(store, manifest, trust(OURS)) == (OURS.key_id,)


def test_an_unsigned_release_is_refused_only_where_a_signature_is_required(store: MemoryStore, published: Published) -> None:
    manifest = published(None)
    assert check_signature(store, manifest, trust(OURS, required=False)) == ()
    with pytest.raises(SignatureError, match=rf"got no signature .* wanted one by {OURS.key_id[:16]}"):
        check_signature(store, manifest, trust(OURS))


def test_a_signature_by_somebody_else_is_as_good_as_none(store: MemoryStore, published: Published) -> None:
    manifest = published(THEIRS)
    with pytest.raises(SignatureError, match="got no signature by an accepted key"):
        check_signature(store, manifest, trust(OURS))


def test_while_keys_are_rotated_either_is_accepted_and_both_are_told(store: MemoryStore, published: Published) -> None:
    manifest = published(OURS)
    assert check_signature(store, manifest, trust(OURS, NEXT)) == (OURS.key_id,)
    sign(store, manifest, NEXT)
    assert check_signature(store, manifest, trust(NEXT)) == (NEXT.key_id,)
    assert set(check_signature(store, manifest, trust(OURS, NEXT))) == {OURS.key_id, NEXT.key_id}


def test_a_signature_copied_from_another_release_is_refused(store: MemoryStore, published: Published) -> None:
    manifest, other = published(OURS), published(OURS, seed=1)
    store.objects[place_of(manifest)] = store.objects[place_of(other)]
    with pytest.raises(SignatureError, match="does not fit the manifest"):
        check_signature(store, manifest, trust(OURS))


def test_a_key_named_after_another_does_not_pass_for_it(store: MemoryStore, published: Published) -> None:
    manifest = published(THEIRS)
    store.objects[place_of(manifest, OURS)] = store.objects[place_of(manifest, THEIRS)]
    with pytest.raises(SignatureError, match="does not fit"):
        check_signature(store, manifest, trust(OURS))


def test_a_bad_signature_is_refused_even_if_another_is_good_or_none_is_required(store: MemoryStore, published: Published) -> None:
    manifest = published(OURS)
    sign(store, manifest, NEXT)
    store.objects[place_of(manifest, NEXT)] = store.objects[place_of(manifest, OURS)]
    with pytest.raises(SignatureError):
        check_signature(store, manifest, trust(OURS, NEXT))
    with pytest.raises(SignatureError):
        check_signature(store, manifest, trust(NEXT, required=False))


@given(data=st.data())
def test_a_signature_with_any_change_is_refused(data: st.DataObject, signed: tuple[MemoryStore, Manifest]) -> None:
    store, manifest = signed
    key = place_of(manifest)
    good = store.objects[key]
    i = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != good[i]))
    store.objects[key] = good[:i] + bytes([other]) + good[i + 1 :]
    with pytest.raises(SignatureError):
        check_signature(store, manifest, trust(OURS))
    store.objects[key] = good


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, lineage_of: Callable[..., object]) -> tuple[MemoryStore, Manifest]:
    store, folder = MemoryStore(), tmp_path_factory.mktemp("payload")
    (folder / "weights").write_bytes(b"w")
    manifest = load_manifest(store, stage(store, folder, lineage_of(SPAN), ()).release_id, published=False)
    sign(store, manifest, OURS)
    return store, manifest


@pytest.mark.parametrize("damaged", [b"", b"{}", b"\xff", b"null"])
def test_a_damaged_signature_is_refused(store: MemoryStore, published: Published, damaged: bytes) -> None:
    manifest = published(OURS)
    store.objects[place_of(manifest)] = damaged
    with pytest.raises(SignatureError, match="does not fit"):
        check_signature(store, manifest, trust(OURS))


def test_a_changed_manifest_does_not_fit_its_signature(store: MemoryStore, published: Published) -> None:
    manifest = published(OURS)
    changed = manifest.model_copy(update={"inherited": manifest.lineage.learnt})
    store.objects[place_of(changed)] = store.objects[place_of(manifest)]
    with pytest.raises(SignatureError):
        check_signature(store, changed, trust(OURS))


class Remembering(MemoryStore):
    """Knows in which order its objects were written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def create(self, key: str, data: bytes) -> bool:
        self.written.append(key)
        return super().create(key, data)


def test_the_signature_stands_there_before_the_manifest_does(staged: Staged, verdict_on: VerdictOn) -> None:
    store = Remembering()
    candidate = staged(store, SPAN)
    publish(store, candidate, verdict_on(candidate), OURS)
    signature = layout.signature(candidate.release_id, candidate.manifest_sha256, OURS.key_id)
    assert store.written[-2:] == [signature, layout.manifest(candidate.release_id)]


def test_what_stands_falsely_in_the_signatures_place_keeps_the_release_from_being_published(
    store: MemoryStore, staged: Staged, verdict_on: VerdictOn
) -> None:
    candidate = staged(store, SPAN)
    store.objects[layout.signature(candidate.release_id, candidate.manifest_sha256, OURS.key_id)] = b"planted"
    with pytest.raises(SignatureError):
        publish(store, candidate, verdict_on(candidate), OURS)
    assert layout.manifest(candidate.release_id) not in store.objects


def test_two_that_sign_at_once_write_the_same_signature(store: MemoryStore, published: Published) -> None:
    with ThreadPoolExecutor(10) as pool:
        manifests = set(pool.map(lambda _: published(OURS).content_digest(), range(10)))
    assert len(manifests) == 1
    assert len(list(store.keys("releases/"))) == 5  # two files, candidate, signature, manifest


def test_keys_come_from_files_as_openssl_writes_them(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(private_pem(OURS))
    (tmp_path / "keys.pub").write_text("ours:\n" + public_pem(OURS) + "# next year's\n" + public_pem(NEXT))
    given_ = settings(signing_key_file=tmp_path / "key.pem", verify_keys=tmp_path / "keys.pub", require_signature=True)
    assert load_signer(given_).key_id == OURS.key_id
    accepted = load_trust(given_)
    assert accepted.required
    assert accepted.keys.keys() == {OURS.key_id, NEXT.key_id}
    assert all(key_id(key) == each for each, key in accepted.keys.items())


@pytest.mark.parametrize("written", [private_pem(OURS), private_pem(OURS).replace("\n", "\\n")], ids=["lines", "one line"])
def test_a_key_comes_from_the_environment_even_where_it_has_no_line_breaks(written: str) -> None:
    assert load_signer(settings(signing_key=written)).key_id == OURS.key_id


def test_without_keys_nothing_is_signed_and_nothing_required() -> None:
    assert load_signer(settings()) is None
    assert load_trust(settings()) == Trust({}, required=False)


WRONG = {
    "no PEM": "hello, I am the secret",
    "a public key": public_pem(OURS),
    "another kind": X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    "encrypted": OURS.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")).decode(),
    "cut": private_pem(OURS)[:70],
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("where", ["file", "environment"])
def test_a_wrong_private_key_is_refused_without_a_word_of_it(tmp_path: Path, kind: str, where: str) -> None:
    (tmp_path / "key.pem").write_text(WRONG[kind])
    source = {"signing_key": WRONG[kind]} if where == "environment" else {"signing_key_file": tmp_path / "key.pem"}
    with pytest.raises(SettingsError, match="got no unencrypted Ed25519 private key") as told:
        load_signer(settings(**source))
    within = told.value.__traceback__.tb_next  # not this test's own frame, which knows the key
    shown = "".join(traceback.TracebackException(SettingsError, told.value, within, capture_locals=True).format())
    assert not any(line in shown for line in WRONG[kind].splitlines() if line)


def test_a_good_private_key_is_in_no_text_form_of_anything() -> None:
    given_ = settings(signing_key=private_pem(OURS))
    secret = private_pem(OURS).splitlines()[1]
    for thing in (given_, load_signer(given_), replace(OURS)):
        assert secret not in f"{thing!r} {thing}"
    assert secret not in given_.model_dump_json()


def test_settings_under_which_ones_own_releases_would_be_refused_are_told(tmp_path: Path) -> None:
    (tmp_path / "keys.pub").write_text(public_pem(NEXT))
    with pytest.raises(SettingsError, match="nothing to sign with"):
        load_signer(settings(require_signature=True, verify_keys=tmp_path / "keys.pub"))
    with pytest.raises(SettingsError, match="no WIDEDEEP_VERIFY_KEYS"):
        load_trust(settings(require_signature=True))
    with pytest.raises(SettingsError, match=f"{OURS.key_id[:16]} is none of WIDEDEEP_VERIFY_KEYS"):
        load_signer(settings(signing_key=private_pem(OURS), verify_keys=tmp_path / "keys.pub"))
    with pytest.raises(SettingsError, match="wanted one"):
        load_signer(settings(signing_key=private_pem(OURS), signing_key_file=tmp_path / "key.pem"))


@pytest.mark.parametrize(
    ("text", "told"), [("", "wanted one or more"), (public_pem(OURS) + private_pem(NEXT), "block 2 is no Ed25519 public key")]
)
def test_a_file_of_accepted_keys_holds_nothing_but_public_keys(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "keys.pub").write_text(text)
    with pytest.raises(SettingsError, match=told):
        load_trust(settings(verify_keys=tmp_path / "keys.pub"))


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for load, name in ((load_signer, "signing_key_file"), (load_trust, "verify_keys")):
        with pytest.raises(SettingsError, match=f"WIDEDEEP_{name.upper()} {tmp_path}/none: No such file"):
            load(settings(**{name: tmp_path / "none"}))
