"""What is delivered becomes a table, or a finding that names the file and its damage."""

import gzip
import io
import json
import re
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv

from tests.contracts.shop import shop_span
from widedeep.data import decoding
from widedeep.data.contract import load_contract
from widedeep.data.sources import Unreadable, conform, read_delivery
from widedeep.data.tables import content_digest, parquet_bytes

SPAN = date(2026, 1, 1)
SHOP = shop_span(SPAN, rows=60)


@pytest.fixture(scope="module")
def contract(request):
    return load_contract(request.config.rootpath / "tests/contracts/shop.yaml")


def _csv(table):
    sink = io.BytesIO()
    csv.write_csv(table, sink)
    return sink.getvalue()


def _json_lines(table):
    return "\n".join(json.dumps(row, default=datetime.isoformat) for row in table.to_pylist()).encode()


FORMS = {
    "a.parquet": parquet_bytes(SHOP),
    "a.csv": _csv(SHOP),
    "a.csv.gz": gzip.compress(_csv(SHOP)),
    "a.jsonl": _json_lines(SHOP),
    "A.JSONL.GZ": gzip.compress(_json_lines(SHOP)),
}


def _damage(*files, **limits):
    answer = read_delivery(files, **limits)
    assert isinstance(answer, Unreadable)
    assert all(finding.severity == "critical" for finding in answer.findings)
    return " / ".join(finding.message for finding in answer.findings)


@pytest.mark.parametrize("name", FORMS)
def test_every_format_gives_the_same_rows(contract, name):
    table = read_delivery([(name, FORMS[name])])
    assert content_digest(conform(table, contract)) == content_digest(SHOP)


def test_a_delivery_may_lie_on_disk_and_in_several_files(contract, tmp_path):
    (tmp_path / "one").write_bytes(parquet_bytes(SHOP.slice(0, 20)))
    table = read_delivery([("one.parquet", tmp_path / "one"), ("two.parquet", parquet_bytes(SHOP.slice(20)))])
    assert content_digest(conform(table, contract)) == content_digest(SHOP)


def test_a_column_that_only_some_files_have_is_null_in_the_others():
    table = read_delivery([("a.parquet", FORMS["a.parquet"]), ("b.parquet", parquet_bytes(SHOP.drop_columns("country")))])
    assert table["country"].null_count == 60


@pytest.mark.parametrize("name", ["a.parquet", "a.csv.gz", "A.JSONL.GZ"])
@pytest.mark.parametrize("kept", [0, 1, 10, 200, -9, -1])
def test_a_truncated_file_is_named(name, kept):
    assert f"file {name}: " in _damage((name, FORMS[name][:kept]))


@settings(max_examples=150)
@given(st.data())
def test_flipped_bytes_never_crash_a_run(data):
    name = data.draw(st.sampled_from(sorted(FORMS)))
    content = bytearray(FORMS[name])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] ^= data.draw(st.integers(1, 255))
    answer = read_delivery([(name, bytes(content))], max_decoded_bytes=2**24)
    assert isinstance(answer, pa.Table | Unreadable)


def test_all_damaged_files_are_named_together():
    damage = _damage(("a.parquet", b"PAR1"), ("b.csv", b""), ("c.parquet", FORMS["a.parquet"]), ("d.xls", b"x"))
    assert all(name in damage for name in ("a.parquet", "b.csv", "d.xls: unknown kind of file; readable are .parquet, .csv,"))
    assert "c.parquet" not in damage


def test_an_empty_delivery_is_a_finding():
    assert "wanted at least one file" in _damage()


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused():
    bomb = gzip.compress(b"a\n" + b"0\n" * 1_000_000)
    assert len(bomb) < 10_000
    assert "unpacks to too much, wanted at most 100,000 bytes in all files" in _damage(
        ("a.csv.gz", bomb), max_decoded_bytes=100_000
    )


