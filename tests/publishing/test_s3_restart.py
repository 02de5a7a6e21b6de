"""kill -9 of the server in the midst of writes: what it acknowledged stands after its restart, and nothing readable is torn."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from widedeep.artifacts import FileRef
from widedeep.errors import StoreUnavailableError
from widedeep.publishing.s3 import S3Store, parts
from widedeep.publishing.transfer import file_ref

DEATHS = 3
PATIENCE_S = 60  # nothing takes a tenth of it on a machine that does nothing else
PART_BYTES = 5 << 20


def content(key: str) -> bytes:
    """What is written under a key, and nothing else ever is."""
    return random.Random(key).randbytes(random.Random(key).choice((1, 1000, 300_000)))


class Writers:
    """Three who write until the server dies, and remember what it acknowledged."""

    def __init__(self, store: S3Store, life: int, file: Path, file_key: str) -> None:
        self.store, self.life, self.file, self.file_key = store, life, file, file_key
        self.created: list[str] = []
        self.sequence, self.tried = 0, 0
        self.uploaded: list[FileRef] = []

    def run(self, kill: Callable[["Writers"], None]) -> None:
        with ThreadPoolExecutor(3) as pool:
            ends = [pool.submit(self._until_it_dies, step) for step in (self._create, self._swap, self._upload)]
            kill(self)
            for end in ends:
                end.result()

    def _until_it_dies(self, step: Callable[[int], None]) -> None:
        try:
            for n in range(100_000):
                step(n)
        except StoreUnavailableError:
            return

    def _create(self, n: int) -> None:
        key = f"made/{self.life}/{n:05}"
        assert self.store.create(key, content(key))
        self.created.append(key)

    def _swap(self, _: int) -> None:
        standing = self.store.get("pointer")
        self.sequence = max(self.sequence, int(standing.data) if standing else 0)
        self.tried = self.sequence + 1
        self.store.swap("pointer", b"%d" % self.tried, standing.etag if standing else None)
        self.sequence = self.tried

    def _upload(self, n: int) -> None:
        self.uploaded.append(self.store.upload(f"files/{self.life}/{n:05}/{self.file_key}", self.file))


def test_what_was_acknowledged_stands_and_nothing_is_torn(
    mortal_weed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", PART_BYTES)
    monkeypatch.setattr(parts, "LARGE_BYTES", PART_BYTES)
    store = S3Store("s3://widedeep/killed", mortal_weed.seaweed.endpoint)
    file = tmp_path / "file"
    file.write_bytes(random.Random(0).randbytes(PART_BYTES + 1))
    key = f"{file_ref('', file).sha256[:16]}.file"
    moments, lives = random.Random(0), []

    def kill_amid(writers: Writers) -> None:
        writes = moments.randint(20, 120)
        until(lambda: len(writers.created) >= writes and writers.sequence)
        time.sleep(moments.uniform(0, 0.2))
        mortal_weed.kill()

    for life in range(DEATHS):
        writers = Writers(store, life, file, key)
        lives.append(writers)
        writers.run(kill_amid)
        mortal_weed.start()
        until(lambda: reads(store))
        _check(store, lives, file, tmp_path)
    assert any(life.uploaded for life in lives)


def until(fits: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not fits():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def reads(store: S3Store) -> bool:
    """Whether it can read: SeaweedFS lists its bucket some seconds before the part that has the bytes is found again."""
    try:
        return store.get("pointer") is not None
    except StoreUnavailableError:
        return False


def _check(store: S3Store, lives: list[Writers], file: Path, folder: Path) -> None:
    last = lives[-1]
    pointer = store.get("pointer")
    assert pointer
    assert int(pointer.data) in {last.sequence, last.tried}
    for key in {key for life in lives for key in life.created} | set(store.keys("made/")):
        blob = store.get(key)
        assert blob, f"{key} was acknowledged and is gone"
        assert blob.data == content(key), f"{key} is torn"
    listed = set(store.keys("files/"))
    assert listed >= {ref.name for life in lives for ref in life.uploaded}
    for key in listed:
        store.download(file_ref(key, file), folder / "received")  # whole, or an IntegrityError
