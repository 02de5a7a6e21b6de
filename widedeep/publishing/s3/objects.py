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
from widedeep.publishing import layout
from widedeep.publishing.s3 import parts
from widedeep.publishing.s3.connection import TRIES, S3Options, connect
from widedeep.publishing.s3.faults import CONFLICTS, NOT_FOUND, code, explained, status, was_retried
from widedeep.publishing.store import Blob, Listed, ObjectStore, Unfinished
from widedeep.publishing.transfer import CHUNK_BYTES, Fill, check_taken, copied, file_ref, measured, missing, save, save_verified

if TYPE_CHECKING:
    from botocore.response import StreamingBody


def open_store(settings: Settings, environment: Mapping[str, str] | None = None) -> ObjectStore:
    """The store that the settings name; credentials come from the environment that is given, else from the standard AWS chain.

    Raises:
        StoreAccessError: the AWS profile does not exist.
    """
    options = S3Options(
        region=settings.s3_region,
        addressing=settings.s3_addressing,
        ca_bundle=settings.s3_ca_bundle,
        encryption=settings.s3_encryption,
        kms_key=settings.s3_kms_key,
        role_arn=settings.s3_role_arn,
        credentials=environment,
    )
    return S3Store(settings.store, settings.s3_endpoint, options)


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
            self._client.delete_object(**self._at(key))

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
                pages = self._client.get_paginator("list_parts").paginate(**self._at(key), UploadId=upload_id)
                return sum(part["Size"] for page in pages for part in page.get("Parts", ()))
            except ClientError as error:
                if code(error) == "NoSuchUpload":  # completed or aborted meanwhile
                    return 0
                raise

    def abort(self, upload: Unfinished) -> None:
        with self._explained(f"ABORT {upload.key}"):
            try:
                self._client.abort_multipart_upload(**self._at(upload.key), UploadId=upload.upload_id)
            except ClientError as error:
                if code(error) != "NoSuchUpload":
                    raise

    def upload(self, key: str, path: Path) -> FileRef:
        digest = layout.named_digest(key)
        if digest and path.stat().st_size >= parts.LARGE_BYTES:
            return self._upload_large(key, path, digest)
        ref = file_ref(key, path)
        for _ in range(TRIES):
            with path.open("rb") as opened:
                if isinstance(self._put(key, opened, bytes.fromhex(ref.sha256), None), str):
                    return ref
            if self._stands(ref):
                return ref
        raise self._undecided(key)

    def _upload_large(self, key: str, path: Path, digest: str) -> FileRef:
        """In parts, under a key with the file's digest. Whoever completes last, equal bytes stand."""
        with self._explained(f"PUT {key}"):
            if self._head(key):
                ref = file_ref(key, path)
                self._stands(ref)
                return ref
            ref = FileRef(name=key, size_bytes=path.stat().st_size, sha256=self._send(key, path, digest))
            standing = self._head(key)
        if standing is None or standing[0] != ref.size_bytes:
            raise StoreUnavailableError(
                f"{self._where}: PUT {key}: got {standing[0] if standing else 'no'} bytes afterwards, wanted "
                f"{ref.size_bytes}: the upload was cut or taken back. Run it again."
            )
        return ref

    def _send(self, key: str, path: Path, digest: str) -> str:
        try:
            return parts.send(self._client, self._at(key), path, digest, self._options.write_arguments())
        except ClientError as error:
            # The completion's first answer may have been lost: what stands there tells.
            if code(error) != "NoSuchUpload" or not was_retried(error):
                raise
            return file_ref(key, path).sha256

    def _stands(self, ref: FileRef) -> bool:
        """Whether these bytes stand there already; others are an IntegrityError."""
        with self._explained(f"GET {ref.name}"):
            standing = self._open(ref.name)
            if standing:
                check_taken(self.url, ref, measured(ref.name, standing[0].iter_chunks(CHUNK_BYTES)))
        return standing is not None

    def fetch(self, key: str, path: Path) -> FileRef | None:
        with self._explained(f"GET {key}"):
            standing = self._head(key)
            fill = self._fill(key, standing[0] if standing else 0)
            return save(key, fill, path) if fill else None

    def download(self, ref: FileRef, path: Path) -> None:
        with self._explained(f"GET {ref.name}"):
            fill = self._fill(ref.name, ref.size_bytes)
            if fill is None:
                raise missing(self.url, ref)
            save_verified(self.url, ref, fill, path)

    def _fill(self, key: str, size_bytes: int) -> Fill | None:
        standing = self._head(key) if size_bytes >= parts.LARGE_BYTES else None
        if standing and standing[0] == size_bytes:
            return parts.receive(self._client, self._at(key), *standing)
        found = self._open(key)
        return copied(found[0].iter_chunks(CHUNK_BYTES)) if found else None

    def _head(self, key: str) -> tuple[int, str] | None:
        """Size and etag of what stands there."""
        try:
            answer = self._client.head_object(**self._at(key))
        except ClientError as error:
            if status(error) == NOT_FOUND:  # of a missing bucket, too: HEAD has no words; the request that follows has
                return None
            raise
        return answer["ContentLength"], answer["ETag"]

    def _at(self, key: str) -> parts.Target:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _open(self, key: str) -> "tuple[StreamingBody, str] | None":
        """The object's body, unread, and its etag."""
        try:
            answer = self._client.get_object(**self._at(key))
        except ClientError as error:
            if code(error) == "NoSuchKey":
                return None
            raise
        return answer["Body"], answer["ETag"]

    def _put(self, key: str, body: bytes | BinaryIO, digest: bytes, expected_etag: str | None) -> str | ClientError:
        """One conditional PUT: the new etag, or the conflict."""
        arguments: dict[str, Any] = {"IfMatch": expected_etag} if expected_etag else {"IfNoneMatch": "*"}
        arguments |= {**self._at(key), "Body": body, **self._options.write_arguments()}
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
