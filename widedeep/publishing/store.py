"""The object store as the rest of the library sees it: whole objects, immutable unless swapped, no directories, no renames.

Two implementations pass one contract suite (`tests/publishing/test_store_contract.py`): `S3Store` and `MemoryStore`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from widedeep.artifacts import FileRef


@dataclass(frozen=True)
class Blob:
    """An object's bytes and its `etag`: the token that `swap` compares, opaque, with the quotes that S3 puts around it."""

    data: bytes
    etag: str


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

    def upload(self, key: str, path: Path) -> FileRef:
        """Stream a file to a new object. If the key is taken by equal bytes this is a no-op.

        Raises:
            IntegrityError: the key is taken by other bytes; the first stands.
        """
        ...

    def download(self, ref: FileRef, path: Path) -> None:
        """Stream the object `ref.name` to a file, verifying size and SHA-256 before the file appears at `path`.

        Raises:
            IntegrityError: missing, or other bytes than recorded. No file is left behind.
            DiskFullError: no space at `path`. No file is left behind.
        """
        ...
