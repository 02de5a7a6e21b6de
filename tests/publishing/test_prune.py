"""What goes and what stays, whoever publishes or promotes meanwhile."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import combinations_with_replacement, count
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pytest

from widedeep.artifacts import LIVE, Candidate, Lineage, Outcome, Part, Release, Snapshot, Verdict
from widedeep.data.contract import Pending, Retention
from widedeep.errors import IntegrityError, StoreUnavailableError
from widedeep.publishing import lanes, layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.moves import Because, promote, rollback
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.prune import plan as plan_all
from widedeep.publishing.releases import download, find_candidate, load_manifest, publish, releases, stage
from widedeep.publishing.removal import Plan, carry_out
from widedeep.publishing.snapshots import load_rows, save_snapshot
from widedeep.publishing.store import Unfinished
from widedeep.steps.named import parents

FIRST = date(2026, 1, 1)
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=500)
TIGHT = Retention(releases=1, champions=2, candidates_days=30, snapshots_days=30, quarantine_days=30)
CARRY, DROP = Pending(), Pending(rule="drop")


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


def plan(store: MemoryStore, retention: Retention, now: datetime, pending: Pending = CARRY) -> Plan:
    return plan_all(store, retention, now, pending, pool_spans=1)


def pruned(store: MemoryStore, retention: Retention = TIGHT, now: datetime = NOW, meanwhile: Callable[[], object] | None = None):
    """What went. `meanwhile` happens once all that is to go was put aside, right before it is looked again."""
    planned, keys = plan(store, retention, now), store.keys

    def looked(prefix: str) -> Iterator[str]:
        if prefix.endswith("/coming/"):
            store.keys = keys
            meanwhile()
        return keys(prefix)

    if meanwhile:
        store.keys = looked
    return carry_out(store, planned, lambda _: None)


def readable(store: MemoryStore, release_id: str, folder: Path) -> bool:
    """As a reader reads it: manifest and every file, verified."""
    folder.mkdir()
    download(store, load_manifest(store, release_id, published=True), folder)
    return True


def test_champions_that_are_kept_stay_whole_and_older_ones_go(store: MemoryStore, chain: Callable[..., Release], tmp_path: Path):
    """Two champions stay by the contract, and the one before as the base of the first one's delta."""
    made = [chain(n) for n in range(5)]
    gone = pruned(store)
    assert {item.name for item in gone.items} == {release.release_id for release in made[:2]}
    assert [release.release_id for release in releases(store)] == [release.release_id for release in made[2:]]
    for n, release in enumerate(made[2:]):
        assert readable(store, release.release_id, tmp_path / str(n))
    assert not [key for key in store.objects for release in made[:2] if f"releases/{release.release_id}" in key]


def test_the_base_of_a_kept_releases_delta_stays_although_it_was_never_promoted_lately(
    store: MemoryStore, chain: Callable[..., Release], staged: Callable[..., Candidate], verdict_on: Callable[..., Verdict]
):
    made = [chain(n) for n in range(4)]
    candidate = staged(store, FIRST + timedelta(days=9), made[0].release_id)
    newest = publish(store, candidate, verdict_on(candidate, load_manifest(store, made[3].release_id, published=True)))
    pruned(store, TIGHT.model_copy(update={"champions": 1}))
    kept = {release.release_id for release in releases(store)}
    assert kept == {newest.release_id, made[0].release_id, made[2].release_id, made[3].release_id}


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
    assert {item.kind for item in pruned(store).items} == {"stray"}
    assert stray not in store.objects
    assert readable(store, release.release_id, tmp_path / "files")


def test_rows_that_no_lane_waits_for_go_after_their_time(
    store: MemoryStore, chain: Callable[..., Release], tmp_path: Path, outcome_of: Callable[..., Outcome]
):
    learnt, waiting = (save_snapshot(store, FIRST + timedelta(days=n), pa.table({"n": [n]}), tmp_path) for n in (10, 11))
    chain(0)
    lanes.settle(store, outcome_of(learnt.span, "quarantined").model_copy(update={"snapshot": learnt}))
    lanes.settle(store, outcome_of(waiting.span, "held", f"r-{0:016x}").model_copy(update={"snapshot": waiting}))
    assert [item.name for item in pruned(store).items] == [learnt.file.name]
    assert load_rows(store, waiting, tmp_path).num_rows == 1


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
    for stop_at in count(1):
        stopping = Stopping(before, stop_at, clock)
        with suppress(StoreUnavailableError):
            pruned(stopping)
            break
        assert readable(stopping, made[-1].release_id, tmp_path / f"{stop_at}")
        assert all(whole(stopping, release.release_id) for release in made)
        again = MemoryStore(clock)
        again.objects = stopping.objects
        pruned(again)
        assert again.objects == store.objects
    assert stop_at > len(before) - len(store.objects)


