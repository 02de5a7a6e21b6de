"""Large objects in parts, several at a time, with as many in memory as threads and no more. A read's parts are of one object."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from widedeep.publishing.s3.connection import TRIES
from widedeep.publishing.s3.faults import NO_ANSWER
from widedeep.publishing.transfer import HashedFile, ahead

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

LARGE_BYTES = 64 << 20
"""From here on in parts: below, one request is as fast (boto3 itself begins at 8 MiB)."""

PART_BYTES = 8 << 20
"""boto3's own; a part is in memory twice while it is sent or received."""

MAX_PARTS = 10_000
"""S3's own limit."""

THREADS = 4

Target = dict[str, Any]
"""Bucket and Key, as boto3 calls them."""


def part_bytes(size_bytes: int) -> int:
    return max(PART_BYTES, -(-size_bytes // MAX_PARTS))


def send(client: "S3Client", target: Target, path: Path, file: HashedFile, arguments: Mapping[str, Any]) -> None:
    """Upload a file whose parts were hashed before: the server refuses one whose bytes differ from what was hashed.

    What fails is taken back; what can't be, because this process or the server ends, is listed as unfinished.
    """
    upload_id = client.create_multipart_upload(**target, ChecksumAlgorithm="SHA256", **arguments)["UploadId"]
    upload = {**target, "UploadId": upload_id}
    try:
        calls = (partial(_send_part, client, upload, path, file, number) for number in range(1, len(file.parts) + 1))
        parts = list(ahead(calls, THREADS))
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(ClientError, *NO_ANSWER):
            client.abort_multipart_upload(**upload)
        raise


def _send_part(client: "S3Client", upload: Target, path: Path, file: HashedFile, number: int) -> "CompletedPartTypeDef":
    checksum = base64.b64encode(file.parts[number - 1]).decode()
    with path.open("rb") as opened:
        opened.seek((number - 1) * file.part_bytes)
        body = opened.read(file.part_bytes)
    sent = client.upload_part(**upload, PartNumber=number, Body=body, ChecksumSHA256=checksum)
    return {"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": checksum}


def receive(client: "S3Client", target: Target, size_bytes: int, etag: str) -> Iterator[bytes]:
    """The bytes of an object, in order. The server refuses a part once another object stands there (412)."""
    step = part_bytes(size_bytes)
    starts = range(0, size_bytes, step)
    return ahead((partial(_receive_part, client, target, etag, start, start + step - 1) for start in starts), THREADS)


def _receive_part(client: "S3Client", target: Target, etag: str, first: int, last: int) -> bytes:
    """botocore tries a request again, but not one whose body breaks off."""
    for left in reversed(range(TRIES)):
        answer = client.get_object(**target, IfMatch=etag, Range=f"bytes={first}-{last}")
        try:
            return answer["Body"].read()
        except NO_ANSWER:
            if not left:
                raise
    raise AssertionError("unreachable")
