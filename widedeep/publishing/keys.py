"""Keys that sign releases and moves, and keys that are accepted, as the settings name them.

- A key's id is the SHA-256 of its public half (DER, SubjectPublicKeyInfo).
- The private key is in no text form of anything here, and no error holds what was read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, load_pem_public_key
from pydantic import SecretStr

from widedeep.artifacts import Digest, sha256
from widedeep.config import Settings
from widedeep.errors import SettingsError

MAKE_KEYS = "`openssl genpkey -algorithm ed25519` makes a private key, `openssl pkey -pubout` its public one (docs/releases.md)"


@dataclass(frozen=True)
class Signer:
    """A private key."""

    key: Ed25519PrivateKey = field(repr=False)

    @property
    def key_id(self) -> Digest:
        return key_id(self.key.public_key())


@dataclass(frozen=True)
class Trust:
    """The keys whose signatures are accepted, by their ids, and whether what has none is refused."""

    keys: Mapping[Digest, Ed25519PublicKey]
    required: bool


ANYBODY = Trust({}, required=False)
"""No keys are given: signatures are not looked at."""


def key_id(key: Ed25519PublicKey) -> Digest:
    """What `openssl pkey -pubin -in KEY.pub -outform DER | sha256sum` prints."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def load_signer(settings: Settings) -> Signer | None:
    """The key with which this process signs what it publishes.

    Raises:
        SettingsError: the key can't be read, or what it signs would be refused under these settings.
    """
    pem = _private_pem(settings)
    if pem is None:
        if settings.require_signature:
            raise SettingsError(
                "settings: WIDEDEEP_REQUIRE_SIGNATURE is set, but nothing to sign with: what is published would be refused. "
                "Set WIDEDEEP_SIGNING_KEY_FILE."
            )
        return None
    key = _parsed(pem)
    if key is None:
        name = "WIDEDEEP_SIGNING_KEY" if settings.signing_key else f"WIDEDEEP_SIGNING_KEY_FILE {settings.signing_key_file}"
        raise SettingsError(f"settings: {name}: got no unencrypted Ed25519 private key in PEM. {MAKE_KEYS}.")
    signer = Signer(key)
    accepted = load_trust(settings).keys
    if settings.verify_keys and signer.key_id not in accepted:
        others = ", ".join(each[:16] for each in accepted)
        raise SettingsError(
            f"settings: the signing key {signer.key_id[:16]} is none of WIDEDEEP_VERIFY_KEYS ({others}): "
            "what it signs would be refused. Add its public half there."
        )
    return signer


def load_trust(settings: Settings) -> Trust:
    """The keys that this process accepts.

    Raises:
        SettingsError: they can't be read, or a signature is required and there are none.
    """
    if settings.verify_keys is None:
        if settings.require_signature:
            raise SettingsError(f"settings: WIDEDEEP_REQUIRE_SIGNATURE is set, but no WIDEDEEP_VERIFY_KEYS. {MAKE_KEYS}.")
        return ANYBODY
    keys = _public_keys(settings.verify_keys)
    return Trust({key_id(key): key for key in keys}, settings.require_signature)


def _private_pem(settings: Settings) -> SecretStr | None:
    if settings.signing_key and settings.signing_key_file:
        raise SettingsError("settings: got both WIDEDEEP_SIGNING_KEY and WIDEDEEP_SIGNING_KEY_FILE, wanted one. Unset the other.")
    if settings.signing_key_file:
        return SecretStr(_text(settings.signing_key_file, "WIDEDEEP_SIGNING_KEY_FILE"))
    return settings.signing_key


def _parsed(pem: SecretStr) -> Ed25519PrivateKey | None:
    """None, not an error that holds the text. Environment files have no line breaks: there they are written as `\\n`."""
    try:
        key = load_pem_private_key(pem.get_secret_value().replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None


def _public_keys(path: Path) -> list[Ed25519PublicKey]:
    blocks = re.findall(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", _text(path, "WIDEDEEP_VERIFY_KEYS"), re.DOTALL)
    keys: list[Ed25519PublicKey] = []
    for number, block in enumerate(blocks, 1):
        try:
            key = load_pem_public_key(block.encode())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise SettingsError(
                f"settings: WIDEDEEP_VERIFY_KEYS {path}: block {number} is no Ed25519 public key, wanted only such. {MAKE_KEYS}."
            )
        keys.append(key)
    if not keys:
        raise SettingsError(f"settings: WIDEDEEP_VERIFY_KEYS {path}: got no public key in PEM, wanted one or more. {MAKE_KEYS}.")
    return keys


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SettingsError(f"settings: {name} {path}: {reason}, wanted a PEM file.") from None