def whole(store: MemoryStore, release_id: str) -> bool:
    """Whether nobody finds half of it: with a manifest all its files are there."""
    found = [load_manifest(store, release_id, published=p) for p in (True, False) if manifest_key(release_id, p) in store.objects]
    return all(layout.release_file(release_id, file) in store.objects for manifest in found for file in manifest.files)


def manifest_key(release_id: str, published: bool) -> str:
    return layout.manifest(release_id) if published else layout.candidate(release_id)


def test_while_a_champion_lacks_its_manifests_nothing_is_deleted(store: MemoryStore, chain: Callable[..., Release]):
    release = [chain(n) for n in range(4)][-1]
    for lost in (layout.candidate, layout.manifest):
        store.delete(lost(release.release_id))
    before = dict(store.objects)
    with pytest.raises(IntegrityError, match="missing"):
        pruned(store)
    assert store.objects == before


def test_a_lane_whose_parent_was_pruned_waits_for_nothing(store: MemoryStore, learning: Callable[..., Snapshot]):
    for n in range(3):
        learning(n)
    learning(1, "again", "held")
    first = load_manifest(store, champion(store, LIVE).release_id, published=True)
    for ancestor in list(parents(store, first))[1:]:
        for key in list(store.keys(layout.release(ancestor.release_id))):
            store.delete(key)
    assert len(pruned(store, ROWS_ONLY).items) == 3


def test_with_a_damaged_pointer_nothing_is_deleted(store: MemoryStore, chain: Callable[..., Release]):
    for n in range(4):
        chain(n)
    store.objects[layout.move(LIVE, 2)] = b"{}"
    before = dict(store.objects)
    with pytest.raises(IntegrityError):
        pruned(store)
    assert store.objects == before


@pytest.fixture
def late(
    store: MemoryStore, chain: Callable[..., Release], staged: Callable[..., Candidate], verdict_on: Callable[..., Verdict]
) -> tuple[Release, Verdict]:
    """A release that passed and was never promoted, past its time, with the verdict that it waits on."""
    standing = load_manifest(store, chain(0).release_id, published=True)
    candidate = staged(store, FIRST + timedelta(days=1), standing.release_id)
    verdict = verdict_on(candidate, standing)
    release = publish(store, candidate, verdict)
    chain(2, promoted=False)
    return release, verdict


class Halting:
    """A mover's view of the store: it halts before two of its calls until it is let go."""

    def __init__(self, store: MemoryStore, *stops: int) -> None:
        self._store, self._calls, self._stops = store, 0, stops
        self.arrived, self.let_go = [Event() for _ in stops], [Event() for _ in stops]

    def __getattr__(self, name: str) -> Any:
        return self._halting(getattr(self._store, name)) if name != "url" else self._store.url

    def _halting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self._calls += 1
            for stop, arrived, let_go in zip(self._stops, self.arrived, self.let_go, strict=True):
                if stop == self._calls:
                    arrived.set()
                    assert let_go.wait(10)
            return method(*args)

        return call


def moved_while_pruned(store: MemoryStore, move: Callable[..., object], retention: Retention, first: int, last: int) -> str:
    """How a move ends before whose call `first` all was put aside, and before whose call `last` it was looked again."""
    halting = Halting(store, first, last)
    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(move, halting)
        moving.add_done_callback(lambda _: [arrived.set() for arrived in halting.arrived])
        assert halting.arrived[0].wait(10)

        def goes_on() -> None:
            halting.let_go[0].set()
            assert halting.arrived[1].wait(10)

        pruned(store, retention, meanwhile=goes_on)
        for let_go in halting.let_go:
            let_go.set()
        error = moving.exception(10)
    assert error is None or isinstance(error, IntegrityError)
    return "moved" if error is None else "refused"


def calls_of(move: Callable[..., object], store: MemoryStore) -> int:
    counting = Halting(store)
    move(counting)
    return counting._calls


@pytest.mark.parametrize("kind", ["promotion", "rollback"])
def test_whoever_moves_the_pointer_to_what_is_pruned_at_any_moment_gets_it_whole_or_moves_nothing(
    store: MemoryStore, clock: Clock, chain: Callable[..., Release], late: tuple[Release, Verdict], tmp_path: Path, kind: str
):
    """However slow the mover is: all was put aside before any of its calls, and looked again before any later one."""
    release, verdict = late
    if kind == "rollback":
        for n in (3, 4, 5):
            chain(n)
        release = list(moves(store, LIVE))[-1]
    standing, before = champion(store, LIVE), dict(store.objects)

    def move(at: MemoryStore) -> object:
        because = Because(NOW, "ann", "approved")
        if kind == "rollback":
            return rollback(at, LIVE, release.release_id, standing.sequence, because)
        return promote(at, LIVE, release, verdict, because)

    def copy() -> MemoryStore:
        copied = MemoryStore(clock)
        copied.objects = dict(before)
        return copied

    calls, seen = calls_of(move, copy()), set()
    for first, last in combinations_with_replacement(range(1, calls + 2), 2):
        at = copy()
        ended = moved_while_pruned(at, move, TIGHT.model_copy(update={"champions": 1}), first, last)
        pointer = champion(at, LIVE)
        assert pointer.release_id == (release if ended == "moved" else standing).release_id
        assert readable(at, pointer.release_id, tmp_path / f"{first}-{last}"), f"put aside at {first}, looked again at {last}"
        seen.add(ended)
    assert seen == {"moved", "refused"}


