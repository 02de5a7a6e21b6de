"""The sample that a contract is guessed from: bounded, of the newest days, and read as the chain reads a delivery."""

import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.data.guess import draft, folder_listing, read_sample, sample
from widedeep.data.guess.sample import span_of
from widedeep.data.tables import parquet_bytes
from widedeep.errors import UsageError

CSV = "user,clicked\n" + "".join(f"u{n % 9},{n % 2}\n" for n in range(90))


def wrote(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(path: Path, rows: int = 10_000):
    return read_sample(folder_listing(path), rows, lambda _done, _all: None)


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as refused:
        read(path)
    return str(refused.value)


@pytest.mark.parametrize(
    ("names", "prefix"),
    [
        (["2026-11-20/a.csv", "2026-11-21/a.csv"], "{span}/"),
        (["in/span=2026-11-20/a.csv", "in/span=2026-11-21/b.csv"], "in/span={span}/"),
        (["2026-11-20/part/a.csv"], "{span}/"),
        (["2026-01-01/2026-11-20/a.csv"], "2026-01-01/{span}/"),
        (["x/2026-11-20/a.csv", "y/2026-11-21/a.csv"], None),
        (["{x}/2026-11-20/a.csv"], None),
        (["2026-11-20.csv"], None),
    ],
)
def test_the_prefix_is_that_by_which_the_chain_finds_all_of_the_files(tmp_path, names, prefix):
    found = read(wrote(tmp_path, dict.fromkeys(names, CSV)))
    assert found.prefix == (None if prefix is None else f"file://{tmp_path}/{prefix}")


@given(
    st.dates(), st.sampled_from(["", "span=", "dt="]), st.text(st.characters(codec="ascii", exclude_characters="/"), max_size=5)
)
def test_a_folder_is_a_span_only_if_all_of_its_name_says_so(day, key, more):
    assert span_of(f"a/{key}{day}/{more}") == (1, day)
    if more and not more[0].isalnum():
        assert span_of(f"a/{key}{day}{more}/b") is None


def test_a_date_that_is_none_is_no_span():
    assert span_of("2026-13-45/a.csv") is None
    assert span_of("2026-11-20") is None, "a file's own name says nothing of its folder"


def test_a_file_of_a_span_is_known_by_the_folders_above_it(tmp_path):
    wrote(tmp_path, {"landing/2026-11-20/a.csv": CSV, "landing/2026-11-20/b.csv": CSV})
    found = read(tmp_path / "landing" / "2026-11-20" / "a.csv")
    assert found.spans == (date(2026, 11, 20),)
    assert found.table.num_rows == 90
    assert found.prefix == f"file://{tmp_path}/landing/{{span}}/"


def test_only_folders_of_days_count_where_there_are_some(tmp_path):
    assert read(wrote(tmp_path, {"2026-11-20/a.csv": CSV, "truth.csv": "x\n1\n", "notes.md": "read me"})).table.num_rows == 90


def test_the_newest_seven_days_are_read_in_order(tmp_path):
    days = [date(2026, 11, 1) + timedelta(days=n) for n in range(10)]
    found = read(wrote(tmp_path, {f"{day}/a.csv": CSV for day in days}))
    assert found.spans == tuple(days[3:])
    assert found.day.tolist() == [n for n in range(7) for _ in range(90)]


def test_a_marker_that_all_days_have_is_told_and_hidden_files_are_none(tmp_path):
    files = {f"2026-11-2{n}/{name}": CSV for n in range(2) for name in ("a.csv", "_SUCCESS", ".part.csv")}
    found = read(wrote(tmp_path, files))
    assert (found.marker, found.table.num_rows) == ("_SUCCESS", 180)
    (tmp_path / "2026-11-21" / "_SUCCESS").unlink()
    assert read(tmp_path).marker is None


def test_no_more_rows_than_asked_for_are_looked_at_and_the_volume_is_that_of_all(tmp_path):
    found = read(wrote(tmp_path, {f"2026-11-2{n}/{m}.csv": CSV for n in range(2) for m in range(10)}), rows=200)
    assert found.table.num_rows <= 200
    assert found.volumes == (900, 900), "three of ten files of equal size were read"
    assert not found.whole


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_long_file_is_cut_and_its_rows_are_reckoned(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(sample, "FILE_BYTES", 60_000)
    rows = {"user": [f"{n * 7919 % 100_003:06}" for n in range(100_000)]}
    text = ("user\n" + "".join(f"{u}\n" for u in rows["user"])).encode()
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table(rows), sink, row_group_size=2_000)
    content = {"csv": text, "csv.gz": gzip.compress(text), "parquet": sink.getvalue().to_pybytes()}[kind]
    found = read(wrote(tmp_path, {f"2026-11-20/a.{kind}": content}), rows=10**6)
    assert 1_000 < found.table.num_rows < 20_000
    assert 60_000 < found.volumes[0] < 200_000
    assert not found.whole


def test_days_are_those_of_the_rows_where_no_folder_tells_them(tmp_path):
    start = datetime(2026, 11, 17, 6, tzinfo=UTC)
    times = [start + timedelta(minutes=n) for n in range(4_000)]
    table = pa.table({"user": [f"u{n % 50}" for n in range(4_000)], "at": times, "clicked": [n % 3 == 0 for n in range(4_000)]})
    found = draft(read(wrote(tmp_path, {"log.parquet": parquet_bytes(table)})), "log")
    assert found.sample.spans == tuple(date(2026, 11, 17 + n) for n in range(4))
    assert found.sample.volumes == (1_080, 1_440, 1_440, 40)
    assert found.document["delivery"] == {"prefix": "landing/{span}/"}


def test_files_of_other_columns_are_read_together_and_what_does_not_go_together_is_named(tmp_path):
    later = "user,clicked,new\nu1,1,5\n"
    assert read(wrote(tmp_path, {"2026-11-20/a.csv": CSV, "2026-11-21/a.csv": later})).table["new"].null_count == 90
    numbers, texts = pa.table({"user": [1, 2]}), pa.table({"user": [["a"], ["b"]]})
    clash = {f"2026-11-2{n}/a.parquet": parquet_bytes(t) for n, t in enumerate((numbers, texts))}
    assert "column 'user'" in refusal(wrote(tmp_path / "clash", clash))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no file that can be read, wanted .parquet, .csv"),
        ({"a.txt": "x"}, "no file that can be read"),
        ({"a.csv": "user;price\nu1;1,5\n"}, "is separated by semicolons, and the chain reads commas"),
        ({"a.csv": "user\tprice\nu1\t1.5\n"}, "is separated by tabs"),
        ({"a.csv": "user,name\nu1,Gr\xf6\xdfe\n".encode("latin-1")}, "a.csv"),
        ({"a.csv": "user,clicked\n"}, "hold no row"),
        ({"a.parquet": b"PAR1 not really"}, "a.parquet"),
        ({"a.csv.gz": b"\x1f\x8bdamaged"}, "a.csv.gz"),
        ({"2026-11-20/a.csv": CSV, "2026-11-20/info.xml": "<x/>"}, "info.xml: unknown kind of file"),
    ],
)
def test_what_the_chain_could_not_read_is_refused_in_words(tmp_path, files, said):
    message = refusal(wrote(tmp_path, files))
    assert said in message
    assert message.startswith("--from ")


def test_a_path_that_is_not_there_is_named(tmp_path):
    assert f"--from {tmp_path / 'nix'}: not there" in refusal(tmp_path / "nix")


def test_progress_counts_all_files_to_the_end(tmp_path):
    heard = []
    wrote(tmp_path, {f"2026-11-2{n}/{m}.csv": CSV for n in range(2) for m in range(3)})
    read_sample(folder_listing(tmp_path), 100, lambda done, files: heard.append((done, files)))
    assert heard[-1] == (6, 6)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
