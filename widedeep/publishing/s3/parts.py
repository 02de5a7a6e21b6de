"""Large objects in parts, several at a time. A write holds as many in memory as threads; a read's parts are of one object."""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from widedeep.errors import IntegrityError
from widedeep.publishing.s3.connection import TRIES
from widedeep.publishing.s3.faults import NO_ANSWER
from widedeep.publishing.transfer import CHUNK_BYTES, Fill, ahead

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

LARGE_BYTES = 64 << 20
"""From here on in parts. Below, a file is one conditional request, which needs no digest in the key."""

PART_BYTES = 8 << 20
"""boto3's own."""

PIECE_BYTES = 256 << 10
"""Of a body, in memory at once: boto3's own, too."""

MAX_PARTS = 10_000
"""S3's own limit."""

THREADS = 10
"""boto3's own. With four, publishing 1 GiB took 1.5 times as long as boto3's own transfer; with ten, 1.25 times."""

Target = dict[str, Any]
"""Bucket and Key, as boto3 calls them."""


def part_bytes(size_bytes: int) -> int:
    return max(PART_BYTES, -(-size_bytes // MAX_PARTS))


def send(client: "S3Client", target: Target, path: Path, digest: str, arguments: Mapping[str, Any]) -> str:
    """Upload a file that is read once: what is hashed is what is sent. Returns its SHA-256, which begins with `digest`.

    What fails is taken back; what can't be, because this process or the server ends, is listed as unfinished.

    Raises:
        IntegrityError: the file has another SHA-256. Nothing appeared.
    """
    upload_id = client.create_multipart_upload(**target, ChecksumAlgorithm="SHA256", **arguments)["UploadId"]
    upload, whole = {**target, "UploadId": upload_id}, hashlib.sha256()
    try:
        sent = list(ahead((partial(_send_part, client, upload, *part) for part in _parts(path, whole)), THREADS))
        if not whole.hexdigest().startswith(digest):
            raise IntegrityError(
                f"{path.name}: got SHA-256 {whole.hexdigest()[:16]}…, wanted {digest}… as in the key. It changed; make it again."
            )
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
    except BaseException:
        with suppress(ClientError, *NO_ANSWER):
            client.abort_multipart_upload(**upload)
        raise
    return whole.hexdigest()


def _parts(path: Path, whole: "hashlib._Hash") -> Iterator[tuple[int, bytes]]:
    """Numbered from 1; the whole's hash grows with each."""
    step = part_bytes(path.stat().st_size)
    with path.open("rb") as file:
        for number in count(1):
            data = file.read(step)
            if not data:
                return
            whole.update(data)
            yield number, data


def _send_part(client: "S3Client", upload: Target, number: int, data: bytes) -> "CompletedPartTypeDef":
    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
    sent = client.upload_part(**upload, PartNumber=number, Body=data, ChecksumSHA256=checksum)
    return {"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": checksum}


def receive(client: "S3Client", target: Target, size_bytes: int, etag: str) -> Fill:
    """Fill a file with an object, part by part. The server refuses a part once another object stands there (412)."""

    def fill(file: IO[bytes]) -> Iterator[bytes]:
        starts = range(0, size_bytes, step := part_bytes(size_bytes))
        for start in ahead((partial(_receive_part, client, target, etag, start, step, file) for start in starts), THREADS):
            for offset in range(start, min(start + step, size_bytes), CHUNK_BYTES):
                yield os.pread(file.fileno(), min(CHUNK_BYTES, start + step - offset), offset)

    return fill


def _receive_part(client: "S3Client", target: Target, etag: str, start: int, length: int, file: IO[bytes]) -> int:
    """Write a part where it belongs. botocore tries a request again, but not one whose body breaks off."""
    for left in reversed(range(TRIES)):
        answer = client.get_object(**target, IfMatch=etag, Range=f"bytes={start}-{start + length - 1}")
        try:
            offset = start
            for piece in answer["Body"].iter_chunks(PIECE_BYTES):
                offset += os.pwrite(file.fileno(), piece, offset)
        except NO_ANSWER:
            if not left:
                raise
        else:
            return start
    raise AssertionError("unreachable")
