"""What a rollback says that it would do, and when it says that it can't."""

from dataclasses import replace
from datetime import date

import pytest

from widedeep.artifacts import LIVE, Candidate
from widedeep.data.contract import Pending
from widedeep.errors import OrderError
from widedeep.publishing import lanes
from widedeep.publishing.moves import freeze
from widedeep.publishing.pointer import champion
from widedeep.steps import RollbackPlan, plan_rollback, roll_back, run_span
from widedeep.steps.descent import Heir

DAYS = tuple(date(2026, 1, n) for n in (5, 6, 7))
TO = Candidate(release_id="r-0123456789abcdef", span=date(2026, 1, 4), parent=None, manifest_sha256="0" * 64)


def plan_of(**changes):
    return RollbackPlan(lane=LIVE, sequence=4, champion="r-fedcba9876543210", to=TO, withdrawn=(), **{"pending": DAYS} | changes)


def test_what_is_learnt_again_is_told_with_how_many_spans_a_candidate_takes():
    assert plan_of(at_once=3).told().endswith("; to be learnt again: 2026-01-05, 2026-01-06, 2026-01-07")
    assert "to be learnt again, at most 2 by each candidate: 2026-01-05" in plan_of(at_once=2).told()


def test_what_the_contract_drops_is_not_said_to_be_learnt_again():
    told = plan_of(pending=(), forgotten=DAYS).told()
    assert told.endswith(
        "to be learnt again: none; never learnt again, by the contract's rule 'drop': 2026-01-05, 2026-01-06, 2026-01-07"
    )


def test_what_was_trained_from_a_withdrawn_release_is_named_with_its_lanes_and_no_lane_goes_on_from_it(quick):
    place = quick.place
    for n in (3, 4, 5, 6):
        quick.deliver(n)
    withdrawn = run_span(place, quick.day(3)).release
    freeze(place.store, LIVE, place.because("incident"))
    held = run_span(place, quick.day(4))
    promoted = [run_span(place, quick.day(n), "again") for n in (4, 5)]
    assert [progress.result for progress in (held, *promoted)] == ["held", "promoted", "promoted"]
    assert held.release == promoted[0].release, "a lane is no part of an id"
    plan = plan_rollback(place, LIVE)
    assert plan.withdrawn == (withdrawn,)
    assert plan.heirs == (
        Heir(release_id=held.release, span=quick.day(4), lanes=("again", LIVE)),
        Heir(release_id=promoted[1].release, span=quick.day(5), lanes=("again",)),
    )
    first, second = (f"{heir.release_id} of span {heir.span}" for heir in plan.heirs)
    assert f"withdrawn: {withdrawn}; trained from them: {first} (lane again, live), {second} (lane again); to be" in plan.told()
    assert RollbackPlan.from_bytes(plan.to_bytes()) == plan
    roll_back(place, plan, "worse")
    after = run_span(place, quick.day(6), "again")
    assert (after.candidate.parent, after.withheld) == (quick.first.release, None)


def test_a_plan_of_before_there_were_heirs_is_still_carried_out():
    told = plan_of().model_dump(mode="json")
    del told["heirs"]
    assert RollbackPlan.model_validate(told) == plan_of()


def test_a_rollback_whose_rows_were_pruned_is_refused_with_their_spans_unless_the_contract_drops_them(begun):
    place = begun.place
    begun.deliver(3)
    assert run_span(place, begun.day(3)).result == "promoted"
    assert plan_rollback(place, LIVE).pending == (begun.day(3),)
    standing, rows = champion(place.store, LIVE), lanes.outcomes(place.store, LIVE)[-1].snapshot
    place.store.delete(rows.file.name)
    with pytest.raises(OrderError, match=f"no rows of {begun.day(3)}"):
        plan_rollback(place, LIVE)
    assert champion(place.store, LIVE) == standing
    split = place.contract.split.model_copy(update={"pool_spans": 1})
    dropping = place.contract.model_copy(update={"pending": Pending(rule="drop"), "split": split})
    planned = plan_rollback(replace(place, contract=dropping), LIVE)
    assert (planned.pending, planned.forgotten) == ((), (begun.day(3),))
