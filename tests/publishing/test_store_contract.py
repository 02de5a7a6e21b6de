"""One contract for both stores. `S3Store` keeps it on a real SeaweedFS server."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import pytest
from botocore.exceptions import ClientError

from widedeep.artifacts import FileRef, sha256
from widedeep.errors import DiskFullError, IntegrityError, StaleError
from widedeep.publishing import transfer
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.s3 import S3Store
from widedeep.publishing.store import ObjectStore

T = TypeVar("T")
RIVALS, ROUNDS = 10, 2


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("s3_store")


def race(attempt: Callable[[int], T]) -> list[T]:
    """Run `attempt(0)` to `attempt(9)` at the same moment."""
    start = Barrier(RIVALS)

    def run(rival: int) -> T:
        start.wait()
        return attempt(rival)

    with ThreadPoolExecutor(RIVALS) as pool:
        return list(pool.map(run, range(RIVALS)))


def overwrite(store: ObjectStore, key: str, data: bytes) -> None:
    """What only somebody outside the library would do."""
    if isinstance(store, MemoryStore):
        store.objects[key] = data
    else:
        store._client.put_object(Bucket=store._bucket, Key=store._prefix + key, Body=data)


def test_what_is_created_is_read_back(store: ObjectStore) -> None:
    for data in (b"", b"one", bytes(range(256)) * 9000):
        key = f"made/{len(data)}"
        assert store.create(key, data)
        blob = store.get(key)
        assert blob is not None
        assert blob.data == data


def test_an_object_that_is_not_there_is_none(store: ObjectStore) -> None:
    assert store.get("nothing/here") is None


def test_the_first_creation_stands(store: ObjectStore) -> None:
    assert store.create("a", b"first")
    assert not store.create("a", b"second")
    assert not store.create("a", b"first")
    assert store.get("a").data == b"first"


def test_of_ten_racing_creations_exactly_one_wins_and_its_bytes_stand(store: ObjectStore) -> None:
    for round_number in range(ROUNDS):
        key = f"race/{round_number}"
        won = race(lambda rival, key=key: store.create(key, b"%d" % rival))
        assert sum(won) == 1
        assert store.get(key).data == b"%d" % won.index(True)


def test_a_swap_returns_the_etag_that_the_next_one_needs(store: ObjectStore) -> None:
    etag = store.swap("pointer", b"1", None)
    assert store.get("pointer").etag == etag
    etag = store.swap("pointer", b"2", etag)
    store.swap("pointer", b"3", etag)
    assert store.get("pointer").data == b"3"


def test_a_swap_on_an_old_etag_or_on_none_is_stale_and_changes_nothing(store: ObjectStore) -> None:
    old = store.swap("pointer", b"1", None)
    store.swap("pointer", b"2", old)
    for expected in (old, None):
        with pytest.raises(StaleError, match="pointer"):
            store.swap("pointer", b"3", expected)
    assert store.get("pointer").data == b"2"


def test_a_swap_that_expects_an_object_where_none_is_is_stale(store: ObjectStore) -> None:
    etag = store.swap("elsewhere", b"1", None)
    with pytest.raises(StaleError):
        store.swap("pointer", b"1", etag)
    assert store.get("pointer") is None


@pytest.mark.parametrize("there_before", [True, False])
def test_of_ten_racing_swaps_exactly_one_wins_and_its_bytes_stand(store: ObjectStore, there_before: bool) -> None:
    for round_number in range(ROUNDS):
        key = f"race/{round_number}"
        etag = store.swap(key, b"before", None) if there_before else None

        def attempt(rival: int, key: str = key, etag: str | None = etag) -> bool:
            try:
                return bool(store.swap(key, b"%d" % rival, etag))
            except StaleError:
                return False

        won = race(attempt)
        assert sum(won) == 1
        assert store.get(key).data == b"%d" % won.index(True)


def test_of_ten_racing_processes_exactly_one_wins_and_its_bytes_stand(s3_store: S3Store, s3_endpoint: str) -> None:
    etag = s3_store.swap("pointer", b"before", None)
    command = [sys.executable, str(Path(__file__).with_name("rival.py")), s3_store.url, s3_endpoint]
    rivals = [
        subprocess.Popen([*command, f"{rival}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        for rival in range(RIVALS)
    ]
    try:
        assert [rival.stdout.readline().strip() for rival in rivals] == ["ready"] * RIVALS
        for order in ("create made/once", f"swap pointer {etag}"):
            for rival in rivals:
                rival.stdin.write(f"{order}\n")
            won = [rival.stdout.readline().strip() for rival in rivals]
            assert sorted(won) == ["0"] * (RIVALS - 1) + ["1"]
            assert s3_store.get(order.split()[1]).data == b"%d" % won.index("1")
    finally:
        for rival in rivals:
            rival.kill()
            rival.communicate()


def test_keys_are_those_below_a_prefix_in_lexicographic_order(store: ObjectStore) -> None:
    made = ["a/b", "a-x", "a/b-c", "a/10", "a/9", "a.z", "b"]
    for key in made:
        store.create(key, b"")
    assert list(store.keys("")) == sorted(made)
    assert list(store.keys("a/")) == ["a/10", "a/9", "a/b", "a/b-c"]
    assert list(store.keys("c")) == []


def test_more_keys_than_fit_into_one_answer_are_all_listed(store: ObjectStore) -> None:
    made = [f"many/{i:04}" for i in range(1010)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.create(key, b""), made))
    assert list(store.keys("many/")) == made


def test_a_listing_tells_size_and_time_of_what_stands_below_a_prefix(store: ObjectStore) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    store.create("a/2", b"12")
    store.swap("a/1", b"1", None)
    store.create("b", b"")
    found = list(store.listed("a/"))
    assert [(item.key, item.size_bytes) for item in found] == [("a/1", 1), ("a/2", 2)]
    assert all(before < item.modified_at < before + timedelta(minutes=2) for item in found)


def test_a_swap_renews_the_time_of_an_object() -> None:
    times = iter(datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
    store = MemoryStore(clock=lambda: next(times))
    etag = store.swap("pointer", b"1", None)
    store.swap("pointer", b"2", etag)
    assert [item.modified_at.day for item in store.listed("")] == [3]


def test_a_deleted_object_is_gone_and_deleting_it_again_changes_nothing(store: ObjectStore) -> None:
    store.create("a/b", b"1")
    store.create("a/c", b"2")
    for _ in range(2):
        store.delete("a/b")
        assert store.get("a/b") is None
        assert list(store.keys("")) == ["a/c"]
    assert store.create("a/b", b"anew")


def test_a_swap_on_an_object_that_was_deleted_meanwhile_is_stale(store: ObjectStore) -> None:
    etag = store.swap("pointer", b"1", None)
    store.delete("pointer")
    with pytest.raises(StaleError):
        store.swap("pointer", b"2", etag)
    assert store.get("pointer") is None


def test_a_file_goes_up_and_comes_down_the_same(store: ObjectStore, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    (tmp_path / "up").write_bytes(data)
    ref = store.upload("file", tmp_path / "up")
    assert ref == FileRef(name="file", size_bytes=len(data), sha256=sha256(data))
    store.download(ref, tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == data
    assert store.fetch("file", tmp_path / "fetched") == ref
    assert (tmp_path / "fetched").read_bytes() == data


def test_an_object_that_nobody_measured_is_fetched_with_its_size_and_digest(store: ObjectStore, tmp_path: Path) -> None:
    for data in (b"", b"one"):
        assert store.create(f"of {len(data)}", data)
        ref = store.fetch(f"of {len(data)}", tmp_path / "down")
        assert ref == FileRef(name=f"of {len(data)}", size_bytes=len(data), sha256=sha256(data))
        assert (tmp_path / "down").read_bytes() == data


def test_an_object_that_is_not_there_leaves_no_file(store: ObjectStore, tmp_path: Path) -> None:
    assert store.fetch("gone", tmp_path / "down") is None
    assert not list(tmp_path.iterdir())


def test_uploading_the_same_again_changes_nothing_and_other_bytes_are_refused(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    assert store.upload("file", path) == store.upload("file", path)
    path.write_bytes(b"other")
    with pytest.raises(IntegrityError, match="The first stands"):
        store.upload("file", path)
    assert store.get("file").data == b"first"


@pytest.mark.parametrize("tampered", [b"othe", b"other bytes", b""])
def test_a_tampered_object_is_refused_and_leaves_no_file(store: ObjectStore, tmp_path: Path, tampered: bytes) -> None:
    (tmp_path / "up").write_bytes(b"true")
    ref = store.upload("file", tmp_path / "up")
    overwrite(store, "file", tampered)
    with pytest.raises(IntegrityError, match="wanted 4 bytes"):
        store.download(ref, tmp_path / "down")
    assert [path.name for path in tmp_path.iterdir()] == ["up"]


def test_a_missing_object_can_not_be_downloaded(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="missing"):
        store.download(FileRef(name="gone", size_bytes=1, sha256="0" * 64), tmp_path / "down")
    assert not list(tmp_path.iterdir())


def test_a_failed_download_leaves_the_file_of_an_earlier_one_alone(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"true")
    ref = store.upload("file", tmp_path / "file")
    overwrite(store, "file", b"fake")
    with pytest.raises(IntegrityError):
        store.download(ref, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"true"


def test_a_full_disk_is_told_and_leaves_no_file(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "up").write_bytes(b"true")
    ref = store.upload("file", tmp_path / "up")
    monkeypatch.setattr(transfer, "NamedTemporaryFile", full_disk)
    for load in (partial(store.download, ref), partial(store.fetch, "file")):
        with pytest.raises(DiskFullError, match="Free some space"):
            load(tmp_path / "down")
    assert [path.name for path in tmp_path.iterdir()] == ["up"]


def full_disk(**options: object) -> object:
    """A temporary file whose writes reach a device that has no space: the kernel's own ENOSPC."""
    path = Path(str(options["dir"]), ".widedeep-full")
    path.symlink_to("/dev/full")
    return path.open("wb")


def test_the_server_refuses_a_body_that_was_damaged_on_its_way(s3_store: S3Store) -> None:
    with pytest.raises(ClientError):
        s3_store._client.put_object(
            Bucket=s3_store._bucket, Key="damaged", Body=b"got", ChecksumSHA256="47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        )
