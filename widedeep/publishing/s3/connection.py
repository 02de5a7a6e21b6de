"""From settings to a boto3 client. Who we are comes from the environment that is handed in, else from the standard AWS chain."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError

from widedeep.publishing.s3.faults import refuse_half_an_answer

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest
    from mypy_boto3_s3 import S3Client

TRIES = 5
"""Of one request. Between them botocore waits a random time of up to 0.05, 0.1, 0.2 and 0.4 s, or longer if throttled."""

READ_TIMEOUT_S = 20
"""A loaded server may take more than 10 s to answer a conditional PUT."""

ROLE_SESSION = "widedeep"

BODY_UNSIGNED = Config(s3={"payload_signing_enabled": False})


@dataclass(frozen=True)
class S3Options:
    """How to reach and use a store, beside its address. `credentials` are `AWS_*` variables; None: the standard AWS chain."""

    region: str | None = None
    addressing: Literal["auto", "path", "virtual"] | None = None
    ca_bundle: Path | None = None
    encryption: Literal["AES256", "aws:kms"] | None = None
    kms_key: str | None = None
    role_arn: str | None = None
    credentials: Mapping[str, str] | None = field(default=None, repr=False)

    def write_arguments(self) -> dict[str, Any]:
        """What every PUT and every new upload says about encryption at rest."""
        wanted = {"ServerSideEncryption": self.encryption, "SSEKMSKeyId": self.kms_key}
        return {name: value for name, value in wanted.items() if value}


def connect(endpoint: str | None, options: S3Options) -> "S3Client":
    logging.getLogger("botocore.credentials").setLevel(logging.WARNING)  # it tells at each start where it found them
    config = Config(
        connect_timeout=5,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        read_timeout=READ_TIMEOUT_S,
        response_checksum_validation="when_supported",  # also where AWS_RESPONSE_CHECKSUM_VALIDATION says otherwise
        s3={"addressing_style": options.addressing or ("path" if endpoint else "auto")},
    )
    session = boto3.session.Session(botocore_session=_session(options), region_name=options.region)
    verify = str(options.ca_bundle) if options.ca_bundle else None
    client = session.client("s3", endpoint_url=endpoint, config=config, verify=verify)
    client.meta.events.register("after-call.s3", refuse_half_an_answer)
    for operation in ("PutObject", "UploadPart"):
        client.meta.events.register(f"before-sign.s3.{operation}", sign_the_checksum_alone)
    return client


def sign_the_checksum_alone(request: "AWSRequest", **_: object) -> None:
    """These requests carry their body's SHA-256 in a header, which is signed. Hashing the body once more for the signature would
    take a fourth of the CPU time of publishing 1 GiB."""
    request.context["client_config"] = request.context["client_config"].merge(BODY_UNSIGNED)


def _session(options: S3Options) -> botocore.session.Session:
    session = botocore.session.Session()
    if options.region:
        session.set_config_variable("region", options.region)
    given = options.credentials or {}
    if key := given.get("AWS_ACCESS_KEY_ID"):
        secret = given.get("AWS_SECRET_ACCESS_KEY")
        if not secret:
            raise NoCredentialsError
        session.set_credentials(key, secret, given.get("AWS_SESSION_TOKEN"))
    if options.role_arn:
        _assume(session, options.role_arn)
    return session


def _assume(session: botocore.session.Session, role_arn: str) -> None:
    """Act as the role from now on; its credentials are renewed before they expire. Profiles do so by themselves."""
    ours = session.get_credentials()
    if ours is None:
        raise NoCredentialsError
    fetcher = AssumeRoleCredentialFetcher(session.create_client, ours, role_arn, {"RoleSessionName": ROLE_SESSION})
    renewed = DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method="assume-role")
    session._credentials = renewed  # type: ignore[attr-defined]  # botocore has no public way in
