"""Law 4: a crash before or after any write leaves the old champion readable, and the rerun converges to the same bytes."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from widedeep.artifacts import LIVE, Candidate, Outcome, Release, Verdict
from widedeep.errors import StoreUnavailableError
from widedeep.publishing import lanes, layout
from widedeep.publishing.keys import Signer, Trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.moves import Because, promote
from widedeep.publishing.pointer import champion, standing
from widedeep.publishing.releases import download, load_manifest, publish, releases
from widedeep.publishing.signing import check_move, check_signature
from widedeep.publishing.snapshots import load_rows, save_snapshot, versions

T = TypeVar("T")
Staged = Callable[..., Candidate]
VerdictOn = Callable[..., Verdict]
RunDay = Callable[[MemoryStore, date, datetime], Release]

YESTERDAY, TODAY = date(2026, 1, 5), date(2026, 1, 6)
NOW = datetime(2026, 1, 7, tzinfo=UTC)
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
TRUST = Trust({SIGNER.key_id: SIGNER.key.public_key()}, required=True)
ROWS = pa.table({"user": ["a", "b"], "n": [1, 2]})


class FaultyStore(MemoryStore):
    """Fails at the n-th write: before it happens, or once it has happened and only its answer gets lost."""

    def __init__(self, objects: dict[str, bytes], fail_at: int, when: str) -> None:
        super().__init__()
        self.objects = dict(objects)
        self._countdown = fail_at
        self._when = when

    def create(self, key: str, data: bytes) -> bool:
        return self._failing(lambda: MemoryStore.create(self, key, data))

    def swap(self, key: str, data: bytes, expected_etag: str | None) -> str:
        return self._failing(lambda: MemoryStore.swap(self, key, data, expected_etag))

    def _failing(self, write: Callable[[], T]) -> T:
        self._countdown -= 1
        if self._countdown == 0 and self._when == "before":
            raise StoreUnavailableError("the write never arrived")
        answer = write()
        if self._countdown == 0:
            raise StoreUnavailableError("the answer never arrived")
        return answer

    @property
    def failed(self) -> bool:
        return self._countdown <= 0


@pytest.fixture
def run_day(staged: Staged, verdict_on: VerdictOn, tmp_path: Path) -> RunDay:
    """A day as the steps live it, from the snapshot to the outcome, with parent and champion read from the store."""

    def run_day(store: MemoryStore, span: date, now: datetime) -> Release:
        snapshot = save_snapshot(store, span, ROWS, tmp_path)
        parent = lanes.parent_as_of(lanes.outcomes(store, LIVE), span)
        before = load_manifest(store, parent, published=True) if parent else None
        candidate = staged(store, span, parent)
        verdict = verdict_on(candidate, before)
        release = publish(store, candidate, verdict, SIGNER)
        promote(store, LIVE, release, verdict, Because(now, "test", "better", SIGNER, TRUST))
        outcome = Outcome(
            lane=LIVE, span=span, result="promoted", reasons=(), snapshot=snapshot, settled_at=now, settled_by="test"
        )
        lanes.settle(store, outcome.model_copy(update={"release_id": release.release_id}))
        return release

    return run_day


@pytest.fixture
def before(run_day: RunDay) -> dict[str, bytes]:
    """The store after yesterday."""
    store = MemoryStore()
    run_day(store, YESTERDAY, NOW)
    return store.objects


def readable_champion(store: MemoryStore, folder: Path) -> str:
    """What a reader does: pointer, manifest, files; each verified."""
    pointer, blob = standing(store, LIVE)
    assert check_move(store, pointer, blob.data, TRUST)
    manifest = load_manifest(store, pointer.release_id, published=True, expected_sha256=pointer.manifest_sha256)
    download(store, manifest, folder)
    return pointer.release_id


def crashes(before: dict[str, bytes], run_day: RunDay) -> Iterator[tuple[int, str, FaultyStore]]:
    """A store that crashed at each write of the day, before and after it."""
    for when in ("before", "after"):
        for n in range(1, 100):
            store = FaultyStore(before, n, when)
            try:
                run_day(store, TODAY, NOW)
            except StoreUnavailableError:
                yield n, when, store
            if not store.failed:
                break


def test_after_a_crash_at_any_write_the_champion_is_readable_and_the_rerun_converges(
    before: dict[str, bytes], run_day: RunDay, tmp_path: Path
) -> None:
    undisturbed = MemoryStore()
    undisturbed.objects = dict(before)
    old = champion(undisturbed, LIVE).release_id
    new = run_day(undisturbed, TODAY, NOW).release_id
    seen = []
    for n, when, store in crashes(before, run_day):
        assert readable_champion(store, tmp_path / "crashed") in {old, new}
        run_day(store, TODAY, NOW)
        assert store.objects == undisturbed.objects, f"crash {when} write {n}"
        assert readable_champion(store, tmp_path / "rerun") == new
        seen.append((when, n))
    wanted = len(undisturbed.objects) - len(before) + 1  # the pointer is written over
    assert len(seen) == 2 * wanted


def test_a_rerun_at_a_later_time_changes_nothing_that_was_decided(
    before: dict[str, bytes], run_day: RunDay, tmp_path: Path
) -> None:
    for n, when, store in crashes(before, run_day):
        crashed = dict(store.objects)
        run_day(store, TODAY, NOW + timedelta(hours=n))
        changed = {key for key, data in crashed.items() if store.objects[key] != data}
        assert changed <= {layout.champion(LIVE)}, f"crash {when} write {n}"
        assert champion(store, LIVE).sequence == 2
        assert len(releases(store)) == 2
        assert [load_rows(store, s, tmp_path).num_rows for s in versions(store, TODAY)] == [2]


def test_readers_see_no_release_before_all_of_it_is_there(before: dict[str, bytes], run_day: RunDay, tmp_path: Path) -> None:
    for n, when, store in crashes(before, run_day):
        for release in releases(store):
            manifest = load_manifest(store, release.release_id, published=True)
            download(store, manifest, tmp_path / f"{when}-{n}")
            assert check_signature(store, manifest, TRUST)
            assert release.decision == "promote"
