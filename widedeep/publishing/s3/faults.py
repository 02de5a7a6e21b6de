"""What boto3 raises, told as the library's own errors. Of a server's answer only status and code are repeated, never its text.

Nor do they lead back to what boto3 raised: a traceback would print it, and some servers repeat the signed request in it, session
token and all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import botocore.exceptions as refusals
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from widedeep.errors import StoreAccessError, StoreUnavailableError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from botocore.model import OperationModel

MULTIPLE_CHOICES, NOT_FOUND, PRECONDITION_FAILED, SERVER_FAULT, NOT_IMPLEMENTED = 300, 404, 412, 500, 501
CONFLICTS = {NOT_FOUND, 409, PRECONDITION_FAILED}

TRY_AGAIN = {
    "SlowDown",
    "RequestTimeout",
    "Throttling",
    "TooManyRequests",
    "BadDigest",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
    "NoSuchUpload",
    "PreconditionFailed",
    "404",
}
"""Refusals of this one request, not of the caller: too busy, too slow, a body damaged on its way, parts that were cleared away,
an object that was replaced while it was read, an answer that broke off before it said what is not there."""

CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}

NO_ANSWER = (BotoCoreError, ResponseParserError, HTTPError, ValueError)
"""An answer that breaks off within its body comes through botocore as urllib3 raised it, within a number as a ValueError."""

CREDENTIALS = (
    refusals.NoCredentialsError,
    refusals.PartialCredentialsError,
    refusals.CredentialRetrievalError,
    refusals.ProfileNotFound,
    refusals.NoAuthTokenError,
    refusals.SSOError,
)


IN_EVERY_ANSWER = {
    "PutObject": ("ETag",),
    "GetObject": ("ETag", "ContentLength"),
    "HeadObject": ("ETag", "ContentLength"),
    "ListObjectsV2": ("IsTruncated",),
    "ListMultipartUploads": ("IsTruncated",),
    "ListParts": ("IsTruncated",),
    "CreateMultipartUpload": ("UploadId",),
    "UploadPart": ("ETag",),
}


def refuse_half_an_answer(http_response: "AWSResponse", parsed: dict[str, Any], model: "OperationModel", **_: object) -> None:
    """Python's http.client takes headers that break off for all of them, and then a body for empty: a list without an object."""
    missing = [field for field in IN_EVERY_ANSWER.get(model.name, ()) if field not in parsed]
    if http_response.status_code < MULTIPLE_CHOICES and missing:
        raise ResponseParserError(f"{model.name}: got an answer without {', '.join(missing)}")


@contextmanager
def explained(where: str, bucket: str, what: str) -> Iterator[None]:
    """Raise what boto3 raises as StoreAccessError or StoreUnavailableError."""
    try:
        yield
    except ClientError as error:
        raise _refused(where, bucket, what, error) from None
    except CREDENTIALS as error:
        raise StoreAccessError(
            f"{where}: {what}: got no credentials ({type(error).__name__}), wanted an access key and its secret. "
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; `make shell` sets those of the local store."
        ) from None
    except NO_ANSWER as error:
        raise StoreUnavailableError(
            f"{where}: {what}: got no usable answer ({type(error).__name__}). "
            "Start the store (`make local-airflow` starts the local one) or mend WIDEDEEP_S3_ENDPOINT, then run again."
        ) from None


def code(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", "unknown"))


def status(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"].get("HTTPStatusCode", 0))


def was_retried(error: ClientError) -> bool:
    """Whether an earlier try of the same request may have reached the store unnoticed."""
    return bool(error.response["ResponseMetadata"].get("RetryAttempts"))


def _refused(where: str, bucket: str, what: str, error: ClientError) -> StoreAccessError | StoreUnavailableError:
    answer = f"{where}: {what}: got {status(error)} {code(error)}"
    if status(error) == NOT_IMPLEMENTED:
        return StoreAccessError(f"{answer}, wanted a store that can do this. `widedeep doctor` says what it can't do.")
    if status(error) >= SERVER_FAULT or code(error) in TRY_AGAIN:
        return StoreUnavailableError(f"{answer}, wanted success. Look at the server's log, then run again.")
    if error.operation_name == "AssumeRole":
        return StoreAccessError(f"{answer} to AssumeRole, wanted the role of WIDEDEEP_S3_ROLE_ARN. Check who may assume it.")
    if code(error) in CLOCK:
        return StoreAccessError(f"{answer}, wanted a clock like the store's. Set this machine's clock (NTP), then run again.")
    if status(error) == NOT_FOUND:
        return StoreAccessError(f"{answer}, wanted a bucket {bucket!r}. Create it, or point WIDEDEEP_STORE at one that exists.")
    return StoreAccessError(
        f"{answer}, wanted the right to list, read, write and delete in bucket {bucket!r}. "
        "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and this machine's clock."
    )
