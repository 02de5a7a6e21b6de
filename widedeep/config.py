"""Settings of one process, read once from `WIDEDEEP_*` environment variables. Unknown names fail; problems are told together.

Credentials are not here: boto3 takes them from the standard AWS chain (`AWS_ACCESS_KEY_ID`, profiles, roles). The one secret, the
signing key, is never shown: not in a repr, and not in a message about a variable whose name was mistyped.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from widedeep.errors import SettingsError

PREFIX = "WIDEDEEP_"


class Settings(BaseModel):
    """Each field is the environment variable `WIDEDEEP_<NAME>`.

    store: where everything that matters lives, `s3://bucket` or `s3://bucket/prefix`.
    s3_endpoint: address of an S3-compatible server; unset means AWS.
    contract: the contract file.
    start_date: first daily span of the DAG (its `start_date`), frozen when the project is set up.
    sample: folder with the MovieLens-100k files; only the sample feed reads it.
    feed_start: first span that the sample feed delivers; unset: `start_date`. Those before it were delivered by setup.
    history_start: first span of the history that the bootstrap learns; with it, daily runs wait for the bootstrap.
    signing_key, signing_key_file: Ed25519 private key, PEM, or a file with it; what this process publishes is signed with it.
    verify_keys: file with the public keys, PEM, whose signatures are accepted.
    require_signature: load no published release without such a signature.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    store: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$")
    s3_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/\s]+/?$")
    contract: Path
    start_date: date | None = None
    sample: Path | None = None
    feed_start: date | None = None
    history_start: date | None = None
    signing_key: SecretStr | None = None
    signing_key_file: Path | None = None
    verify_keys: Path | None = None
    require_signature: bool = False


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Parse the `WIDEDEEP_*` part of an environment.

    Raises:
        SettingsError: a variable is missing, unknown or malformed; the text lists all of them.
    """
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        lines = [f"  {PREFIX}{str(p['loc'][0]).upper()}: {p['msg']}{_got(p['type'], p['input'])}" for p in error.errors()]
        raise SettingsError(
            "settings: " + f"{len(lines)} problem{'s' * (len(lines) != 1)} in the environment; "
            "`make shell` opens a shell with working ones:\n" + "\n".join(lines)
        ) from error


def _got(kind: str, value: object) -> str:
    """What was given, unless the name is unknown: it may be a secret under a mistyped name."""
    return "" if kind == "extra_forbidden" else f" (got {value!r:.60})"
