"""Snapshots: equal rows are one version, other rows a new one, and nothing is visible before it is whole."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from widedeep.data.contract import Delivery
from widedeep.data.tables import canonical, content_digest
from widedeep.errors import DiskFullError, IntegrityError, UsageError
from widedeep.publishing import layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.s3 import S3Store
from widedeep.publishing.snapshots import deliveries, load_rows, save_snapshot, version, versions

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


def deliver(store: MemoryStore, *names: str) -> None:
    for name in names:
        store.create(f"landing/{SPAN}/{name}", b"")


def delivered(store: MemoryStore, **settings: str) -> list[str]:
    return [key.removeprefix(f"landing/{SPAN}/") for key in deliveries(store, Delivery(**settings), SPAN)]


def test_all_files_but_hidden_ones_and_folder_markers_count_as_delivered(store: MemoryStore) -> None:
    deliver(store, "b.csv", "a.PARQUET", "c.csv.gz", "d.jsonl.gz", "notes.txt", "part/f.csv")
    deliver(store, "_g.csv", ".h.csv", "_temporary/i.csv", "", "part/")
    store.create("landing/2026-01-06/other.csv", b"")
    store.create("landing/2026-01-05-old/other.csv", b"")
    assert delivered(store) == ["a.PARQUET", "b.csv", "c.csv.gz", "d.jsonl.gz", "notes.txt", "part/f.csv"]


def test_nothing_is_delivered_before_the_marker_is(store: MemoryStore) -> None:
    deliver(store, "a.csv")
    assert delivered(store, marker="_SUCCESS") == []
    deliver(store, "_SUCCESS")
    assert delivered(store, marker="_SUCCESS") == ["a.csv"]


def test_a_marker_of_any_name_is_no_data(store: MemoryStore) -> None:
    deliver(store, "a.csv", "done")
    assert delivered(store, marker="done") == ["a.csv"]


def test_the_contract_chooses_where_deliveries_arrive(store: MemoryStore) -> None:
    store.create(f"raw/day={SPAN}/a.csv", b"")
    assert deliveries(store, Delivery(prefix="raw/day={span}"), SPAN) == (f"raw/day={SPAN}/a.csv",)
