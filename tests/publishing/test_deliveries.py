"""A delivery counts when all of it is there, by the contract's own rule; until then it says what it waits for."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.data.contract import Delivery
from widedeep.publishing.deliveries import Delivered, delivered, told
from widedeep.publishing.landing import landing
from widedeep.publishing.memory import MemoryStore

SPAN = date(2026, 1, 5)
NOON = datetime(2026, 1, 6, 12, tzinfo=UTC)
QUIET = timedelta(minutes=15)


class Clock:
    """The store's own."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


def deliver(store: MemoryStore, *names: str, data: bytes = b"") -> None:
    for name in names:
        store.create(f"landing/{SPAN}/{name}", data)


def state(store: MemoryStore, now: datetime = NOON, **settings: object) -> Delivered:
    rule = Delivery.model_validate(settings)
    return delivered(landing(store, rule.prefix, SPAN), rule, now)


def names(store: MemoryStore, **settings: object) -> list[str]:
    """The files of a delivery that is complete."""
    seen = state(store, **settings)
    assert seen.missing is None, seen.missing
    return [file.key for file in seen.files]


def manifest(**rows: int) -> bytes:
    return json.dumps({"files": [{"name": name.replace("_", "."), "rows": n} for name, n in rows.items()]}).encode()


def test_all_files_but_hidden_ones_and_folder_markers_count_as_delivered(store: MemoryStore) -> None:
    deliver(store, "b.csv", "a.PARQUET", "c.csv.gz", "d.jsonl.gz", "notes.txt", "part/f.csv")
    deliver(store, "_g.csv", ".h.csv", "_temporary/i.csv", "", "part/", "../2026-01-06/j.csv")
    store.create("landing/2026-01-06/other.csv", b"")
    store.create("landing/2026-01-05-old/other.csv", b"")
    assert names(store) == ["a.PARQUET", "b.csv", "c.csv.gz", "d.jsonl.gz", "notes.txt", "part/f.csv"]


def test_the_contract_chooses_where_deliveries_arrive(store: MemoryStore) -> None:
    store.create(f"raw/day={SPAN}/a.csv", b"")
    assert names(store, prefix="raw/day={span}") == ["a.csv"]


@pytest.mark.parametrize("rule", [{}, {"marker": "_SUCCESS"}, {"manifest": "_manifest.json"}, {"quiet": QUIET}])
def test_where_nothing_is_there_nothing_is_complete(store: MemoryStore, rule: dict[str, object]) -> None:
    assert state(store, **rule).missing == f"nothing is delivered below memory://store/landing/{SPAN}/ yet"


def test_nothing_is_delivered_before_the_marker_is(store: MemoryStore) -> None:
    deliver(store, "a.csv")
    assert state(store, marker="_SUCCESS").missing == f"the marker _SUCCESS is missing below memory://store/landing/{SPAN}/"
    deliver(store, "_SUCCESS")
    assert names(store, marker="_SUCCESS") == ["a.csv"]


def test_a_marker_of_any_name_is_no_data(store: MemoryStore) -> None:
    deliver(store, "a.csv", "done")
    assert names(store, marker="done") == ["a.csv"]


def test_a_marker_alone_says_that_there_are_no_data(store: MemoryStore) -> None:
    deliver(store, "_SUCCESS")
    assert names(store, marker="_SUCCESS") == []


def test_nothing_is_delivered_before_all_files_of_the_manifest_are(store: MemoryStore) -> None:
    deliver(store, "a.csv")
    assert "the manifest _m.json is missing" in state(store, manifest="_m.json").missing
    deliver(store, "_m.json", data=manifest(a_csv=3, b_csv=4, c_csv=5))
    seen = state(store, manifest="_m.json")
    assert seen.missing.startswith("2 of the manifest's 3 files are missing below memory://")
    assert seen.missing.endswith(": b.csv, c.csv")
    deliver(store, "b.csv", "c.csv")
    assert names(store, manifest="_m.json") == ["a.csv", "b.csv", "c.csv"]
    assert state(store, manifest="_m.json").rows == {"a.csv": 3, "b.csv": 4, "c.csv": 5}


def test_a_file_that_the_manifest_does_not_name_is_not_read_and_told(store: MemoryStore) -> None:
    deliver(store, "a.csv", "a copy.csv")
    deliver(store, "manifest.json", data=manifest(a_csv=3))
    seen = state(store, manifest="manifest.json")
    assert ([file.key for file in seen.files], seen.unnamed) == (["a.csv"], ("a copy.csv",))


