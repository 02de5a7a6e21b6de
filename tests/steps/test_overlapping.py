"""Days that overlap, as runs of a backfill do, come to what they come to one after the other; outside of live nobody is asked."""

from dataclasses import replace

import pytest

from widedeep import steps
from widedeep.artifacts import LIVE
from widedeep.errors import OrderError
from widedeep.publishing import lanes
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import champion
from widedeep.publishing.releases import load_manifest
from widedeep.steps import run_span, start

REPLAY = "trial"


def rest(chain, progress):
    """The steps from `train` on."""
    for step in ("train", "dry_run", "gate", "publish", "settle"):
        if not progress.over or step == "settle":
            progress = getattr(steps, step)(chain.place, progress)
    return progress


def copied(chain):
    """The chain as it stands, on a store of its own."""
    store = MemoryStore()
    for key in chain.place.store.keys(""):
        store.create(key, chain.place.store.get(key).data)
    return type(chain)(replace(chain.place, store=store))


def test_days_that_are_validated_before_their_predecessors_settle_give_the_same_models_and_findings(quick):
    for n in (3, 4, 5):
        quick.deliver(n)
    other = copied(quick)
    one_by_one = [run_span(other.place, other.day(n)) for n in (3, 4, 5)]
    validated = []
    for n in (5, 4, 3):  # the later, the earlier
        progress = steps.ingest(quick.place, start(quick.place, quick.day(n), run_id=f"run-{n}"))
        validated.insert(0, steps.validate(quick.place, progress))
    with pytest.raises(OrderError, match=f"span {quick.day(3)} of lane live is unsettled"):
        steps.train(quick.place, validated[1])
    assert [steps.turn(quick.place, LIVE, quick.day(n)) for n in (3, 4, 5)] == [None, quick.day(3), quick.day(3)]

    overlapped = [rest(quick, progress) for progress in validated]

    assert [p.release for p in overlapped] == [p.release for p in one_by_one]
    assert [p.validation for p in overlapped] == [p.validation for p in one_by_one]
    assert [p.validated_at for p in overlapped] == [quick.day(n) for n in (2, 3, 4)]
    for progress in one_by_one:
        files = [load_manifest(chain.place.store, progress.release, published=True).files for chain in (quick, other)]
        assert files[0] == files[1]


def test_a_day_that_failed_checks_which_knew_too_little_is_trained_if_it_passes_in_its_turn(quick):
    for n in (3, 4):
        quick.deliver(n)
    early = steps.validate(quick.place, steps.ingest(quick.place, start(quick.place, quick.day(4))))
    early = early.model_copy(update={"quarantined": True})  # as if it had been found so then
    assert not steps.validated_too_early(quick.place, early)
    run_span(quick.place, quick.day(3))
    assert steps.validated_too_early(quick.place, early)

    assert rest(quick, steps.train(quick.place, early)).result == "promoted"


def test_what_is_unreadable_settled_or_was_never_delivered_is_never_validated_again(quick):
    quick.deliver(3, data=b"no parquet")
    unreadable = steps.ingest(quick.place, start(quick.place, quick.day(3)))
    assert unreadable.quarantined
    missing = steps.ingest(quick.place, start(quick.place, quick.day(4)))
    for progress in (unreadable, missing, run_span(quick.place, quick.day(3))):
        assert not steps.validated_too_early(quick.place, progress)


@pytest.mark.parametrize(("on_hold", "leads"), [("drop", False), ("pass", True)])
def test_outside_of_live_nobody_is_asked_about_a_held_candidate_which_stays_unpromoted_or_leads_as_the_run_says(
    quick, on_hold, leads
):
    gate = quick.place.contract.gate.model_copy(update={"min_users": 1_000_000})
    doubtful = replace(quick.place, contract=quick.place.contract.model_copy(update={"gate": gate}))
    quick.deliver(3)

    progress = run_span(doubtful, quick.day(3), REPLAY, on_hold=on_hold)

    leader = champion(quick.place.store, REPLAY)
    assert progress.decision == "hold"
    assert (leader is not None and leader.release_id == progress.release) == leads
    assert lanes.outcome(quick.place.store, REPLAY, quick.day(3)).result == ("promoted" if leads else "held")
    assert not steps.waits_for_review(quick.place, quick.day(3))


def test_in_live_a_person_is_asked_whatever_the_run_says(quick):
    assert start(quick.place, quick.day(3), on_hold="pass").on_hold == "drop"
    assert start(quick.place, quick.day(3), REPLAY, on_hold="pass").on_hold == "pass"
