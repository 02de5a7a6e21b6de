"""`S3Store`: the store's contract in S3's words. What keeps it true is told at the top of the package."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import ClientError

from widedeep.artifacts import FileRef
from widedeep.config import Settings
from widedeep.errors import StaleError, StoreUnavailableError
from widedeep.publishing.s3.connection import TRIES, S3Options, connect
from widedeep.publishing.s3.faults import CONFLICTS, code, explained, status, was_retried
from widedeep.publishing.store import Blob, Listed, ObjectStore, Unfinished
from widedeep.publishing.transfer import CHUNK_BYTES, check_taken, file_ref, measured, missing, save_verified

if TYPE_CHECKING:
    from botocore.response import StreamingBody


def open_store(settings: Settings, environment: Mapping[str, str] | None = None) -> ObjectStore:
    """The store that the settings name; credentials come from the environment that is given, else from the standard AWS chain.

    Raises:
        StoreAccessError: the AWS profile does not exist.
    """
    return S3Store(settings.store, settings.s3_endpoint, S3Options(credentials=environment))


class S3Store:
    """Thread-safe. `url` is `s3://bucket` or `s3://bucket/prefix`; without an endpoint it is AWS."""

    def __init__(self, url: str, endpoint: str | None = None, options: S3Options | None = None) -> None:
        self.url = url.rstrip("/")
        self._bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._where = f"store {self.url} at {endpoint or 'AWS'}"
        self._options = options or S3Options()
        with self._explained("connect"):
            self._client = connect(endpoint, self._options)

    def ensure_bucket(self) -> None:
        """Create the bucket if there is none: for a local server, where nobody else does."""
        with self._explained("create the bucket"):
            try:
                self._client.create_bucket(Bucket=self._bucket)
            except ClientError as error:
                if code(error) not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
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
                return was_retried(written) and standing.data == data
        raise self._undecided(key)

    def swap(self, key: str, data: bytes, expected_etag: str | None) -> str:
        written = self._put(key, data, hashlib.sha256(data).digest(), expected_etag)
        if isinstance(written, str):
            return written
        standing = self.get(key)
        if was_retried(written) and standing and standing.data == data:
            return standing.etag
        found = standing.etag if standing else "no object"
        raise StaleError(
            f"{self._where}: PUT {key}: got etag {found}, wanted {expected_etag or 'no object'}: somebody else was first, "
            "and nothing was written. Read it again, then decide again."
        )

    def keys(self, prefix: str) -> Iterator[str]:
        return (item.key for item in self.listed(prefix))

    def listed(self, prefix: str) -> Iterator[Listed]:
        with self._explained(f"LIST {prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            found = [
                Listed(item["Key"].removeprefix(self._prefix), item["Size"], item["LastModified"])
                for page in pages
                for item in page.get("Contents", ())
            ]
        # SeaweedFS lists folder by folder, where '/' does not sort by its code point.
        yield from sorted(found, key=lambda item: item.key)

    def delete(self, key: str) -> None:
        with self._explained(f"DELETE {key}"):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        with self._explained(f"LIST uploads {prefix}"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            found = [item for page in pages for item in page.get("Uploads", ())]
        for item in found:
            key, upload_id = item["Key"].removeprefix(self._prefix), item["UploadId"]
            yield Unfinished(key, upload_id, item["Initiated"], self._parts_bytes(key, upload_id))

    def _parts_bytes(self, key: str, upload_id: str) -> int:
        with self._explained(f"LIST parts {key}"):
            try:
                pages = self._client.get_paginator("list_parts").paginate(
                    Bucket=self._bucket, Key=self._prefix + key, UploadId=upload_id
                )
                return sum(part["Size"] for page in pages for part in page.get("Parts", ()))
            except ClientError as error:
                if code(error) == "NoSuchUpload":  # completed or aborted meanwhile
                    return 0
                raise

    def abort(self, upload: Unfinished) -> None:
        with self._explained(f"ABORT {upload.key}"):
            try:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._prefix + upload.key, UploadId=upload.upload_id)
            except ClientError as error:
                if code(error) != "NoSuchUpload":
                    raise

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
            if code(error) == "NoSuchKey":
                return None
            raise
        return answer["Body"], answer["ETag"]

    def _put(self, key: str, body: bytes | BinaryIO, digest: bytes, expected_etag: str | None) -> str | ClientError:
        """One conditional PUT: the new etag, or the conflict."""
        arguments: dict[str, Any] = {"IfMatch": expected_etag} if expected_etag else {"IfNoneMatch": "*"}
        arguments |= {"Bucket": self._bucket, "Key": self._prefix + key, "Body": body, **self._options.write_arguments()}
        with self._explained(f"PUT {key}"):
            try:
                return self._client.put_object(ChecksumSHA256=base64.b64encode(digest).decode(), **arguments)["ETag"]
            except ClientError as error:
                # A missing bucket is a 404 too: the read that follows every conflict says so.
                if status(error) in CONFLICTS:
                    return error
                raise

    def _explained(self, what: str) -> AbstractContextManager[None]:
        return explained(self._where, self._bucket, what)

    def _undecided(self, key: str) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"{self._where}: PUT {key}: got {TRIES} conflicts with nothing, wanted one winner. Run it again."
        )
