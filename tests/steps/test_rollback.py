"""A person takes a champion back, or freezes a lane; the daily runs go on from what stands."""

from dataclasses import replace

import pytest

from widedeep.artifacts import LIVE
from widedeep.errors import OrderError, PermanentError, StaleError, UsageError
from widedeep.publishing import lanes, layout
from widedeep.publishing.moves import freeze, thaw
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import load_manifest
from widedeep.steps import (
    dry_run,
    former_champions,
    gate,
    ingest,
    plan_rollback,
    publish,
    rehearse_rollback,
    roll_back,
    run_span,
    start,
    train,
    validate,
)
from widedeep.steps.release import outcome_of

WHY = "clicks fell by half"


@pytest.fixture
def gone_on(begun):
    """The chain after one more day, promoted."""
    begun.deliver(3)
    assert run_span(begun.place, begun.day(3)).result == "promoted"
    return begun


def test_a_rollback_rehearses_moves_and_the_next_day_learns_again_what_was_withdrawn(gone_on):
    place, first, second = gone_on.place, gone_on.first.release, champion(gone_on.place.store, LIVE).release_id
    assert [move.release_id for move in former_champions(place, LIVE)] == [first]
    plan = plan_rollback(place, LIVE)
    assert (plan.champion, plan.to.release_id, plan.withdrawn, plan.pending) == (second, first, (second,), (gone_on.day(3),))
    report = rehearse_rollback(place, plan)
    assert place.store.get(report)
    pointer = roll_back(place, plan, WHY)
    assert (pointer.release_id, pointer.kind, pointer.reason) == (first, "rollback", WHY)
    gone_on.deliver(4)
    progress = run_span(place, gone_on.day(4))
    manifest = load_manifest(place.store, progress.candidate.release_id, published=False)
    assert manifest.lineage.parent == first
    assert gone_on.day(3) in {part.span for part in manifest.lineage.learnt if part.part == "train"}
    assert progress.result == "promoted"
    assert [move.kind for move in moves(place.store, LIVE)] == ["promote", "rollback", "promote", "promote"]


def test_a_release_that_could_not_serve_any_more_is_not_rolled_back_to(gone_on):
    place = gone_on.place
    manifest = load_manifest(place.store, gone_on.first.release, published=True)
    weights = next(file for file in manifest.files if file.name == "weights.safetensors")
    key = layout.release_file(manifest.release_id, weights)
    place.store.swap(key, b"torn", place.store.get(key).etag)
    before = champion(place.store, LIVE)
    with pytest.raises(PermanentError, match="dry run fails"):
        rehearse_rollback(place, plan_rollback(place, LIVE))
    assert champion(place.store, LIVE) == before


def test_a_rollback_that_was_planned_before_another_move_moves_nothing(gone_on):
    place = gone_on.place
    plan = plan_rollback(place, LIVE)
    freeze(place.store, LIVE, place.because("wait"))
    with pytest.raises(StaleError):
        roll_back(place, plan, WHY)
    assert champion(place.store, LIVE).release_id == plan.champion


def test_a_first_champion_has_nothing_behind_it(begun):
    with pytest.raises(OrderError, match="nothing to roll back to"):
        plan_rollback(begun.place, LIVE)


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_rollback_without_a_reason_is_refused(gone_on, blank):
    with pytest.raises(UsageError, match="reason"):
        roll_back(gone_on.place, plan_rollback(gone_on.place, LIVE), blank)


def test_in_a_frozen_lane_a_good_day_is_held_and_learnt_again_once_it_is_thawed(begun):
    place = begun.place
    freeze(place.store, LIVE, place.because("incident 12"))
    begun.deliver(3)
    held = run_span(place, begun.day(3))
    assert (held.decision, held.result) == ("promote", "held")
    assert "incident 12" in lanes.outcomes(place.store, LIVE)[-1].reasons[0]
    assert champion(place.store, LIVE).release_id == begun.first.release
    thaw(place.store, LIVE, place.because("over"))
    begun.deliver(4)
    assert run_span(place, begun.day(4)).result == "promoted"
    learnt = load_manifest(place.store, champion(place.store, LIVE).release_id, published=True).lineage.learnt
    assert begun.day(3) in {part.span for part in learnt if part.part == "train"}


def test_a_run_that_was_rolled_back_before_it_was_settled_is_settled_as_promoted_and_stays_withdrawn(gone_on):
    """Its pointer moved, it died, a person took it back: its rerun neither promotes it again nor gets stuck."""
    place = gone_on.place
    outcome = layout.outcome(LIVE, gone_on.day(3))

    class Unsettled(type(place.store)):
        def __init__(self, store):
            self.__dict__ = store.__dict__

        def get(self, key):
            return None if key == outcome else super().get(key)

        def keys(self, prefix):
            return (key for key in super().keys(prefix) if key != outcome)

    roll_back(place, plan_rollback(place, LIVE), WHY)
    unsettled = replace(place, store=Unsettled(place.store))
    progress = start(unsettled, gone_on.day(3))
    for step in (ingest, validate, train, dry_run, gate):
        progress = step(unsettled, progress)
    published = publish(unsettled, progress)
    assert outcome_of(unsettled, published).result == "promoted"
    assert champion(place.store, LIVE).release_id == gone_on.first.release
