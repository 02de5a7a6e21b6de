"""Where deliveries arrive: a folder on a disk answers as the store does, and nothing leads out of it."""

import os
import socket
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from widedeep.artifacts import sha256
from widedeep.errors import ContractError, StoreAccessError, StoreUnavailableError, UsageError
from widedeep.publishing import layout
from widedeep.publishing.landing import Landing, NotAFileError, landing
from widedeep.publishing.memory import MemoryStore

SPAN = date(2026, 1, 5)
FILES = {"a.csv": b"a", "part/b.csv": b"bb", "part/_SUCCESS": b"", ".hidden/c.csv": b"c"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of all spans, with files of one span and of its neighbour."""
    folder = tmp_path / "in"
    files = {f"{SPAN}/{name}": data for name, data in FILES.items()}
    for name, data in (files | {"2026-01-06/other.csv": b"x"}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(params=["store", "disk"])
def arrived(request: pytest.FixtureRequest, root: Path) -> Landing:
    """The same files in either place."""
    if request.param == "disk":
        return local(root)
    store = MemoryStore()
    for path in filter(Path.is_file, root.rglob("*")):
        store.create(f"landing/{path.relative_to(root)}", path.read_bytes())
    return landing(store, "landing/{span}/", SPAN)


def local(root: Path, span: date = SPAN) -> Landing:
    return landing(MemoryStore(), f"file://{root}/{{span}}/", span)


def test_both_list_all_files_of_the_span_with_sizes_and_times(arrived: Landing) -> None:
    listed = arrived.listed()
    assert {item.key: item.size_bytes for item in listed} == {name: len(data) for name, data in FILES.items()}
    assert [item.key for item in listed] == sorted(FILES)
    assert all(abs((datetime.now(UTC) - item.modified_at).total_seconds()) < 3600 for item in listed)


def test_both_fetch_a_file_and_tell_what_it_is(arrived: Landing, tmp_path: Path) -> None:
    ref = arrived.fetch("part/b.csv", tmp_path / "down")
    assert ref is not None
    assert (ref.size_bytes, ref.sha256) == (2, sha256(b"bb"))
    assert (tmp_path / "down").read_bytes() == b"bb"


def test_both_say_none_of_a_file_that_is_gone(arrived: Landing, tmp_path: Path) -> None:
    assert arrived.fetch("gone.csv", tmp_path / "down") is None
    assert not (tmp_path / "down").exists()


def test_a_span_without_a_folder_has_no_files(root: Path) -> None:
    assert local(root, date(2026, 1, 7)).listed() == ()


def test_a_machine_without_the_folder_of_all_spans_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ContractError, match=r"wants files in file:///.*/in/, but this machine has no such folder\. Wanted one that every"
    ):
        local(tmp_path / "in").listed()


def test_the_span_may_stand_in_the_middle_of_the_path(root: Path) -> None:
    (root / f"day={SPAN}" / "eu").mkdir(parents=True)
    (root / f"day={SPAN}" / "eu" / "a.csv").touch()
    found = landing(MemoryStore(), f"file://{root}/day={{span}}/eu", SPAN)
    assert [item.key for item in found.listed()] == ["a.csv"]
    assert found.url == f"file://{root}/day={SPAN}/eu/"


def test_who_may_not_read_the_folder_is_told_so(root: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (root / str(SPAN)).chmod(0)
    with pytest.raises(StoreAccessError, match="may not read it"):
        local(root).listed()


def test_a_disk_that_does_not_answer_is_a_fault_that_passes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "walk", broken)
    with pytest.raises(StoreUnavailableError, match="Input/output error"):
        local(root).listed()


def test_a_link_to_a_file_of_the_landing_area_is_followed_and_no_other(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "common.csv").write_bytes(b"common")
    (root / str(SPAN) / "in.csv").symlink_to(root / "common.csv")
    (root / str(SPAN) / "out.csv").symlink_to(tmp_path / "secret")
    (root / str(SPAN) / "broken.csv").symlink_to(root / "nothing")
    (root / str(SPAN) / "loop").symlink_to(root)
    found = local(root)
    assert {"in.csv", "out.csv", "broken.csv", "loop"} <= {item.key for item in found.listed()}
    assert found.fetch("in.csv", tmp_path / "down") is not None
    assert found.fetch("broken.csv", tmp_path / "none") is None
    for name in ("out.csv", "../../secret", str(tmp_path / "secret")):
        with pytest.raises(NotAFileError, match="leads out of"):
            found.fetch(name, tmp_path / "none")
    with pytest.raises(NotAFileError, match="no regular file"):
        found.fetch("loop", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_what_is_no_regular_file_is_told_and_not_waited_for(root: Path, tmp_path: Path) -> None:
    os.mkfifo(root / str(SPAN) / "pipe.csv")
    with pytest.raises(NotAFileError, match="no regular file"):
        local(root).fetch("pipe.csv", tmp_path / "down")


def test_a_socket_is_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / str(SPAN))  # its path is limited to 107 bytes
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("s.csv")
        with pytest.raises(NotAFileError, match="no regular file"):
            local(root).fetch("s.csv", tmp_path / "down")


@pytest.mark.parametrize("name", [b"\xff.csv", b"a\nb.csv", "\u202e.csv".encode()])
def test_names_that_are_no_text_can_be_fetched(root: Path, tmp_path: Path, name: bytes) -> None:
    (root / str(SPAN) / os.fsdecode(name)).write_bytes(b"odd")
    (key,) = {item.key for item in local(root).listed()} - FILES.keys()
    assert local(root).fetch(key, tmp_path / "down") is not None


def test_no_sample_is_delivered_into_the_store_for_a_contract_that_reads_a_disk() -> None:
    with pytest.raises(UsageError, match=r"delivery.prefix is file:///in/\{span\}/, a folder"):
        layout.delivery("file:///in/{span}/", SPAN)
