"""A part read group by group is the part."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.data import rows as rows_module
from widedeep.data.rows import RowsInFile, RowsInMemory, chunks, rows_of, take


@pytest.fixture
def in_groups_of_ten(monkeypatch):
    monkeypatch.setattr(rows_module, "GROUP_ROWS", 10)


def table(count):
    return pa.table({"a": list(range(count)), "b": [f"{i}" for i in range(count)]})


def in_file(tmp_path, count, kept):
    path = tmp_path / "rows.parquet"
    pq.write_table(table(count), path, row_group_size=10)
    return RowsInFile(path, np.array(kept, bool))


@pytest.mark.parametrize("count", [0, 1, 10, 34])
def test_the_groups_of_a_table_are_the_table(in_groups_of_ten, count):
    rows = rows_of(table(count))
    assert isinstance(rows, RowsInMemory)
    assert pa.concat_tables(chunks(rows)).equals(table(count))
    assert rows.starts.tolist() == [*sorted({*range(0, count, 10), 0}), count]


def test_the_groups_of_a_file_are_its_kept_rows_in_order(tmp_path, in_groups_of_ten):
    kept = [i % 3 != 0 and not 10 <= i < 20 for i in range(34)]
    rows = in_file(tmp_path, 34, kept)
    wanted = table(34).filter(pa.array(kept))
    assert pa.concat_tables(chunks(rows)).equals(wanted)
    assert rows.num_rows == wanted.num_rows
    assert [rows.group(g).num_rows for g in range(4)] == np.diff(rows.starts).tolist() == [6, 0, 7, 2]
    assert pa.concat_tables(chunks(rows, ["b"])).equals(wanted.select(["b"]))
    assert rows.schema.names == ["a", "b"]


def test_a_file_without_rows_has_a_schema_and_nothing_to_take(tmp_path):
    empty = tmp_path / "none.parquet"
    pq.ParquetWriter(empty, table(0).schema).close()
    assert pq.read_metadata(empty).num_row_groups == 0
    assert [t.num_rows for t in chunks(RowsInFile(empty, np.zeros(0, bool)), ["a"])] == [0]
    rows = in_file(tmp_path, 0, [])
    assert (rows.num_rows, take(rows, []).schema) == (0, table(0).schema)


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.data())
@settings(max_examples=40, deadline=None)
def test_rows_are_taken_by_their_place_in_the_part(tmp_path_factory, kept, data):
    rows = in_file(tmp_path_factory.mktemp("rows"), len(kept), kept)
    wanted = table(len(kept)).filter(pa.array(kept))
    positions = sorted(data.draw(st.sets(st.integers(0, rows.num_rows - 1)))) if rows.num_rows else []
    assert take(rows, positions).equals(wanted.take(pa.array(positions, pa.int64())))


def test_shuffled_chunks_hold_groups_from_all_over_and_every_row_once(in_groups_of_ten):
    rows = RowsInMemory(table(400))
    found = [t["a"].to_pylist() for t in chunks(rows, shuffle=3)]
    assert sorted(row for chunk in found for row in chunk) == list(range(400))
    assert [len(chunk) for chunk in found] == [80, 80, 80, 80, 80]
    assert all(chunk == sorted(chunk) and max(chunk) - min(chunk) > 200 for chunk in found)
    assert found == [t["a"].to_pylist() for t in chunks(rows, shuffle=3)]
    assert found != [t["a"].to_pylist() for t in chunks(rows, shuffle=4)]


def test_a_part_of_one_chunk_keeps_its_order_whatever_the_seed(in_groups_of_ten):
    (chunk,) = chunks(RowsInMemory(table(75)), shuffle=5)
    assert chunk.equals(table(75))


@pytest.mark.parametrize("written", [3, 7, 10, 25, 100])
def test_groups_do_not_depend_on_how_the_file_was_written(tmp_path, in_groups_of_ten, written):
    path, kept = tmp_path / "rows.parquet", np.arange(57) % 4 != 1
    pq.write_table(table(57), path, row_group_size=written)
    rows = RowsInFile(path, kept)
    wanted = table(57).filter(pa.array(kept))
    groups = [rows.group(g) for g in range(6)]
    assert [t.num_rows for t in groups] == np.diff(rows.starts).tolist()
    assert pa.concat_tables(groups).equals(wanted)
    assert groups[2]["a"].to_pylist() == [a for a in range(20, 30) if a % 4 != 1]


def test_a_column_that_came_after_the_file_is_null_in_its_rows(tmp_path, in_groups_of_ten):
    optional = pa.schema({"b": pa.string(), "an": pa.float64()})
    rows = RowsInFile(in_file(tmp_path, 34, [True] * 34).path, np.arange(34) % 3 != 0, optional)
    wanted = table(34).add_column(1, "an", pa.nulls(34, pa.float64())).filter(pa.array(rows.kept))
    assert pa.concat_tables(chunks(rows)).equals(wanted)
    assert rows.schema.equals(wanted.schema)
    for names in (["an"], ["a", "an"], ["a"]):
        assert pa.concat_tables(chunks(rows, names)).equals(wanted.select(names))
    nothing = RowsInFile(rows.path, np.zeros(34, bool), optional)
    assert nothing.group(0, ["an"]).schema == pa.schema({"an": pa.float64()})
