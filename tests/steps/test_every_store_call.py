"""Law 4 on all steps: whatever store call a run dies at, readers are served and the rerun makes the same release.

A call changes the store or it does not. So a run that dies before or after its n-th call leaves one of the states that an
undisturbed run passes through, and each of them is tried. The rehearsal runs in this process here; its own process
is tested elsewhere.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from widedeep.artifacts import LIVE
from widedeep.errors import OrderError
from widedeep.publishing import lanes
from widedeep.publishing.keys import Trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import download, load_manifest, releases
from widedeep.serving.rehearsal import rehearse
from widedeep.steps import bootstrap, judgement, run_span

Objects = dict[str, bytes]


class RecordingStore(MemoryStore):
    """Keeps the state after each change, and counts the calls."""

    def __init__(self, objects: Objects) -> None:
        super().__init__()
        self.objects = dict(objects)
        self.states = [dict(objects)]
        self.calls = 0

    def __getattribute__(self, name: str):
        if name in {"get", "create", "swap", "keys", "listed", "delete", "upload", "fetch", "download"}:
            self.calls += 1
        return super().__getattribute__(name)

    def _write(self, key: str, data: bytes) -> None:
        super()._write(key, data)
        self.states.append(dict(self.objects))


@pytest.fixture
def in_memory(chain, monkeypatch):
    """The chain over a store in memory."""

    def rehearsed(place, candidate):
        with TemporaryDirectory() as folder:
            arguments = (candidate.release_id, candidate.manifest_sha256, Path(folder), Trust({}, required=False))
            return rehearse(place.store, place.contract, *arguments)

    monkeypatch.setattr(judgement, "_rehearse", rehearsed)
    chain.place = replace(chain.place, store=MemoryStore())
    return chain


def payloads(objects: Objects) -> Objects:
    return {key: data for key, data in objects.items() if key.startswith("releases/")}


def serve(store: MemoryStore, folder: Path) -> str:
    """As a reader does it: pointer, manifest, every file, verified."""
    pointer = champion(store, LIVE)
    manifest = load_manifest(store, pointer.release_id, published=True, expected_sha256=pointer.manifest_sha256)
    download(store, manifest, folder)
    return pointer.release_id


def stopped_at_every_call(place, objects: Objects, run) -> Iterator[tuple[int, MemoryStore]]:
    """A store for each state in which a run that starts from `objects` can leave it; first the one that nobody disturbed."""
    recording = RecordingStore(objects)
    run(replace(place, store=recording))
    assert recording.calls > len(recording.states) > 20
    for n, state in enumerate([recording.objects, *recording.states]):
        store = MemoryStore()
        store.objects = dict(state)
        yield n, store


def test_a_day_that_dies_at_any_call_leaves_a_champion_and_its_rerun_makes_the_same_release(in_memory, tmp_path):
    place = in_memory.place
    for n in range(4):
        in_memory.deliver(n)
    bootstrap(place, in_memory.day(0), in_memory.day(2))
    old = champion(place.store, LIVE).release_id

    def run(at):
        return run_span(at, in_memory.day(3))

    finished = None
    for n, store in stopped_at_every_call(place, place.store.objects, run):
        (tmp_path / str(n)).mkdir()
        served = serve(store, tmp_path / str(n))
        progress = run(replace(place, store=store))
        finished = finished or (progress.result, progress.release, payloads(store.objects))
        assert served in {old, progress.release}, f"state {n}"
        assert (progress.result, progress.release, payloads(store.objects)) == finished, f"state {n}"
        assert len(releases(store)) == 2, f"state {n}"
        assert [move.sequence for move in moves(store, LIVE)] == [2, 1], f"state {n}"
        assert [outcome.span for outcome in lanes.outcomes(store, LIVE)] == [in_memory.day(d) for d in range(4)], f"state {n}"
    assert finished[0] == "promoted"


def test_a_bootstrap_that_dies_at_any_call_is_finished_by_the_next(in_memory, tmp_path):
    place = in_memory.place
    for n in range(3):
        in_memory.deliver(n)

    def run(at):
        return bootstrap(at, in_memory.day(0), in_memory.day(2))

    finished = None
    for n, store in stopped_at_every_call(place, place.store.objects, run):
        if champion(store, LIVE):
            (tmp_path / str(n)).mkdir()
            serve(store, tmp_path / str(n))
        run(replace(place, store=store))
        finished = finished or payloads(store.objects)
        assert payloads(store.objects) == finished, f"state {n}"
        assert len(list(moves(store, LIVE))) == len(releases(store)) == 1, f"state {n}"
        assert [o.result for o in lanes.outcomes(store, LIVE)] == ["learnt", "learnt", "promoted"], f"state {n}"


def test_a_bootstrap_that_died_after_its_promotion_is_not_finished_with_more_days(in_memory):
    """Those days would be settled as learnt by a release that has never seen them."""
    place = in_memory.place
    for n in range(5):
        in_memory.deliver(n)
    bootstrap(place, in_memory.day(0), in_memory.day(2))
    for key in list(place.store.keys("lanes/live/spans/")):
        place.store.delete(key)
    with pytest.raises(OrderError, match="same days"):
        bootstrap(place, in_memory.day(0), in_memory.day(4))
    assert lanes.settled_spans(place.store, LIVE) == ()
    bootstrap(place, in_memory.day(0), in_memory.day(2))
    assert len(lanes.settled_spans(place.store, LIVE)) == 3
