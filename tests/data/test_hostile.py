"""Hostile files end in words, in bounded memory and time: who exceeds the limits that each is read under is killed."""

import gzip
import json
import re
import signal
import subprocess

import pyarrow as pa
import pytest

from tests.data import forgery
from tests.data.forgery import GROUP_BYTES, GROUP_ROWS, GROUP_VALUES, PAGE_BYTES, PAGE_VALUES, ROWS, with_first_page, with_footer
from widedeep.data import apart
from widedeep.data.apart import Bounds, read_apart
from widedeep.data.sources import Unreadable
from widedeep.errors import DiskFullError, UnknownOutcomeError

MIB = 2**20
# The program alone has some 350 MiB of address space, so this is little more than 1 GiB for the file.
BOUNDS = Bounds(decoded_bytes=48 * MIB, memory_bytes=1_400 * MIB, cpu_s=20)
TYPES = {"a": "string", "tags": "list"}
TOO_MUCH = "wanted at most 50,331,648 bytes in all files of a span: deliver less, or in more spans"
NUMBERS = forgery.written(pa.table({"a": pa.array(range(1_000), pa.int64())}))
PLAIN = forgery.written(pa.table({"a": pa.array(range(1_000), pa.int64())}), use_dictionary=False, compression="none")
FOUR_MIB = gzip.compress(b"x" * 4 * MIB)
BILLION = 10**9


