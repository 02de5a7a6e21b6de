"""The object store on S3 and what speaks like it. The only module that knows boto3.

- Every PUT carries its SHA-256, so a body damaged on its way is refused by the server.
- Every PUT is conditional; 404, 409 and 412 mean "somebody else was first": nothing was written, read again.
- A conflict after a lost answer may be with our own first try: what stands there is read before anybody is told who won.
- Conditional completion of multipart uploads is never used: several of them can win a race.
- Of a server's answer only the code is ever repeated: some servers put the signed request into its text.
"""

import base64
import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
import botocore.exceptions as refusals
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from widedeep.artifacts import FileRef
from widedeep.config import Settings
from widedeep.errors import StaleError, StoreAccessError, StoreUnavailableError
from widedeep.publishing.store import Blob, ObjectStore
from widedeep.publishing.transfer import CHUNK_BYTES, check_taken, file_ref, measured, missing, save_verified

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

TRIES = 5
"""Of one request. Between them botocore waits a random time of up to 0.05, 0.1, 0.2 and 0.4 s, or longer if throttled."""

READ_TIMEOUT_S = 20
"""A loaded server may take more than 10 s to answer a conditional PUT."""

NOT_FOUND, SERVER_FAULT = 404, 500
CONFLICTS = {NOT_FOUND, 409, 412}

TRY_AGAIN = {
    "SlowDown",
    "RequestTimeout",
    "Throttling",
    "TooManyRequests",
    "BadDigest",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
}
"""Refusals of this one request, not of the caller: too busy, too slow, or a body damaged on its way."""

CREDENTIALS = (
    refusals.NoCredentialsError,
    refusals.PartialCredentialsError,
    refusals.CredentialRetrievalError,
    refusals.ProfileNotFound,
    refusals.NoAuthTokenError,
    refusals.SSOError,
)


def open_store(settings: Settings) -> ObjectStore:
    """The store that the settings name; credentials come from the standard AWS chain.

    Raises:
        StoreAccessError: the AWS profile does not exist.
    """
    return S3Store(settings.store, settings.s3_endpoint)


