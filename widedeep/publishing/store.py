"""The object store as the rest of the library sees it: whole objects, immutable unless swapped, no directories, no renames.

Two implementations pass one contract suite (`tests/publishing/test_store_contract.py`): `S3Store` and `MemoryStore`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from widedeep.artifacts import FileRef


@dataclass(frozen=True)
class Blob:
    """An object's bytes and its `etag`: the token that `swap` compares, opaque, with the quotes that S3 puts around it."""

    data: bytes
    etag: str


@dataclass(frozen=True)
class Listed:
    """An object as a listing tells of it. `modified_at` (UTC) is the store's own clock."""

    key: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class Unfinished:
    """An upload in parts that nobody completed: no reader sees it, but its parts take space."""

    key: str
    upload_id: str
    started_at: datetime
    size_bytes: int


class ObjectStore(Protocol):
    """Every method raises StoreAccessError (refused), StoreUnavailableError (no answer) and names the store, never a secret."""

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`, for messages."""
        ...

    def get(self, key: str) -> Blob | None:
        """The whole object, or None if there is none."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write a new object. False, and nothing written, if the key is taken (`If-None-Match: *`).

        True after an answer that got lost means "these bytes stand there": ours, or a rival's equal ones.
        """
        ...

    def swap(self, key: str, data: bytes, expected_etag: str | None) -> str:
        """Replace an object if its etag is still the expected one (None: if there is no object). Returns the new etag.

        Raises:
            StaleError: somebody else was first; the object is untouched.
        """
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that start with a prefix, in lexicographic order."""
        ...

    def listed(self, prefix: str) -> Iterator[Listed]:
        """The same with sizes and times."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; no matter if there is none. Only what nothing refers to may go: readers are not asked."""
        ...

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Uploads below a prefix that are under way, or that somebody's crash left behind."""
        ...

    def abort(self, upload: Unfinished) -> None:
        """Free what an unfinished upload takes; no matter if it is gone. If it was still under way, it fails."""
        ...

    def upload(self, key: str, path: Path) -> FileRef:
        """Stream a file to a new object. If the key is taken by equal bytes this is a no-op.

        Two writers of one key at once get one result: a large file, which goes up in parts, does so only if its key carries its
        digest, so that rivals have equal bytes.

        Raises:
            IntegrityError: the key is taken by other bytes; the first stands.
        """
        ...

    def fetch(self, key: str, path: Path) -> FileRef | None:
        """Stream an object to a file and tell its size and digest, for what nobody recorded: a delivery. None if there is none.

        Raises:
            DiskFullError: no space at `path`. No file is left behind.
        """
        ...

    def download(self, ref: FileRef, path: Path) -> None:
        """Stream the object `ref.name` to a file, verifying size and SHA-256 before the file appears at `path`.

        Raises:
            IntegrityError: missing, or other bytes than recorded. No file is left behind.
            DiskFullError: no space at `path`. No file is left behind.
        """
        ...
