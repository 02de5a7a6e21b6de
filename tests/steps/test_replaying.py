"""Days are rebuilt in a lane from one on, up to live's head; what is interrupted goes on where it was."""

from datetime import date, timedelta

import pyarrow.compute as pc
import pytest

from widedeep.artifacts import LIVE
from widedeep.errors import OrderError, StoreUnavailableError, UsageError
from widedeep.publishing import lanes, layout
from widedeep.publishing.moves import freeze
from widedeep.publishing.pointer import champion
from widedeep.steps import compare_lane, new_lane, plan_lane_promotion, plan_replay, promote_lane, replay, replayed, run_span
from widedeep.steps.descent import descendants, how_to_replay

AGAIN = "again"


@pytest.fixture
def gone_on(quick):
    """Live has settled days 3 to 5; day 4 was delivered again, with other prices, since."""
    gate = quick.place.contract.gate.model_copy(update={"margin": 0.5})
    object.__setattr__(quick.place, "contract", quick.place.contract.model_copy(update={"gate": gate}))
    for n in (3, 4, 5):
        quick.deliver(n)
        assert run_span(quick.place, quick.day(n)).result == "promoted"
    rows = quick.rows(4)
    quick.deliver_again(4, rows.set_column(4, "price", pc.add(rows["price"], 1.0)))
    return quick


def live_objects(place):
    return {key: data for key, data in place.store.objects.items() if key.startswith("lanes/live/")}


def test_the_days_up_to_lives_head_are_rebuilt_in_a_new_lane_and_it_is_told_how_to_promote_it(gone_on):
    place, before = gone_on.place, live_objects(gone_on.place)
    heard = []
    plan = plan_replay(place, gone_on.day(4))
    assert plan.days == (gone_on.day(4), gone_on.day(5))
    assert plan.lane.startswith(f"replay-{gone_on.day(4)}-")
    done = replay(place, plan, on_step=lambda day, step: heard.append((day, step)))
    assert [(progress.lane, progress.span, progress.result) for progress in done] == [
        (plan.lane, day, "promoted") for day in plan.days
    ]
    assert heard[0] == (gone_on.day(4), "ingest")
    assert heard[-1] == (gone_on.day(5), "settle")
    assert live_objects(place) == before
    told = replayed(place, plan)
    assert f"lane {plan.lane}: 2 of 2 day(s) are rebuilt, {gone_on.day(4)} to {gone_on.day(5)}: 2 promoted." in told
    assert f'DAG widedeep_promote_lane with {{"lane": "{plan.lane}", "reason": "…"}}' in told
    assert f'`widedeep promote-lane {plan.lane} --reason "…"`' in told


def test_a_replay_that_was_interrupted_goes_on_in_its_lane_and_makes_what_one_in_one_go_makes(gone_on):
    place = gone_on.place
    whole = replay(place, plan_replay(place, gone_on.day(3), "whole"))

    def stop(day, _step):
        if day == gone_on.day(5):
            raise StoreUnavailableError("the machine stopped")

    with pytest.raises(StoreUnavailableError):
        replay(place, plan_replay(place, gone_on.day(3), AGAIN), on_step=stop)
    plan = plan_replay(place, gone_on.day(3), AGAIN)
    assert plan.settled == (gone_on.day(3), gone_on.day(4))
    assert "2 of them are settled there already, and stay" in plan.told()
    assert f"widedeep replay --from {gone_on.day(3)} --lane {AGAIN}" in replayed(place, plan)
    done = replay(place, plan)
    assert [progress.release for progress in done] == [progress.release for progress in whole]
    assert "3 of 3 day(s) are rebuilt" in replayed(place, plan)


def test_a_replay_of_days_that_nobody_delivered_again_makes_the_same_releases(quick):
    """As-of law: history is rebuilt as it was, byte by byte, whatever has been learnt since."""
    for n in (3, 4):
        quick.deliver(n)
        run_span(quick.place, quick.day(n))
    done = replay(quick.place, plan_replay(quick.place, quick.day(3), AGAIN))
    own = [lanes.outcome(quick.place.store, LIVE, quick.day(n)).release_id for n in (3, 4)]
    assert [lanes.outcome(quick.place.store, AGAIN, p.span).release_id for p in done] == own


def test_days_whose_files_are_gone_are_rebuilt_from_what_was_taken_in(quick):
    quick.deliver(3)
    own = run_span(quick.place, quick.day(3)).candidate.release_id
    quick.place.store.delete(layout.delivery(quick.place.contract.delivery.prefix, quick.day(3)) + "rows.parquet")
    (done,) = replay(quick.place, plan_replay(quick.place, quick.day(3), AGAIN))
    assert (done.candidate.release_id, done.no_data) == (own, None)