class KilledError(Exception):
    pass


def killed(*_: object) -> None:
    raise KilledError


@pytest.mark.parametrize("promoter_dies", [False, True])
def test_a_champion_whose_prune_died_at_its_promotion_is_whole_at_once_or_after_the_next_plan(
    store: MemoryStore, late: tuple[Release, Verdict], tmp_path: Path, promoter_dies: bool
):
    release, verdict = late
    swap = store.swap

    def swapped(key: str, data: bytes, expected_etag: str | None) -> str:
        with suppress(KilledError):
            pruned(store, meanwhile=killed)
        etag = swap(key, data, expected_etag)
        if promoter_dies:
            raise KilledError
        return etag

    store.swap = swapped
    with suppress(KilledError):
        promote(store, LIVE, release, verdict, Because(NOW, "ann", "approved"))
    assert (layout.manifest(release.release_id) in store.objects) != promoter_dies
    gone = pruned(store)
    assert release.release_id not in {item.name for item in gone.items}
    assert champion(store, LIVE).release_id == release.release_id
    assert readable(store, release.release_id, tmp_path / "files")
    assert layout.going(release.release_id) not in store.objects


def test_who_was_about_to_promote_and_never_did_keeps_a_release_until_the_lane_has_gone_on(
    store: MemoryStore, late: tuple[Release, Verdict], chain: Callable[..., Release]
):
    release, verdict = late
    store.swap, swap = killed, store.swap
    with pytest.raises(KilledError):
        promote(store, LIVE, release, verdict, Because(NOW, "ann", "approved"))
    store.swap = swap
    assert release.release_id not in {item.name for item in pruned(store).items}
    chain(4)
    assert release.release_id in {item.name for item in pruned(store).items}


def test_nobody_finds_a_candidate_whose_files_go(store: MemoryStore, late: tuple[Release, Verdict]):
    release, _ = late
    seen: list[Candidate | None] = []
    gone = pruned(store, meanwhile=lambda: seen.append(find_candidate(store, release.release_id)))
    assert seen == [None]
    assert release.release_id in {item.name for item in gone.items}


@pytest.mark.parametrize("key", [layout.candidate, layout.manifest])
def test_what_is_staged_or_published_again_while_it_is_pruned_stays(
    store: MemoryStore, late: tuple[Release, Verdict], key: Callable[[str], str]
):
    release, _ = late
    manifest = store.objects[layout.manifest(release.release_id)]
    gone = pruned(store, meanwhile=lambda: store.create(key(release.release_id), manifest))
    assert release.release_id not in {item.name for item in gone.items}
    assert key(release.release_id) in store.objects
    assert whole(store, release.release_id)
    assert layout.candidate(release.release_id) in store.objects


@pytest.mark.parametrize("orphan", [False, True])
def test_what_is_staged_while_its_files_go_is_found_by_nobody_afterwards(
    store: MemoryStore, late: tuple[Release, Verdict], orphan: bool
):
    release, _ = late
    manifest = store.objects[layout.candidate(release.release_id)]
    if orphan:
        store.delete(layout.candidate(release.release_id))
        store.delete(layout.manifest(release.release_id))
    delete = store.delete

    def staged_meanwhile(key: str) -> None:
        if layout.named_digest(key) and release.release_id in key:
            store.create(layout.candidate(release.release_id), manifest)
        delete(key)

    store.delete = staged_meanwhile
    pruned(store)
    assert not list(store.keys(layout.release(release.release_id)))


def test_while_an_ancestor_is_pruned_it_reads_as_pruned(store: MemoryStore, chain: Callable[..., Release]):
    made = [chain(n) for n in range(4)]
    champion_of = load_manifest(store, made[-1].release_id, published=True)
    lines: list[list[str]] = []
    line = lambda: lines.append([manifest.release_id for manifest in parents(store, champion_of)])  # noqa: E731
    pruned(store, meanwhile=line)
    line()
    assert lines == [[made[2].release_id, made[1].release_id]] * 2


