"""What the doctor asks of the server itself, beside the contract of a store."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from widedeep.publishing.s3.faults import SERVER_FAULT, status
from widedeep.publishing.s3.objects import S3Store

SENT, ANNOUNCED = b"sent", b"announced"


class S3Server:
    """The server behind a store."""

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self._client = store._client

    def time(self) -> datetime | None:
        with self._store._explained("HEAD bucket"):
            try:
                answer: Any = self._client.head_bucket(Bucket=self._store._bucket)
            except ClientError as refusal:  # of a request signed at the wrong time, too
                answer = refusal.response
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(date) if date else None

    def accepted_damage(self, key: str) -> tuple[str, ...]:
        with self._store._explained(f"PUT {key}"):
            return tuple(self._accepted(self._store._at(key)))

    def tells_checksum(self, key: str) -> bool:
        with self._store._explained(f"GET {key}"):
            return "ChecksumSHA256" in self._client.get_object(**self._store._at(key), ChecksumMode="ENABLED")

    def _accepted(self, target: dict[str, Any]) -> Iterator[str]:
        arguments = self._store._options.write_arguments()
        damaged: dict[str, Any] = {"Body": SENT, "ChecksumSHA256": base64.b64encode(hashlib.sha256(ANNOUNCED).digest()).decode()}
        if _taken(lambda: self._client.put_object(**target, **damaged, **arguments)):
            yield "an object"
        upload_id = self._client.create_multipart_upload(**target, ChecksumAlgorithm="SHA256", **arguments)["UploadId"]
        if _taken(lambda: self._client.upload_part(**target, **damaged, UploadId=upload_id, PartNumber=1)):
            yield "a part of an object"
        self._client.abort_multipart_upload(**target, UploadId=upload_id)


def _taken(request: Callable[[], object]) -> bool:
    """A refusal is what is wanted; a server that fails has not refused."""
    try:
        request()
    except ClientError as error:
        if status(error) >= SERVER_FAULT:
            raise
        return False
    return True