class S3Store:
    """Thread-safe. `url` is `s3://bucket` or `s3://bucket/prefix`; without an endpoint it is AWS."""

    def __init__(self, url: str, endpoint: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._where = f"store {self.url} at {endpoint or 'AWS'}"
        with self._explained("connect"):
            self._client = _client(endpoint)

    def ensure_bucket(self) -> None:
        """Create the bucket if there is none: for a local server, where nobody else does."""
        with self._explained("create the bucket"):
            try:
                self._client.create_bucket(Bucket=self._bucket)
            except ClientError as error:
                if _code(error) not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                    raise

    def get(self, key: str) -> Blob | None:
        with self._explained(f"GET {key}"):
            found = self._open(key)
            return Blob(found[0].read(), found[1]) if found else None

    def create(self, key: str, data: bytes) -> bool:
        for _ in range(TRIES):
            written = self._put(key, data, hashlib.sha256(data).digest(), None)
            if isinstance(written, str):
                return True
            standing = self.get(key)
            if standing:
                return _was_retried(written) and standing.data == data
        raise self._undecided(key)

    def swap(self, key: str, data: bytes, expected_etag: str | None) -> str:
        written = self._put(key, data, hashlib.sha256(data).digest(), expected_etag)
        if isinstance(written, str):
            return written
        standing = self.get(key)
        if _was_retried(written) and standing and standing.data == data:
            return standing.etag
        found = standing.etag if standing else "no object"
        raise StaleError(
            f"{self._where}: PUT {key}: got etag {found}, wanted {expected_etag or 'no object'}: somebody else was first, "
            "and nothing was written. Read it again, then decide again."
        )

    def keys(self, prefix: str) -> Iterator[str]:
        with self._explained(f"LIST {prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            found = [item["Key"].removeprefix(self._prefix) for page in pages for item in page.get("Contents", ())]
        # SeaweedFS lists folder by folder, where '/' does not sort by its code point.
        yield from sorted(found)

    def upload(self, key: str, path: Path) -> FileRef:
        ref = file_ref(key, path)
        for _ in range(TRIES):
            with path.open("rb") as file:
                if isinstance(self._put(key, file, bytes.fromhex(ref.sha256), None), str):
                    return ref
            with self._explained(f"GET {key}"):
                standing = self._open(key)
                if standing:
                    check_taken(self.url, ref, measured(key, standing[0].iter_chunks(CHUNK_BYTES)))
                    return ref
        raise self._undecided(key)

    def download(self, ref: FileRef, path: Path) -> None:
        with self._explained(f"GET {ref.name}"):
            found = self._open(ref.name)
            if not found:
                raise missing(self.url, ref)
            save_verified(self.url, ref, found[0].iter_chunks(CHUNK_BYTES), path)

    def _open(self, key: str) -> "tuple[StreamingBody, str] | None":
        """The object's body, unread, and its etag."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        except ClientError as error:
            if _code(error) == "NoSuchKey":
                return None
            raise
        return answer["Body"], answer["ETag"]

    def _put(self, key: str, body: bytes | BinaryIO, digest: bytes, expected_etag: str | None) -> str | ClientError:
        """One conditional PUT: the new etag, or the conflict."""
        arguments: dict[str, Any] = {"IfMatch": expected_etag} if expected_etag else {"IfNoneMatch": "*"}
        arguments |= {"Bucket": self._bucket, "Key": self._prefix + key, "Body": body}
        with self._explained(f"PUT {key}"):
            try:
                return self._client.put_object(ChecksumSHA256=base64.b64encode(digest).decode(), **arguments)["ETag"]
            except ClientError as error:
                # A missing bucket is a 404 too: the read that follows every conflict says so.
                if _status(error) in CONFLICTS:
                    return error
                raise

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Raise what boto3 raises as StoreAccessError or StoreUnavailableError."""
        try:
            yield
        except ClientError as error:
            raise self._refused(what, error) from error
        except CREDENTIALS as error:
            raise StoreAccessError(
                f"{self._where}: {what}: got no credentials ({type(error).__name__}), wanted an access key and its secret. "
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; `make shell` sets those of the local store."
            ) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise StoreUnavailableError(
                f"{self._where}: {what}: got no usable answer ({type(error).__name__}). "
                "Start the store (`make local-airflow` starts the local one) or mend WIDEDEEP_S3_ENDPOINT, then run again."
            ) from error

    def _refused(self, what: str, error: ClientError) -> StoreAccessError | StoreUnavailableError:
        answer = f"{self._where}: {what}: got {_status(error)} {_code(error)}"
        if _status(error) >= SERVER_FAULT or _code(error) in TRY_AGAIN:
            return StoreUnavailableError(f"{answer}, wanted success. Look at the server's log, then run again.")
        if _status(error) == NOT_FOUND:
            return StoreAccessError(
                f"{answer}, wanted a bucket {self._bucket!r}. Create it, or point WIDEDEEP_STORE at one that exists."
            )
        return StoreAccessError(
            f"{answer}, wanted the right to list, read and write bucket {self._bucket!r}. "
            "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and this machine's clock."
        )

    def _undecided(self, key: str) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"{self._where}: PUT {key}: got {TRIES} conflicts with nothing, wanted one winner. Run it again."
        )


def _client(endpoint: str | None) -> "S3Client":
    logging.getLogger("botocore.credentials").setLevel(logging.WARNING)  # it tells at each start where it found them
    config = Config(
        connect_timeout=5,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        s3={"addressing_style": "path"} if endpoint else {},
    )
    return boto3.session.Session().client("s3", endpoint_url=endpoint, config=config)


def _code(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", "unknown"))


def _status(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"].get("HTTPStatusCode", 0))


def _was_retried(error: ClientError) -> bool:
    """Whether an earlier try of the same request may have reached the store unnoticed."""
    return bool(error.response["ResponseMetadata"].get("RetryAttempts"))