def dictionary_bomb(**options):
    """A megabyte of text, named a million times in a few bytes."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 10**6, pa.int32()), pa.array(["x" * MIB]))
    return forgery.written(pa.table({"a": text}), **options)


def nested(depth):
    kind = pa.int64()
    for _ in range(depth):
        kind = pa.list_(kind)
    return forgery.written(pa.table({"a": pa.nulls(3, kind)}))


def wide_and_empty():
    """Three bytes a row that stand for 1,000 nulls."""
    return json.dumps({f"c{i}": 1 for i in range(1_000)}).encode() + b"\n" + b"{}\n" * 20_000


def thousands_of_columns():
    return forgery.written(pa.table({f"c{i}": [1] for i in range(5_000)}))


HOSTILE = {
    "gz bomb.csv.gz": (lambda: gzip.compress(b"a\n" + b"0\n" * 20 * MIB, 1), TOO_MUCH),
    "a bomb in a thousand members.jsonl.gz": (lambda: gzip.compress(b'{"a": "x"}\n' * MIB) * 1_000, TOO_MUCH),
    "a bomb in a bomb.csv.gz": (lambda: gzip.compress(FOUR_MIB * 1_000), "is NUL, wanted UTF-8 text"),
    "a name without an end.csv.gz": (lambda: b"\x1f\x8b\x08\x08" + b"n" * 4 * MIB, "end-of-stream"),
    "a line of 4 GiB.csv.gz": (lambda: FOUR_MIB * 1_024, TOO_MUCH),
    "a line of 20 MiB.csv.gz": (lambda: FOUR_MIB * 5, "a line of more than 16 MiB"),
    "a line of 4 GiB.jsonl.gz": (lambda: gzip.compress(b'{"a": "') + FOUR_MIB * 1_024, TOO_MUCH),
    "a line of 20 MiB.jsonl.gz": (
        lambda: gzip.compress(b'{"a": "') + FOUR_MIB * 5,
        "a line of more than 16 MiB|Missing a closing quotation mark",
    ),
    "NUL.csv": (lambda: b"a,b\n1,\0\n", "byte 6 is NUL, wanted UTF-8 text"),
    "UTF-16.csv": (lambda: "a,b\n1,2\n".encode("utf-16"), "is NUL, wanted UTF-8 text; is it UTF-16"),
    "NUL.jsonl": (lambda: b'{"a": "\0"}\n', "is NUL, wanted UTF-8 text"),
    "Latin-1.csv": (lambda: "a,b\n1,é\n".encode("latin-1"), "invalid UTF8 data"),
    "an open quote.csv": (lambda: b'a,b\n1,"2\n' + b"3,4\n" * 5 * MIB, "is a quote left open|a line of more than"),
    "an open quote in the middle.csv": (
        lambda: b'a,b\n1,"2\n' + b"3,4\n" * 99 + b'5,"6"\n',
        "line 102: .* is a quote left open before?",
    ),
    "an open quote at the end.csv": (lambda: b'a,b\n1,2\n3,"4\n', "line 3: unexpected end of data; is a quote left open"),
    "deep lists.jsonl": (lambda: b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "crashes its decoder"),
    "deep objects.jsonl": (lambda: b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, "crashes its decoder"),
    "a long number in a list in text.csv": (lambda: b'tags\n"[1000000000000000000000000000000]"\n', None),
    "deep lists in text.csv": (lambda: b"tags\n" + b"[" * 100_000 + b"\n", None),
    "wide and empty.jsonl": (wide_and_empty, f"takes more memory|{TOO_MUCH}"),
    "thousands of columns.csv": (
        lambda: ",".join(f"c{i}" for i in range(5_000)).encode() + b"\n",
        "has 5,000 columns, wanted 1 to",
    ),
    "thousands of columns.parquet": (thousands_of_columns, "has 5,000 columns, wanted 1 to 2,000"),
    "no columns.parquet": (
        lambda: with_footer(forgery.written(pa.table({})), {ROWS: BILLION}),
        f"claims 1,000,000,000 .*{TOO_MUCH}",
    ),
    "billions of rows.parquet": (lambda: with_footer(NUMBERS, {ROWS: 10 * BILLION}), f"claims 10,000,000,000 rows .*{TOO_MUCH}"),
    "10 GB.parquet": (lambda: with_footer(NUMBERS, {GROUP_BYTES: 10 * 2**30}), f"in 10,737,418,240 bytes, {TOO_MUCH}"),
    "rows that are not there.parquet": (
        lambda: with_footer(NUMBERS, {ROWS: 10**6, GROUP_ROWS: 10**6, GROUP_VALUES: 10**6}),
        "holds 1,000 rows, and its footer claims 1,000,000",
    ),
    "fewer bytes and rows than there are.parquet": (
        lambda: with_footer(NUMBERS, {ROWS: 1, GROUP_BYTES: 1}),
        "claims 1: it is damaged",
    ),
    "a page of 2 GiB.parquet": (lambda: with_first_page(NUMBERS, {PAGE_BYTES: 2**31 - 1}), "takes more memory|decompress"),
    "a page of 2 billion values.parquet": (lambda: with_first_page(PLAIN, {PAGE_VALUES: 2**31 - 1}), "do not match num_values"),
    "a page of -1 bytes.parquet": (lambda: with_first_page(NUMBERS, {PAGE_BYTES: -1}), "Invalid|negative|size"),
    "a dictionary bomb.parquet": (dictionary_bomb, "takes more memory|offset overflow|too large"),
    "a bomb of repeated text.parquet": (
        lambda: dictionary_bomb(store_schema=False),
        "takes more memory|decodes to too much|claims",
    ),
    "lists of lists.parquet": (lambda: nested(2), "has type list<.*, wanted text, numbers"),
    "lists of lists of lists.parquet": (lambda: nested(100), "has type list<.*, wanted text, numbers|too deeply nested"),
    "nothing.parquet": (lambda: b"", "Parquet file size is 0 bytes"),
    "nothing.csv": (lambda: b"", "Empty CSV file"),
    "nothing.jsonl": (lambda: b"", "Empty JSON file"),
    "nothing.csv.gz": (lambda: b"", "Empty CSV file"),
    "half.parquet": (lambda: NUMBERS[: len(NUMBERS) // 2], "magic bytes not found"),
    "half.csv.gz": (lambda: gzip.compress(b"a\n" + bytes(range(48, 58)) * 99)[:-20], "end-of-stream"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_ends_in_words_in_bounded_memory_and_time(name, tmp_path):
    make, said = HOSTILE[name]
    path = tmp_path / "delivered"
    path.write_bytes(make())
    answer = read_apart([(name, path)], TYPES, tmp_path, bounds=BOUNDS)
    if said is None:  # nothing is wrong but the value, which validation reports
        assert answer.num_rows == 1
        return
    assert isinstance(answer, Unreadable)
    (finding,) = answer.findings
    assert finding.message.startswith(f"file {name}: ")
    assert re.search(said, finding.message), finding.message
    assert len(finding.message) < 600


def test_a_file_that_takes_too_long_is_named(tmp_path):
    (tmp_path / "slow").write_bytes(gzip.compress(b'{"a": 1}\n' * MIB, 1) * 8)
    answer = read_apart([("slow.jsonl.gz", tmp_path / "slow")], TYPES, tmp_path, bounds=Bounds(cpu_s=1))
    assert answer.findings[0].message.startswith("file slow.jsonl.gz: reading took more than 1 s of processor time")


def test_files_that_are_fine_one_by_one_and_too_large_together_are_refused(tmp_path):
    (tmp_path / "one").write_bytes(b"tags\n" + b'"[]"\n' * 2 * MIB)
    files = [(f"{i}.csv", tmp_path / "one") for i in range(4)]
    answer = read_apart(files, TYPES, tmp_path, bounds=Bounds(memory_bytes=700 * MIB, cpu_s=60))
    assert answer.findings[0].message.startswith("4 files: together they take more memory than reading a span may")


def ended(code):
    return lambda *_, **__: subprocess.CompletedProcess([], code, "", "Traceback: a defect")


def test_a_reader_that_somebody_kills_is_no_damage_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", ended(-signal.SIGKILL))
    with pytest.raises(UnknownOutcomeError, match=r"killed \(SIGKILL\), perhaps for want of memory"):
        read_apart([("a.csv", tmp_path / "a")], TYPES, tmp_path)


def test_a_defect_of_the_reader_is_no_damage_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", ended(1))
    with pytest.raises(RuntimeError, match="a defect"):
        read_apart([("a.csv", tmp_path / "a")], TYPES, tmp_path)


def test_a_full_disk_is_no_damage_of_the_file(tmp_path):
    (tmp_path / apart.ROWS).symlink_to("/dev/full")
    (tmp_path / "a").write_bytes(b"a\n" + b"0123456789\n" * MIB)
    with pytest.raises(DiskFullError, match="don't fit into"):
        read_apart([("a.csv", tmp_path / "a")], TYPES, tmp_path)


def test_the_reader_knows_no_credentials(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    seen = {}
    monkeypatch.setattr(subprocess, "run", lambda *_, env, **__: seen.update(env) or ended(1)())
    with pytest.raises(RuntimeError):
        read_apart([("a.csv", tmp_path / "a")], TYPES, tmp_path)
    assert "PATH" in seen
    assert "secret" not in str(seen)


def test_what_is_fine_is_read_as_in_this_process(tmp_path):
    (tmp_path / "a").write_bytes(b'a,tags\n01,"[""x""]"\n,[]\n')
    (tmp_path / "b").write_bytes(NUMBERS)
    table = read_apart([("a.csv", tmp_path / "a"), ("b.parquet", tmp_path / "b")], TYPES, tmp_path, rows={"a.csv": 2})
    assert table.slice(0, 3).to_pydict() == {"a": ["01", None, "0"], "tags": [["x"], [], None]}
    assert table.num_rows == 1_002
