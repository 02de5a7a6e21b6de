"""Laws of the canonical form and of the content digest."""

import io
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.data.tables import canonical, content_digest, parquet_bytes

TEXT = st.one_of(st.none(), st.sampled_from(["", "a", "b", "ab", ",", "\x00", "é"]))
ROW = st.fixed_dictionaries(
    {
        "text": TEXT,
        "whole": st.one_of(st.none(), st.integers(0, 3)),
        "real": st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, float("nan")])),
        "flag": st.one_of(st.none(), st.booleans()),
        "moment": st.one_of(st.none(), st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)])),
        "bag": st.one_of(st.none(), st.lists(TEXT, max_size=3)),
        "sizes": st.one_of(st.none(), st.lists(st.one_of(st.none(), st.sampled_from([0.5, -0.0])), max_size=2)),
    }
)
SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "whole": pa.int64(),
        "real": pa.float64(),
        "flag": pa.bool_(),
        "moment": pa.timestamp("us", tz="UTC"),
        "bag": pa.list_(pa.string()),
        "sizes": pa.list_(pa.float64()),
    }
)
ROWS = st.lists(ROW, max_size=12)


def _table(rows):
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _same(a, b):
    return a.schema.equals(b.schema, check_metadata=True) and repr(a.to_pylist()) == repr(b.to_pylist())


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_changes_nothing(rows, random):
    shuffled = random.sample(rows, len(rows))
    names = random.sample(SCHEMA.names, len(SCHEMA.names))
    one, other = _table(rows), _table(shuffled).select(names)
    assert _same(canonical(one), canonical(other))
    assert content_digest(one) == content_digest(other)


@given(ROWS, st.integers(0, 12), st.integers(0, 12))
def test_chunks_and_slices_change_nothing(rows, start, cut):
    rows = rows[start:]
    padded = _table([*rows[:1], *rows, *rows[:1]]).slice(min(1, len(rows)), len(rows))
    pieces = pa.concat_tables([padded.slice(0, cut), padded.slice(cut)])
    assert content_digest(pieces) == content_digest(_table(rows))
    assert _same(canonical(pieces), canonical(_table(rows)))


@settings(max_examples=50)
@given(ROWS, st.sampled_from(["none", "zstd"]), st.booleans(), st.integers(1, 5), st.booleans())
def test_parquet_settings_change_nothing(rows, compression, dictionary, group, arrow_schema):
    buffer = io.BytesIO()
    pq.write_table(
        _table(rows), buffer, compression=compression, use_dictionary=dictionary, row_group_size=group, store_schema=arrow_schema
    )
    assert content_digest(pq.read_table(io.BytesIO(buffer.getvalue()))) == content_digest(_table(rows))


@given(ROWS)
def test_the_canonical_form_of_a_canonical_table_is_itself(rows):
    once = canonical(_table(rows))
    assert _same(canonical(once), once)
    assert all(column.num_chunks <= 1 for column in once.columns)


@given(ROWS, ROWS)
def test_other_rows_have_another_digest(rows, others):
    as_rows = [sorted(map(repr, canonical(_table(x)).to_pylist())) for x in (rows, others)]
    assert (content_digest(_table(rows)) == content_digest(_table(others))) == (as_rows[0] == as_rows[1])


@pytest.mark.parametrize(
    "layout",
    [
        pa.array(["x", "y", None]).dictionary_encode(),
        pa.array(["x", "y", None], pa.large_string()),
        pa.array(["x", "y", None], pa.string_view()),
        pa.chunked_array([pa.array(["x"]).dictionary_encode(), pa.array(["y", None]).dictionary_encode()]),
    ],
    ids=lambda layout: str(layout.type),
)
def test_the_layout_of_text_changes_nothing(layout):
    assert content_digest(pa.table({"c": layout})) == content_digest(pa.table({"c": ["x", "y", None]}))


@pytest.mark.parametrize(
    "kind", [pa.large_list(pa.string()), pa.list_view(pa.string()), pa.list_(pa.field("element", pa.string()))], ids=str
)
def test_the_layout_of_lists_changes_nothing(kind):
    lists = [["x", None], None, []]
    assert content_digest(pa.table({"c": pa.array(lists, kind)})) == content_digest(pa.table({"c": lists}))


def test_timestamps_are_microseconds_utc_and_naive_ones_are_taken_as_utc():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    tokyo = noon.astimezone(timezone(timedelta(hours=9)))
    forms = [
        pa.array([noon.replace(tzinfo=None)], pa.timestamp("s")),
        pa.array([noon.replace(tzinfo=None)], pa.timestamp("ns")),
        pa.array([tokyo], pa.timestamp("ms", tz="Asia/Tokyo")),
    ]
    tables = [canonical(pa.table({"t": form})) for form in forms]
    assert {str(t.schema.field("t").type) for t in tables} == {"timestamp[us, tz=UTC]"}
    assert {t["t"][0].as_py() for t in tables} == {noon}


def test_schema_metadata_is_left_out():
    assert canonical(pa.table({"a": [1]}).replace_schema_metadata({"k": "v"})).schema.metadata is None


def test_a_digest_holds_for_good():
    """Snapshots are found by digest: if this fails, the canonical form has changed and stored snapshots are orphaned."""
    table = pa.table({"n": [2, 1, None], "t": ["b", "a", None], "l": [["x"], [], None], "f": [0.5, None, -0.0]})
    assert content_digest(table) == "d6c126950636f9245aad98430b390914d4a2032f6e7d8a8b361e751b284d5e89"


@given(ROWS)
def test_equal_tables_give_equal_parquet_bytes(rows):
    table = canonical(_table(rows))
    assert parquet_bytes(table) == parquet_bytes(canonical(table))
    assert _same(canonical(pq.read_table(io.BytesIO(parquet_bytes(table)))), table)


def test_a_struct_is_refused_by_name_of_its_type():
    with pytest.raises(TypeError, match=r"struct<.*wanted scalars or lists of scalars"):
        canonical(pa.table({"s": [{"a": 1}]}))


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(ValueError, match="each name once"):
        canonical(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
