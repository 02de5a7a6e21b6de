"""Settings of one process, read once from `WIDEDEEP_*` environment variables. Unknown names fail; problems are told together.

Credentials are not here: boto3 takes them from the standard AWS chain (`AWS_ACCESS_KEY_ID`, profiles, roles).
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$")
    s3_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/\s]+/?$")
    contract: Path
    start_date: date | None = None
    sample: Path | None = None
    feed_start: date | None = None
    history_start: date | None = None


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Parse the `WIDEDEEP_*` part of an environment.

    Raises:
        SettingsError: a variable is missing, unknown or malformed; the text lists all of them.
    """
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        lines = [f"  {PREFIX}{str(p['loc'][0]).upper()}: {p['msg']} (got {p['input']!r:.60})" for p in error.errors()]
        raise SettingsError(
            "settings: " + f"{len(lines)} problem{'s' * (len(lines) != 1)} in the environment; "
            "`make shell` opens a shell with working ones:\n" + "\n".join(lines)
        ) from error
