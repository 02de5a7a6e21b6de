"""What goes and what stays, whoever publishes or promotes meanwhile."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from widedeep.artifacts import LIVE, Candidate, Outcome, Release, Verdict
from widedeep.data.contract import Retention
from widedeep.errors import IntegrityError, StoreUnavailableError
from widedeep.publishing import lanes, layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.moves import Because, promote
from widedeep.publishing.pointer import champion
from widedeep.publishing.prune import SETTLING_S, carry_out, plan
from widedeep.publishing.releases import download, load_manifest, publish, releases
from widedeep.publishing.snapshots import load_rows, save_snapshot

FIRST = date(2026, 1, 1)
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=500)
TIGHT = Retention(releases=1, champions=2, candidates_days=30, snapshots_days=30, quarantine_days=30)


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def chain(
    store: MemoryStore, staged: Callable[..., Candidate], verdict_on: Callable[..., Verdict], outcome_of: Callable[..., Outcome]
) -> Callable[..., Release]:
    """One more release of that day, promoted over the champion unless told otherwise."""

    def chain(number: int, *, promoted: bool = True) -> Release:
        span, standing = FIRST + timedelta(days=number), champion(store, LIVE)
        candidate = staged(store, span, standing.release_id if standing else None)
        against = load_manifest(store, standing.release_id, published=True) if standing else None
        verdict = verdict_on(candidate, against, "promote" if promoted else "hold")
        release = publish(store, candidate, verdict)
        if promoted:
            promote(store, LIVE, release, verdict, Because(START, "test", "better"))
        lanes.settle(store, outcome_of(span, "promoted" if promoted else "held", release.release_id))
        return release

    return chain


def pruned(store: MemoryStore, retention: Retention = TIGHT, now: datetime = NOW, wait: Callable[[float], None] = lambda _: None):
    return carry_out(store, plan(store, retention, now), wait, lambda _: None)


def readable(store: MemoryStore, release_id: str, folder: Path) -> bool:
    """As a reader reads it: manifest and every file, verified."""
    folder.mkdir()
    download(store, load_manifest(store, release_id, published=True), folder)
    return True


def test_champions_that_are_kept_stay_whole_and_older_ones_go(store: MemoryStore, chain: Callable[..., Release], tmp_path: Path):
    made = [chain(n) for n in range(5)]
    gone = pruned(store)
    assert {item.name for item in gone.items} == {release.release_id for release in made[:3]}
    assert [release.release_id for release in releases(store)] == [release.release_id for release in made[3:]]
    for n, release in enumerate(made[3:]):
        assert readable(store, release.release_id, tmp_path / str(n))
    assert not [key for key in store.objects for release in made[:3] if f"releases/{release.release_id}" in key]


def test_by_default_every_champion_stays_and_only_what_was_never_promoted_goes(store: MemoryStore, chain: Callable[..., Release]):
    made = [chain(0), chain(1), chain(2, promoted=False), chain(3), chain(4, promoted=False)]
    gone = pruned(store, Retention(releases=1))
    assert [item.name for item in gone.items] == [made[2].release_id]


def test_verdicts_outcomes_and_moves_are_never_pruned(store: MemoryStore, chain: Callable[..., Release]):
    for n in range(4):
        chain(n)
    before = {key for key in store.objects if key.startswith(("evidence/", "lanes/"))}
    pruned(store)
    assert before <= store.objects.keys()


def test_a_plan_deletes_nothing_and_says_what_it_would_free(store: MemoryStore, chain: Callable[..., Release]):
    for n in range(4):
        chain(n)
    before = dict(store.objects)
    planned = plan(store, TIGHT, NOW)
    assert store.objects == before
    pruned(store)
    assert planned.size_bytes == sum(map(len, before.values())) - sum(map(len, store.objects.values())) > 0


def test_nothing_younger_than_its_age_or_the_grace_time_goes(store: MemoryStore, chain: Callable[..., Release]):
    for n in range(4):
        chain(n)
    store.create("releases/r-0123456789abcdef/0123456789abcdef.weights", b"half")
    assert plan(store, TIGHT, START + timedelta(days=1)).items == ()
    assert [item.kind for item in plan(store, TIGHT, START + timedelta(days=3)).items] == ["orphan"]


def test_what_a_crashed_upload_left_goes_and_the_release_beside_it_stays(
    store: MemoryStore, chain: Callable[..., Release], tmp_path: Path
):
    release = chain(0)
    stray = f"releases/{release.release_id}/0123456789abcdef.weights.safetensors"
    store.create(stray, b"other bytes")
    store.create("snapshots/2026-01-01/abc/def.rows.parquet", b"rows")
    assert {item.kind for item in pruned(store).items} == {"orphan"}
    assert stray not in store.objects
    assert readable(store, release.release_id, tmp_path / "files")


def test_rows_that_no_lane_waits_for_go_after_their_time(
    store: MemoryStore, chain: Callable[..., Release], tmp_path: Path, outcome_of: Callable[..., Outcome]
):
    learnt, waiting = (save_snapshot(store, FIRST + timedelta(days=n), pa.table({"n": [n]}), tmp_path) for n in (10, 11))
    chain(0)
    lanes.settle(store, outcome_of(learnt.span, "quarantined").model_copy(update={"snapshot": learnt}))
    lanes.settle(store, outcome_of(waiting.span, "held").model_copy(update={"snapshot": waiting}))
    assert [item.name for item in pruned(store).items] == [learnt.file.name]
    assert load_rows(store, waiting, tmp_path).num_rows == 1


def test_what_is_promoted_while_it_is_pruned_is_published_again(
    store: MemoryStore,
    clock: Clock,
    chain: Callable[..., Release],
    staged: Callable[..., Candidate],
    verdict_on: Callable[..., Verdict],
    tmp_path: Path,
):
    """A held release, past its age, gets its approval between the plan and the last look."""
    standing = load_manifest(store, chain(0).release_id, published=True)
    candidate = staged(store, FIRST + timedelta(days=1), standing.release_id)
    verdict = verdict_on(candidate, standing)
    late = publish(store, candidate, verdict)
    chain(2, promoted=False)
    told: list[float] = []

    def approve(seconds: float) -> None:
        """Somebody who had looked at the manifest before it was taken away swaps the pointer during the wait."""
        told.append(seconds)
        store.objects[layout.manifest(late.release_id)] = store.objects[layout.candidate(late.release_id)]
        promote(store, LIVE, late, verdict, Because(NOW, "ann", "approved"))
        del store.objects[layout.manifest(late.release_id)]

    gone = pruned(store, wait=approve)
    assert told == [SETTLING_S]
    assert late.release_id not in {item.name for item in gone.items}
    assert champion(store, LIVE).release_id == late.release_id
    assert readable(store, late.release_id, tmp_path / "files")


class Stopping(MemoryStore):
    """Dies at the n-th change, before it happens."""

    def __init__(self, objects: dict[str, bytes], stop_at: int, clock: Clock) -> None:
        super().__init__(clock)
        self.objects = dict(objects)
        self._left = stop_at

    def delete(self, key: str) -> None:
        self._left -= 1
        if self._left <= 0:
            raise StoreUnavailableError("the machine stopped")
        super().delete(key)


def test_after_a_crash_at_any_deletion_champions_are_whole_and_the_next_run_finishes(
    store: MemoryStore, clock: Clock, chain: Callable[..., Release], tmp_path: Path
):
    made = [chain(n) for n in range(4)]
    before = dict(store.objects)
    pruned(store)
    for stop_at in range(1, len(before) - len(store.objects) + 1):
        stopping = Stopping(before, stop_at, clock)
        with pytest.raises(StoreUnavailableError):
            pruned(stopping)
        assert readable(stopping, made[-1].release_id, tmp_path / f"{stop_at}")
        again = MemoryStore(clock)
        again.objects = stopping.objects
        pruned(again)
        assert again.objects == store.objects


def test_with_a_damaged_pointer_nothing_is_deleted(store: MemoryStore, chain: Callable[..., Release]):
    for n in range(4):
        chain(n)
    store.objects[layout.move(LIVE, 2)] = b"{}"
    before = dict(store.objects)
    with pytest.raises(IntegrityError):
        pruned(store)
    assert store.objects == before
