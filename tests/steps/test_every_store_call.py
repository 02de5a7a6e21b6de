"""Law 4 on all steps: whatever store call a run dies at, readers are served and the rerun makes the same release.

The day is run with a fault that is raised before or after each of its calls, reads and listings included, where all has to be
signed. A bootstrap is tried from each state that it passes through instead: a call changes the store or it does not.
The rehearsal runs in this process here; its own process is tested elsewhere.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from widedeep.artifacts import LIVE
from widedeep.data import apart, validation
from widedeep.errors import OrderError, StoreUnavailableError
from widedeep.publishing import lanes
from widedeep.publishing.keys import ANYBODY, Trust, load_trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import download, releases
from widedeep.serving.loading import champion_to_serve
from widedeep.steps import bootstrap, run_span, start
from widedeep.steps.chain import STEPS

Objects = dict[str, bytes]
WRITES = {"create", "swap", "upload"}


class FailingStore:
    """Passes every call on, and fails at the one with a number, before the store hears of it or after it has done it."""

    def __init__(self, store, number=0, *, after=False):
        self._store, self._number, self._after = store, number, after
        self.url, self.calls = store.url, []

    def __getattr__(self, name):
        return partial(self._call, name)

    def _call(self, name, *args):
        self.calls.append(name)
        fails = len(self.calls) == self._number
        done = None if fails and not self._after else getattr(self._store, name)(*args)
        if fails:
            raise StoreUnavailableError(f"call {self._number}, {name}: the answer is lost")
        return done


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
def in_memory(chain, here):
    """The chain over a store in memory."""
    chain.place = replace(chain.place, store=MemoryStore())
    return chain


def payloads(objects: Objects) -> Objects:
    return {key: data for key, data in objects.items() if key.startswith("releases/")}


def serve(store: MemoryStore, trust: Trust) -> str:
    """As a reader does it: pointer, manifest, every file, verified."""
    pointer, manifest = champion_to_serve(store, trust, LIVE)
    with TemporaryDirectory() as folder:
        download(store, manifest, Path(folder))
    return pointer.release_id


def stopped_at_every_call(place, objects: Objects, run) -> Iterator[tuple[int, MemoryStore]]:
    """A store for each state in which a run that starts from `objects` can leave it; first the one that nobody disturbed."""
    recording = RecordingStore(objects)
    recording._modified_at = place.store._modified_at  # else all looks as if it were delivered again
    run(replace(place, store=recording))
    assert recording.calls > len(recording.states) > 20
    for n, state in enumerate([recording.objects, *recording.states]):
        store = MemoryStore()
        store.objects = dict(state)
        store._modified_at = recording._modified_at
        yield n, store


def once(function, key):
    """The same function, which is asked once for each key of what it is given."""
    results = {}

    def call(*given, **named):
        known = key(*given)
        if known not in results:
            results[known] = function(*given, **named)
        return results[known]

    return call


@pytest.fixture
def pure_work_once(monkeypatch):
    """What takes most of the time here and touches no store is done once a day: reading and checking it."""
    read = once(apart.read_apart, lambda files, *_: tuple(path.read_bytes() for _, path in files))
    monkeypatch.setattr(apart, "read_apart", read)
    monkeypatch.setattr(validation, "assess", once(validation.assess, lambda _, __, span, past, *_again: (span, len(past))))


def undisturbed(place, span):
    """How a run ends, and of each of its steps what it starts from and the calls that it makes."""
    progress, steps = start(place, span), []
    for step in STEPS.values():
        store, before = FailingStore(place.store), dict(place.store.objects)
        steps.append((partial(lambda step, given, at: step(at, given), step, progress), before, store.calls))
        progress = step(replace(place, store=store), progress)
    return progress, steps


def failed_at_every_call(place, steps) -> Iterator[tuple[str, MemoryStore]]:
    """Which call failed, and the store as the step left it. A read that fails when it is done is one that failed before."""
    for step, before, calls in steps:
        for number, call in enumerate(calls, 1):
            for after in (False, True) if call in WRITES else (False,):
                store = MemoryStore()
                store.objects = dict(before)
                with pytest.raises(StoreUnavailableError, match=f"call {number}, {call}"):
                    step(replace(place, store=FailingStore(store, number, after=after)))
                yield call, store


def test_a_day_whose_store_fails_at_any_call_leaves_a_champion_and_its_rerun_makes_the_same_release(signed, pure_work_once):
    signed.deliver(3)
    place, trust, old = signed.place, load_trust(signed.place.settings), champion(signed.place.store, LIVE).release_id
    finished, steps = undisturbed(place, signed.day(3))
    assert finished.result == "promoted"
    tried = Counter()
    for call, store in failed_at_every_call(place, steps):
        tried[call] += 1
        assert serve(store, trust) in {old, finished.release}
        assert run_span(replace(place, store=store), signed.day(3)).result == "promoted"
        assert payloads(store.objects) == payloads(place.store.objects)
        assert [serve(store, trust), len(releases(store))] == [finished.release, 2]
        assert [move.sequence for move in moves(store, LIVE)] == [2, 1]
        assert lanes.outcomes(store, LIVE)[-1].release_id == finished.release
    assert tried.keys() == {"get", "keys", "listed", "create", "swap", "upload", "download", "fetch"}
    assert tried.total() > 200


def test_a_bootstrap_that_dies_at_any_call_is_finished_by_the_next(in_memory, pure_work_once):
    place = in_memory.place
    for n in range(3):
        in_memory.deliver(n)

    def run(at):
        return bootstrap(at, in_memory.day(0), in_memory.day(2))

    finished = None
    for n, store in stopped_at_every_call(place, place.store.objects, run):
        if champion(store, LIVE):
            serve(store, ANYBODY)
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
