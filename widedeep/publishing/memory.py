"""An object store in this process's memory, for tests: the same answers as S3, at once."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from widedeep.artifacts import FileRef, sha256
from widedeep.errors import StaleError
from widedeep.publishing.store import Blob, Listed, Unfinished
from widedeep.publishing.transfer import check_taken, copied, file_ref, measured, missing, save, save_verified


class MemoryStore:
    """Thread-safe. `objects` is open to tests that tamper with it."""

    url = "memory://store"

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.objects: dict[str, bytes] = {}
        self._modified_at: dict[str, datetime] = {}
        self._clock = clock
        self._made_at = clock()
        self._lock = Lock()

    def get(self, key: str) -> Blob | None:
        data = self.objects.get(key)
        return None if data is None else Blob(data, _etag(data))

    def create(self, key: str, data: bytes) -> bool:
        with self._lock:
            if key in self.objects:
                return False
            self._write(key, data)
            return True

    def swap(self, key: str, data: bytes, expected_etag: str | None) -> str:
        with self._lock:
            current = self.objects.get(key)
            etag = None if current is None else _etag(current)
            if etag != expected_etag:
                raise StaleError(
                    f"{self.url}/{key}: got etag {etag}, wanted {expected_etag}: somebody else was first. Read it again."
                )
            self._write(key, data)
        return _etag(data)

    def keys(self, prefix: str) -> Iterator[str]:
        return (item.key for item in self.listed(prefix))

    def listed(self, prefix: str) -> Iterator[Listed]:
        for key, data in sorted(self.objects.items()):
            if key.startswith(prefix):
                yield Listed(key, len(data), self._modified_at.get(key, self._made_at))

    def delete(self, key: str) -> None:
        with self._lock:
            self.objects.pop(key, None)

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:  # noqa: ARG002
        """None: what is uploaded is there at once."""
        return iter(())

    def abort(self, upload: Unfinished) -> None:
        """There is none."""

    def upload(self, key: str, path: Path) -> FileRef:
        ref = file_ref(key, path)
        if not self.create(key, path.read_bytes()):
            check_taken(self.url, ref, measured(key, [self.objects[key]]))
        return ref

    def fetch(self, key: str, path: Path) -> FileRef | None:
        data = self.objects.get(key)
        return None if data is None else save(key, copied([data]), path)

    def download(self, ref: FileRef, path: Path) -> None:
        data = self.objects.get(ref.name)
        if data is None:
            raise missing(self.url, ref)
        save_verified(self.url, ref, copied([data]), path)

    def _write(self, key: str, data: bytes) -> None:
        self.objects[key] = data
        self._modified_at[key] = self._clock()


def _etag(data: bytes) -> str:
    return f'"{sha256(data)[:32]}"'