def test_a_manifest_may_say_more_than_is_asked_for_and_may_name_no_file(store: MemoryStore) -> None:
    deliver(store, "m.json", data=b'{"by": "job 7", "files": []}')
    assert names(store, manifest="m.json") == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "Invalid JSON"),
        (b'{"files": [', "Invalid JSON"),
        (b"[]", "valid dictionary|object"),
        (b"{}", "files: Field required"),
        (b'{"files": [{"name": "a.csv"}]}', "files.0.rows: Field required"),
        (b'{"files": [{"name": "a.csv", "rows": "3"}]}', "files.0.rows: Input should be a valid integer"),
        (b'{"files": [{"name": "a.csv", "rows": -1}]}', "files.0.rows: .*greater than or equal to 0"),
        (b'{"files": [{"name": "a.csv", "rows": 1}, {"name": "a.csv", "rows": 2}]}', "names a.csv twice"),
        (b'{"files": [{"name": "../b.csv", "rows": 1}]}', "is no name of a delivered file"),
        (b'{"files": [{"name": "/etc/passwd", "rows": 1}]}', "is no name of a delivered file"),
        (b'{"files": [{"name": "part//a.csv", "rows": 1}]}', "is no name of a delivered file"),
        (b'{"files": [{"name": "a\\nb.csv", "rows": 1}]}', "is no name of a delivered file"),
        (b'{"files": [{"name": "_a.csv", "rows": 1}]}', "is no name of a delivered file"),
        (b'{"files": [{"name": "", "rows": 1}]}', "is no name of a delivered file"),
        (b"[" * 1_000_000, "Invalid JSON.*recursion"),
        (b"\xff\xfe", "Invalid JSON"),
        (b" " * (2**24 + 1), "16,777,217 bytes, wanted at most 16,777,216"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_manifest_that_can_not_be_followed_says_why_and_is_waited_for(store: MemoryStore, data: bytes, said: str) -> None:
    deliver(store, "a.csv")
    deliver(store, "_m.json", data=data)
    seen = state(store, manifest="_m.json")
    assert seen.malformed == seen.missing
    assert f"the manifest memory://store/landing/{SPAN}/_m.json can't be followed: " in seen.malformed
    assert re.search(said, seen.malformed), seen.malformed
    assert seen.malformed.isprintable()


def test_a_quiet_period_counts_from_the_last_change_of_any_file(store: MemoryStore, clock: Clock) -> None:
    deliver(store, "a.csv")
    clock.now += timedelta(minutes=10)
    deliver(store, "_temporary")
    quiet_at = clock.now + QUIET
    seen = state(store, quiet_at - timedelta(seconds=1), quiet=QUIET)
    assert seen.missing.endswith("changed at 12:10:00 UTC; they count as complete if none does until 2026-01-06 12:25:00")
    assert [file.key for file in seen.files] == ["a.csv"]
    assert state(store, quiet_at, quiet=QUIET).missing is None


def test_a_quiet_period_is_asked_for_beside_marker_and_manifest(store: MemoryStore, clock: Clock) -> None:
    rule: dict[str, object] = {"quiet": QUIET, "marker": "_SUCCESS", "manifest": "_m.json"}
    deliver(store, "a.csv")
    assert "marker" in state(store, NOON + 9 * QUIET, **rule).missing
    deliver(store, "_SUCCESS")
    assert "manifest" in state(store, NOON + 9 * QUIET, **rule).missing
    clock.now += QUIET
    deliver(store, "_m.json", data=manifest(a_csv=1))
    assert "changed at" in state(store, NOON + QUIET, **rule).missing
    assert state(store, NOON + 2 * QUIET, **rule).missing is None


@given(st.permutations(["a.csv", "b.csv", "_SUCCESS", "_m.json"]))
def test_whatever_comes_first_nothing_counts_before_everything_is_there(order: list[str]) -> None:
    store = MemoryStore()
    for i, name in enumerate(order):
        assert (state(store, marker="_SUCCESS", manifest="_m.json").missing is None) == (i == len(order))
        deliver(store, name, data=manifest(a_csv=1, b_csv=1) if name == "_m.json" else b"")
    assert state(store, marker="_SUCCESS", manifest="_m.json").missing is None


def test_a_folder_on_a_disk_is_judged_by_the_same_rules(tmp_path: Path) -> None:
    folder = tmp_path / str(SPAN)
    folder.mkdir()
    (folder / "a.csv").touch()
    (folder / "_b.csv").touch()
    rule = Delivery(prefix=f"file://{tmp_path}/{{span}}/", marker="_SUCCESS", quiet=QUIET)
    found, long_after = landing(MemoryStore(), rule.prefix, SPAN), datetime.now(UTC) + 2 * QUIET
    assert "the marker _SUCCESS is missing below file:///" in delivered(found, rule, long_after).missing
    (folder / "_SUCCESS").touch()
    assert "changed at" in delivered(found, rule, datetime.now(UTC)).missing
    assert [file.key for file in delivered(found, rule, long_after).files] == ["a.csv"]


def test_of_many_names_a_few_are_told() -> None:
    assert told(["a"]) == "a"
    assert told([f"{i}\n" for i in range(7)]) == r"'0\n', '1\n', '2\n', '3\n', '4\n' and 2 more"