def test_a_day_on_which_nothing_was_ever_delivered_is_empty_in_a_replay_too(quick):
    assert run_span(quick.place, quick.day(3)).result == "no data"
    (done,) = replay(quick.place, plan_replay(quick.place, quick.day(3), AGAIN))
    assert done.result == "no data"
    told = replayed(quick.place, plan_replay(quick.place, quick.day(3), AGAIN))
    assert "1 no data. None of its candidates passed the gate: nothing to promote." in told


def test_a_lane_that_lags_is_brought_up_to_date_as_its_refusal_says(gone_on):
    place = gone_on.place
    replay(place, plan_replay(place, gone_on.day(4), AGAIN))
    gone_on.deliver(6)
    run_span(place, gone_on.day(6))
    with pytest.raises(OrderError, match=f"`widedeep replay --from {gone_on.day(6)} --lane {AGAIN}`"):
        plan_lane_promotion(place, AGAIN)
    replay(place, plan_replay(place, gone_on.day(6), AGAIN))
    plan = plan_lane_promotion(place, AGAIN)
    assert promote_lane(place, plan, compare_lane(place, plan), "corrected").release_id == champion(place.store, AGAIN).release_id


def test_of_a_day_that_was_delivered_again_the_next_run_names_every_descendant_and_the_replay_rebuilds_them(gone_on):
    place = gone_on.place
    gone_on.deliver(6)
    run_span(place, gone_on.day(6))
    heirs = descendants(place.store, gone_on.day(4), 1)
    assert len(heirs) == 3
    told = how_to_replay(gone_on.day(4), 2, descendants(place.store, gone_on.day(4)))
    assert all(f"{heir.release_id} of {heir.span}" in told for heir in heirs)
    done = replay(place, plan_replay(place, gone_on.day(4), AGAIN))
    assert {progress.span for progress in done} == {heir.span for heir in heirs}
    assert how_to_replay(gone_on.day(4), 2, descendants(place.store, gone_on.day(4), 2)) is None


def test_a_day_with_descendants_without_end_is_told_in_a_message_that_ends(gone_on):
    many = descendants(gone_on.place.store, gone_on.day(4)) * 30
    told = how_to_replay(gone_on.day(4), 2, many)
    assert f"60 release(s) learnt an older version of {gone_on.day(4)} than v2" in told
    assert f"and 20 more (`widedeep descendants --span {gone_on.day(4)}` lists all)" in told
    assert told.count("r-") < 45


@pytest.mark.parametrize(
    ("n", "lane", "said"),
    [
        (9, None, "live has settled no such day, wanted one of 2026-03-02 to 2026-03-07"),
        (-1, None, "live has settled no such day"),
        (4, LIVE, "got lane live, wanted another one"),
        (4, "My Lane", "wanted small letters"),
    ],
)
def test_what_can_not_be_replayed_is_wrong_usage_and_says_what_can(gone_on, n, lane, said):
    with pytest.raises(UsageError, match=said):
        plan_replay(gone_on.place, gone_on.day(n), lane)


def test_a_lane_begins_no_earlier_than_it_did_and_leaves_no_day_out(gone_on):
    place = gone_on.place
    run_span(place, gone_on.day(4), AGAIN)
    with pytest.raises(OrderError, match=f"begins at {gone_on.day(4)}, wanted {gone_on.day(3)}"):
        plan_replay(place, gone_on.day(3), AGAIN)
    for n in (6, 7):
        gone_on.deliver(n)
        run_span(place, gone_on.day(n))
    with pytest.raises(OrderError, match=f"would leave days out. Use --from {gone_on.day(5)}"):
        plan_replay(place, gone_on.day(6), AGAIN)


def test_a_lane_that_live_has_adopted_is_not_replayed_into(gone_on):
    place = gone_on.place
    replay(place, plan_replay(place, gone_on.day(4), AGAIN))
    plan = plan_lane_promotion(place, AGAIN)
    promote_lane(place, plan, compare_lane(place, plan), "corrected")
    with pytest.raises(UsageError, match="live has adopted lane again"):
        plan_replay(place, gone_on.day(5), AGAIN)


def test_a_frozen_live_lane_does_not_stop_a_replay(gone_on):
    freeze(gone_on.place.store, LIVE, gone_on.place.because("incident"))
    done = replay(gone_on.place, plan_replay(gone_on.place, gone_on.day(4), AGAIN))
    assert [progress.result for progress in done] == ["promoted", "promoted"]


def test_the_name_of_a_new_lane_follows_from_its_day_and_what_it_is_told():
    first = date(2026, 3, 5)
    assert new_lane(first, "run 1") == new_lane(first, "run 1") != new_lane(first, "run 2")
    assert new_lane(first, "run 1") != new_lane(first + timedelta(days=1), "run 1")
