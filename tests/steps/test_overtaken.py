"""While one run of a day is about to move the pointer, another settles the day otherwise: the chain goes on from what was."""

from dataclasses import replace

import pytest

from widedeep.artifacts import LIVE
from widedeep.publishing import lanes, layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.moves import freeze, thaw
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import load_manifest
from widedeep.steps import dry_run, gate, ingest, plan_rollback, publish, roll_back, run_span, settle, start, train, validate


class Late(MemoryStore):
    """Lets somebody else act right before a run writes to a key that begins so."""

    meanwhile, before = None, layout.champion(LIVE)

    def create(self, key, data):
        self._let(key)
        return super().create(key, data)

    def swap(self, key, data, expected_etag):
        self._let(key)
        return super().swap(key, data, expected_etag)

    def _let(self, key):
        if self.meanwhile and key.startswith(self.before):
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()


@pytest.fixture
def late(quick):
    store = Late()
    store.objects = dict(quick.place.store.objects)
    quick.place = replace(quick.place, store=store)
    for n in (3, 4, 5):
        quick.deliver(n)
    return quick


def other_scheduler(late, changes):
    """One amid a deploy of another contract."""
    told = late.place.contract.model_dump()
    sections = {name: told[name] | section for name, section in changes.items()}
    return replace(late.place, contract=type(late.place.contract).model_validate(told | sections))


def judged(late, n):
    progress = start(late.place, late.day(n))
    for step in (ingest, validate, train, dry_run, gate):
        progress = step(late.place, progress)
    assert progress.decision == "promote"
    return progress


def trained_on(place, progress):
    learnt = load_manifest(place.store, progress.release, published=True).lineage.learnt
    return {part.span for part in learnt if part.part == "train"}


OTHER_GATE = {"gate": {"auc_at_least": 1.0}}
OTHERS = {
    "gate": (OTHER_GATE, "rejected"),
    "training": (OTHER_GATE | {"training": {"seed": 99}}, "rejected"),
    "checks": ({"checks": {"rows": (10**6, 10**7)}}, "quarantined"),
}


@pytest.mark.parametrize(("changes", "result"), OTHERS.values(), ids=OTHERS)
def test_a_day_that_another_run_settles_before_its_promotion_counts_as_promoted(late, changes, result):
    place, told = late.place, []
    place.store.meanwhile = lambda: told.append(run_span(other_scheduler(late, changes), late.day(3)).result)
    assert run_span(place, late.day(3)).result == "promoted"
    assert told == [result]
    pointer, outcome = champion(place.store, LIVE), lanes.outcomes(place.store, LIVE)[-1]
    assert (pointer.span, outcome.result, outcome.release_id) == (late.day(3), "promoted", pointer.release_id)
    assert outcome.reasons == (pointer.reason, f"test had settled the span as {result}")
    for n in (4, 5):
        parent = champion(place.store, LIVE).release_id
        progress = run_span(place, late.day(n))
        assert (progress.candidate.parent, progress.result) == (parent, "promoted")
        assert trained_on(place, progress) == {late.day(n)}
    assert lanes.outcomes(place.store, LIVE)[3] == outcome, "also when the pointer has gone on"
    assert lanes.history(place.store, "replay", late.day(4))[3] == outcome
    assert [move.kind for move in moves(place.store, LIVE)] == ["promote"] * 4


def test_a_day_that_is_held_in_a_frozen_lane_and_promoted_after_its_thaw_counts_as_promoted(late):
    place, progress = late.place, judged(late, 3)

    def incident():
        freeze(place.store, LIVE, place.because("incident"))
        assert run_span(place, late.day(3)).result == "held"
        thaw(place.store, LIVE, place.because("over"))

    place.store.before, place.store.meanwhile = "evidence/", incident
    assert settle(place, publish(place, progress)).result == "promoted"
    assert run_span(place, late.day(4)).candidate.parent == progress.candidate.release_id


def test_a_rollback_takes_such_a_day_back_and_the_next_learns_it_again(late):
    place = late.place
    place.store.meanwhile = lambda: run_span(other_scheduler(late, OTHERS["checks"][0]), late.day(3))
    run_span(place, late.day(3))
    plan = plan_rollback(place, LIVE)
    assert plan.pending == (late.day(3),)
    roll_back(place, plan, "worse")
    progress = run_span(place, late.day(4))
    assert progress.result == "promoted"
    assert trained_on(place, progress) == {late.day(3), late.day(4)}


def test_an_outcome_tells_the_reason_of_its_promotion_and_not_of_a_later_freeze(late):
    place = late.place
    publish(place, judged(late, 3))
    promoted = champion(place.store, LIVE)
    freeze(place.store, LIVE, place.because("incident 12"))
    assert run_span(place, late.day(3)).result == "promoted"
    outcome = lanes.outcomes(place.store, LIVE)[-1]
    assert outcome.reasons == (promoted.reason,)
    assert (outcome.settled_at, outcome.settled_by) == (promoted.moved_at, promoted.moved_by)
