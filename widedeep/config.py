"""Settings of one process, read once from `WIDEDEEP_*` environment variables. Unknown names fail; problems are told together.

Credentials are not here: boto3 takes them from the standard AWS chain (`AWS_ACCESS_KEY_ID`, profiles, roles), or the Airflow
edge from a connection. The two secrets, the signing key and the server's token, are never shown: not in a repr, nor in a message
about a variable whose name was mistyped.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FilePath, SecretStr, ValidationError, ValidationInfo, field_validator

from widedeep.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PREFIX = "WIDEDEEP_"
ConnectionId = Annotated[str, Field(pattern=r"^[\w.-]+$")]


class Settings(BaseModel):
    """Each field is the environment variable `WIDEDEEP_<NAME>`.

    store: where everything that matters lives, `s3://bucket` or `s3://bucket/prefix`.
    s3_endpoint: address of an S3-compatible server; unset means AWS.
    s3_region: unset: `AWS_DEFAULT_REGION` or the profile's.
    s3_addressing: bucket in the path or in the host name; unset: path where there is an endpoint, else boto3's choice.
    s3_ca_bundle: certificates (PEM) that vouch for the server; unset: those of boto3 or `AWS_CA_BUNDLE`.
    s3_encryption: how the server encrypts what is written; unset: as the bucket says.
    s3_kms_key: id or ARN of the key, with s3_encryption aws:kms; unset: the account's own for S3.
    s3_role_arn: a role to assume with the credentials that were found.
    s3_connection: an Airflow connection of type `aws` with credentials and more; read by the Airflow edge only.
    contract: the contract file.
    start_date: first daily span of the DAG (its `start_date`), frozen when the project is set up.
    sample: folder with the MovieLens-100k files; only the sample feed reads it.
    feed_start: first span that the sample feed delivers; unset: `start_date`. Those before it were delivered by setup.
    history_start: first span of the history that the bootstrap learns; with it, daily runs wait for the bootstrap.
    signing_key, signing_key_file: Ed25519 private key, PEM, or a file with it; what this process publishes is signed with it.
    verify_keys: file with the public keys, PEM, whose signatures are accepted.
    require_signature: load no published release without such a signature.
    serve_token: what clients of the scoring server have to send; it listens beyond this machine only with one.
    training_machines, training_folder: on how many machines the processes of `training.engine: torchrec` run, and a folder that
        all of them see; read where it trains. On the other machines `widedeep join` runs.
    alert_slack_conn: the Airflow connection of type `slackwebhook` that alerts go to; read by the Airflow edge only, as the rest.
    alert_email_to: addresses, with commas between them, that alerts are mailed to.
    alert_email_conn: the Airflow connection of type `smtp` that mails them; its extra names the sender (`from_email`).
    release_deadline: how long after the start of its data interval a daily run has to settle its span, such as PT30H: until six
        in the morning (UTC) of the day after. Then it alerts. Unset: it may take as long as it likes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    store: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$")
    s3_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/\s@]+/?$")
    s3_region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    s3_addressing: Literal["auto", "path", "virtual"] | None = None
    s3_ca_bundle: FilePath | None = None
    s3_encryption: Literal["AES256", "aws:kms"] | None = None
    s3_kms_key: str | None = Field(default=None, pattern=r"^\S+$")
    s3_role_arn: str | None = Field(default=None, pattern=r"^arn:\S+$")
    s3_connection: ConnectionId | None = None
    contract: Path
    start_date: date | None = None
    sample: Path | None = None
    feed_start: date | None = None
    history_start: date | None = None
    signing_key: SecretStr | None = None
    signing_key_file: Path | None = None
    verify_keys: Path | None = None
    require_signature: bool = False
    serve_token: SecretStr | None = None
    training_machines: int = Field(default=1, ge=1, le=1024)
    training_folder: Path | None = None
    alert_slack_conn: ConnectionId | None = None
    alert_email_to: str | None = Field(default=None, pattern=r"^[^@\s,]+@[^@\s,]+(, *[^@\s,]+@[^@\s,]+)*$")
    alert_email_conn: ConnectionId = "smtp_default"
    release_deadline: Annotated[timedelta, Field(gt=timedelta(0))] | None = None

    @field_validator("s3_kms_key")
    @classmethod
    def _key_needs_kms(cls, key: str | None, info: ValidationInfo) -> str | None:
        if key and info.data.get("s3_encryption") != "aws:kms":
            raise ValueError("without WIDEDEEP_S3_ENCRYPTION=aws:kms the key would not be used")
        return key


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Parse the `WIDEDEEP_*` part of an environment.

    Raises:
        SettingsError: a variable is missing, unknown or malformed; the text lists all of them.
    """
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        lines = [_told(problem) for problem in error.errors()]
        raise SettingsError(
            "settings: " + f"{len(lines)} problem{'s' * (len(lines) != 1)} in the environment; "
            "`make shell` opens a shell with working ones:\n" + "\n".join(lines)
        ) from error


def _told(problem: "ErrorDetails") -> str:
    """A value is shown unless it may be a secret: somebody's key under a name that we don't know, or in an address; or a webhook
    where its connection's id belongs.
    """
    given = repr(problem["input"])
    secret = problem["type"] == "extra_forbidden" or "@" in given or problem["loc"][0] == "alert_slack_conn"
    shown = "" if secret or problem["type"] == "missing" else f" (got {given:.60})"
    return f"  {PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg']}{shown}"