def test_rows_that_a_version_names_by_now_stay(store: MemoryStore, tmp_path: Path):
    """An ingest died between the rows and the version; its rerun comes between the plan and the deletion."""
    rows = pa.table({"n": [1]})
    snapshot = save_snapshot(store, FIRST, rows, tmp_path)
    del store.objects[layout.version(FIRST, 1)]
    planned = plan(store, TIGHT, NOW)
    assert [item.kind for item in planned.items] == ["stray"]
    save_snapshot(store, FIRST, rows, tmp_path)
    assert carry_out(store, planned, lambda _: None).items == ()
    assert load_rows(store, snapshot, tmp_path).num_rows == 1


@pytest.fixture
def learning(store: MemoryStore, payload: Path, lineage_of: Callable[..., Lineage], verdict_on: Callable[..., Verdict],
             outcome_of: Callable[..., Outcome], tmp_path: Path) -> Callable[..., Snapshot]:  # fmt: skip
    """A day of a lane: its rows are stored and, where it is promoted, learnt with all that the parent had learnt."""

    def learning(n: int, lane: str = LIVE, result: str = "promoted") -> Snapshot:
        span = FIRST + timedelta(days=n)
        snapshot = save_snapshot(store, span, pa.table({"n": [n]}), tmp_path)
        outcome = outcome_of(span, result, f"r-{abs(n):016x}", lane=lane).model_copy(update={"snapshot": snapshot})
        if result == "promoted":
            parent = lanes.parent_as_of(lanes.history(store, lane, span), span)
            before = load_manifest(store, parent, published=True) if parent else None
            parts = tuple(Part(span=span, version=1, digest=snapshot.digest, part=part) for part in ("train", "holdout"))
            lineage = lineage_of(span, parent).model_copy(update={"learnt": parts})
            candidate = stage(store, payload, lineage, (*before.inherited, *before.lineage.learnt) if before else ())
            verdict = verdict_on(candidate, before)
            promote(store, lane, publish(store, candidate, verdict), verdict, Because(START, "test", "better"))
            outcome = outcome.model_copy(update={"release_id": candidate.release_id})
        lanes.settle(store, outcome)
        return snapshot

    return learning


ROWS_ONLY = Retention(champions=None, candidates_days=None, snapshots_days=30)


def test_a_lane_without_a_champion_keeps_the_rows_that_its_parent_has_not_learnt(
    store: MemoryStore, learning: Callable[..., Snapshot]
):
    """Day 1 is held in a lane of its own, that starts from day 0; live has learnt it long ago."""
    first, second, third = (learning(n) for n in range(3))
    learning(1, "again", "held")
    assert {item.name for item in pruned(store, ROWS_ONLY).items} == {first.file.name, third.file.name}
    assert second.file.name in store.objects


def test_rows_from_the_head_of_a_lane_that_is_alive_stay(store: MemoryStore, learning: Callable[..., Snapshot]):
    """Its next run may have stored them just now, and what stood already was not written again."""
    made = [learning(n) for n in range(-9, -5)]
    learning(-8, "again")
    retention = ROWS_ONLY.model_copy(update={"snapshots_days": 4, "grace": timedelta(0)})
    alive, still = (plan(store, retention, START + timedelta(days=days)) for days in (1, 10))
    assert [item.name for item in alive.items] == [made[0].file.name]
    assert {item.name for item in still.items} == {snapshot.file.name for snapshot in made}


@pytest.mark.parametrize(("rule", "kept"), [(CARRY, True), (DROP, False)])
def test_rows_that_the_contract_gives_up_go_and_those_that_it_carries_stay(
    store: MemoryStore, learning: Callable[..., Snapshot], rule: Pending, kept: bool
):
    learning(0)
    held = learning(1, result="held")
    learning(3)
    carry_out(store, plan(store, ROWS_ONLY, NOW, rule), lambda _: None)
    assert (held.file.name in store.objects) == kept


class Uploading(MemoryStore):
    """Holds uploads that nobody completed."""

    def __init__(self, *keys: str) -> None:
        super().__init__()
        self.left = tuple(Unfinished(key, f"u-{key}", START, 9) for key in keys)

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        return (upload for upload in self.left if upload.key.startswith(prefix))

    def abort(self, upload: Unfinished) -> None:
        self.left = tuple(each for each in self.left if each != upload)


def test_uploads_that_nobody_completed_are_aborted_where_the_chain_stores_files_and_nowhere_else():
    ours = (
        "releases/r-0123456789abcdef/0123456789abcdef.weights",
        "snapshots/2026-01-05/0123/0123456789abcdef.rows.parquet",
        layout.doctor_scratch("token") + "parts",
    )
    theirs = ("landing/2026-01-05/rows.parquet", "another application's/file")
    store = Uploading(*ours, *theirs)
    assert pruned(store).size_bytes == 9 * len(ours)
    assert tuple(upload.key for upload in store.left) == theirs