def test_a_parquet_file_that_claims_too_much_is_refused_before_it_is_read():
    big = parquet_bytes(pa.table({"a": pa.array([0] * 1_000_000, pa.int64()), "b": pa.array(range(1_000_000), pa.int64())}))
    assert "wanted at most 100,000" in _damage(("a.parquet", big), max_decoded_bytes=100_000)


def test_a_column_that_is_there_twice_is_named():
    assert "column 'a' is there twice" in _damage(("a.csv", b"a,a\n1,2\n"))


def test_nested_columns_are_named():
    assert "column 's' has type struct" in _damage(("a.jsonl", b'{"s": {"x": 1}}'))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
        pa.array([[(1, 2, 3)], None], pa.list_(pa.month_day_nano_interval())),
        pa.array([1, None], pa.decimal32(5, 2)),
        pa.array([[b"x"], None]),
        pa.array([{"x": 1}, None]),
    ],
    ids=lambda column: str(column.type),
)
def test_a_type_that_no_snapshot_holds_is_named(column, monkeypatch):
    for rows in (0, 2):
        odd = pa.table({"a": [1, 2], "odd": column}).slice(0, rows)
        monkeypatch.setattr(decoding, "_parquet", lambda *_, odd=odd: (odd.schema, odd.to_batches()))
        assert f"column 'odd' has type {column.type}, wanted text, numbers" in _damage(("a.parquet", b""))


def test_files_that_do_not_go_together_are_named():
    one, two = (parquet_bytes(pa.table({"a": values})) for values in ([1], [["x"]]))
    damage = _damage(("a.parquet", one), ("b.parquet", two))
    assert damage == (
        "column 'a': int64 in file a.parquet, list<item: string> in file b.parquet; wanted types that go together in each"
    )


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_csv_file_with_another_delimiter_is_told_so(mark):
    assert f"file a.csv: its first line has no comma, but {mark!r}" in _damage(("a.csv", f"a{mark}b\n1{mark}2\n".encode()))
    assert read_delivery([("a.csv", f"a{mark}b,c\n1,2\n".encode())]).column_names == [f"a{mark}b", "c"]


def test_codes_in_csv_keep_their_leading_zeros():
    assert read_delivery([("a.csv", b"zip\n01234\n")])["zip"].to_pylist() == ["01234"]


def test_an_empty_csv_field_is_null_and_a_quoted_one_is_not():
    assert read_delivery([("a.csv", b'a,b\n,""\n')]).to_pylist() == [{"a": None, "b": ""}]


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("customer", pa.array([7, None]), ["7", None]),
        ("customer", pa.array(["7", "8"]).dictionary_encode(), ["7", "8"]),
        ("visits", pa.array([7, 8], pa.int16()), [7, 8]),
        ("visits", pa.array([7.0, None]), [7, None]),
        ("visits", pa.array(["7", None]), [7, None]),
        ("price", pa.array([7, 8]), [7.0, 8.0]),
        ("price", pa.array(["7.5", "-1e3"]), [7.5, -1000.0]),
        ("price", pa.array([7.5, float("nan")]), [7.5, None]),
        ("clicked", pa.array([1, 0]), [True, False]),
        ("clicked", pa.array(["true", "false"]), [True, False]),
        ("seen_at", pa.array(["2026-01-01 12:00:00", None]), [NOON, None]),
        ("seen_at", pa.array(["2026-01-01T13:00:00+01:00", None]), [NOON, None]),
        ("seen_at", pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")), [NOON]),
        ("visits", pa.nulls(2), [None, None]),
    ],
)
def test_a_column_takes_its_contracts_type_if_nothing_is_lost(contract, name, given, kept):
    column = conform(pa.table({name: given}), contract)[name]
    assert column.to_pylist() == kept
    assert column.type == SHOP.schema.field(name).type


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("customer", pa.array([1.5])),
        ("visits", pa.array([7.5])),
        ("visits", pa.array(["seven"])),
        ("visits", pa.array([NOON])),
        ("price", pa.array(["cheap"])),
        ("clicked", pa.array([2])),
        ("clicked", pa.array([0.5])),
        ("seen_at", pa.array([1_767_268_800])),
        ("seen_at", pa.array(["noon"])),
        ("country", pa.array([["DE"]])),
    ],
)
def test_a_column_stays_as_it_came_if_its_contracts_type_would_lose_something(contract, name, given):
    column = conform(pa.table({name: given}), contract)[name]
    assert column.to_pylist() == given.to_pylist()


