"""Snapshots: equal rows are one version, other rows a new one, and nothing is visible before it is whole."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from widedeep.data.tables import canonical, content_digest
from widedeep.errors import DiskFullError, IntegrityError, UsageError
from widedeep.publishing import layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.s3 import S3Store
from widedeep.publishing.snapshots import load_rows, save_snapshot, version, versions

SPAN = date(2026, 1, 5)
ROWS = pa.table({"user": ["b", "a", "a"], "tags": [["x"], None, ["y", "z"]], "n": [1, 2, 3]})
OTHER = ROWS.slice(0, 2)


def test_the_rows_of_a_snapshot_come_back_in_canonical_form(s3_store: S3Store, tmp_path: Path) -> None:
    snapshot = save_snapshot(s3_store, SPAN, ROWS, tmp_path)
    assert load_rows(s3_store, snapshot, tmp_path).equals(canonical(ROWS))
    assert (snapshot.version, snapshot.rows, snapshot.digest) == (1, 3, content_digest(ROWS))
    assert version(s3_store, SPAN, 1) == snapshot
    assert not list(tmp_path.iterdir())


def test_equal_rows_are_the_version_that_is_there(store: MemoryStore, tmp_path: Path) -> None:
    first = save_snapshot(store, SPAN, ROWS, tmp_path)
    objects = dict(store.objects)
    assert save_snapshot(store, SPAN, ROWS.take([2, 0, 1]).select(["n", "user", "tags"]), tmp_path) == first
    assert store.objects == objects


def test_equal_rows_give_equal_bytes_in_any_store(tmp_path: Path) -> None:
    stores = MemoryStore(), MemoryStore()
    for store in stores:
        save_snapshot(store, SPAN, ROWS, tmp_path)
    assert stores[0].objects == stores[1].objects


def test_other_rows_are_the_next_version_and_the_first_rows_stay_the_first(store: MemoryStore, tmp_path: Path) -> None:
    saved = [save_snapshot(store, SPAN, rows, tmp_path) for rows in (ROWS, OTHER, ROWS)]
    assert [s.version for s in saved] == [1, 2, 1]
    assert versions(store, SPAN) == (saved[0], saved[1])


def test_versions_are_ordered_by_number_beyond_nine(store: MemoryStore, tmp_path: Path) -> None:
    for n in range(11):
        save_snapshot(store, SPAN, pa.table({"n": [n]}), tmp_path)
    assert [s.version for s in versions(store, SPAN)] == list(range(1, 12))


def test_racing_writers_of_equal_rows_agree_on_one_version_and_others_get_their_own(store: MemoryStore, tmp_path: Path) -> None:
    tables = [ROWS, OTHER] * 5
    folders = [tmp_path / str(i) for i in range(len(tables))]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(len(tables)) as pool:
        saved = list(pool.map(lambda table, folder: save_snapshot(store, SPAN, table, folder), tables, folders))
    assert len({s.to_bytes() for s in saved}) == 2
    assert [s.version for s in versions(store, SPAN)] == [1, 2]


def test_rows_that_were_pruned_come_back_under_their_name(store: MemoryStore, tmp_path: Path) -> None:
    first = save_snapshot(store, SPAN, ROWS, tmp_path)
    store.delete(first.file.name)
    assert save_snapshot(store, SPAN, ROWS, tmp_path) == first
    assert load_rows(store, first, tmp_path).num_rows == 3


def test_pruned_rows_that_another_pyarrow_writes_otherwise_come_back_as_a_version_of_equal_digest(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save_snapshot(store, SPAN, ROWS, tmp_path)
    write = pq.write_table
    monkeypatch.setattr(pq, "write_table", lambda rows, path, **told: write(rows, path, **told | {"compression": "gzip"}))
    assert save_snapshot(store, SPAN, ROWS, tmp_path) == first
    store.delete(first.file.name)
    again = save_snapshot(store, SPAN, ROWS, tmp_path)
    assert (again.version, again.digest) == (2, first.digest)
    assert save_snapshot(store, SPAN, ROWS, tmp_path) == again
    assert load_rows(store, again, tmp_path).num_rows == 3


def test_rows_that_are_pruned_before_the_version_names_them_are_uploaded_again(tmp_path: Path) -> None:
    class Pruned(MemoryStore):
        def create(self, key: str, data: bytes) -> bool:
            if key == layout.version(SPAN, 1):
                for rows in list(self.keys(layout.SNAPSHOTS)):
                    self.delete(rows)
            return super().create(key, data)

    store = Pruned()
    assert load_rows(store, save_snapshot(store, SPAN, ROWS, tmp_path), tmp_path).num_rows == 3


def test_an_unknown_version_says_where_versions_stand(store: MemoryStore) -> None:
    with pytest.raises(UsageError, match="no version 3"):
        version(store, SPAN, 3)


def test_tampered_rows_are_refused(store: MemoryStore, tmp_path: Path) -> None:
    snapshot = save_snapshot(store, SPAN, ROWS, tmp_path)
    other = save_snapshot(store, SPAN, OTHER, tmp_path)
    store.objects[snapshot.file.name] = store.objects[other.file.name]
    with pytest.raises(IntegrityError):
        load_rows(store, snapshot, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_while_a_snapshot_is_written_leaves_nothing_anywhere(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / f"{SPAN}.rows.parquet").symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match="nothing was published"):
        save_snapshot(store, SPAN, ROWS, tmp_path)
    assert not store.objects
    assert not list(tmp_path.iterdir())