def test_a_list_in_csv_is_a_json_array(contract):
    listed = contract.model_copy(update={"columns": {"tags": contract.columns["country"].model_copy(update={"type": "list"})}})
    table = read_delivery([("a.csv", b'tags\n"[""x"", ""y""]"\n[]\n')])
    assert conform(table, listed)["tags"].to_pylist() == [["x", "y"], []]
    assert conform(pa.table({"tags": [[1, 2]]}), listed)["tags"].to_pylist() == [["1", "2"]]


def test_columns_that_the_contract_does_not_know_stay(contract):
    assert conform(pa.table({"extra": [1]}), contract).to_pylist() == [{"extra": 1}]


@pytest.mark.parametrize("name", ["a\nb.csv", "\udcff.csv", "\u202efdp.csv", "../../etc/passwd\x1b[2J", "/etc/passwd\r"])
def test_an_odd_name_is_told_in_a_line_that_any_log_and_any_store_can_hold(name):
    damage = _damage((name, b""))
    assert damage.isprintable()
    assert damage.encode()


def test_what_a_decoder_quotes_of_a_file_can_not_break_a_line_of_a_log():
    assert _damage(("a.csv", b"a,b\n1,2\n\x1b[2J\x0b,2,3\n")).isprintable()


def test_a_file_with_other_rows_than_the_manifest_says_is_named_with_both_numbers(contract):
    types = {name: column.type for name, column in contract.columns.items()}
    files = [("a.parquet", FORMS["a.parquet"]), ("b.csv", FORMS["a.csv"])]
    assert read_delivery(files, rows={"a.parquet": 60, "b.csv": 60}, types=types).num_rows == 120
    answer = read_delivery(files, rows={"a.parquet": 60, "b.csv": 1_061}, types=types)
    (finding,) = answer.findings
    assert finding.message == "file b.csv: has 60 rows, the manifest says 1,061. Deliver the whole file again"


def test_the_rows_of_all_files_together_are_no_larger_than_a_span_may_be():
    files = [(f"{i}.csv", b"a\n" + b"0123456789\n" * 2_000) for i in range(3)]
    assert isinstance(read_delivery(files, max_decoded_bytes=200_000), pa.Table)
    assert _damage(*files, max_decoded_bytes=100_000).startswith("file 2.csv: unpacks to too much, wanted at most 100,000 bytes")


def test_a_delivery_is_read_the_same_whatever_the_size_of_a_block(monkeypatch):
    whole = {name: content_digest(read_delivery([(name, data)])) for name, data in FORMS.items()}
    monkeypatch.setattr(decoding, "BLOCK_BYTES", 1_000)
    monkeypatch.setattr(decoding, "BATCH_ROWS", 7)
    assert {name: content_digest(read_delivery([(name, data)])) for name, data in FORMS.items()} == whole


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_quoted_value_may_have_line_ends(end):
    text = b"a,b" + end + b'1,"x' + end + b'y ""z"""' + end + end + b'2,5" pipe' + end
    assert read_delivery([("a.csv", text)])["b"].to_pylist() == [f'x{end.decode()}y "z"', '5" pipe']


@given(st.integers(0, 11), st.integers(2, 30))
def test_a_quote_that_is_left_open_is_never_taken_for_part_of_a_value(row, rows):
    lines = [f'{i},"name {i}",x' if i % 3 else f"{i},plain,x" for i in range(rows)]
    lines[row % rows] = f'{row},"open,x'
    assert re.search("is a quote left open|CSV parse error", _damage(("a.csv", "\n".join(["id,name,end", *lines, ""]).encode())))
