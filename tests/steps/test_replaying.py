"""Days are rebuilt in a lane from one on, up to live's head; what is interrupted goes on where it was."""

from dataclasses import replace
from datetime import date, timedelta

import pyarrow.compute as pc
import pytest

from widedeep.artifacts import LIVE
from widedeep.errors import OrderError, StoreUnavailableError, UsageError
from widedeep.publishing import lanes, layout
from widedeep.publishing.moves import freeze
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import load_manifest
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


def releases_of(place, lane, days):
    return [lanes.outcome(place.store, lane, day).release_id for day in days]


def test_the_days_up_to_lives_head_are_rebuilt_in_a_new_lane_and_it_is_told_how_to_promote_it(gone_on):
    place, before = gone_on.place, live_objects(gone_on.place)
    heard, scratch = [], sorted(place.scratch.iterdir())
    plan = plan_replay(place, gone_on.day(4))
    assert plan.days == (gone_on.day(4), gone_on.day(5))
    assert plan.lane.startswith(f"replay-{gone_on.day(4)}-")
    done = replay(place, plan, on_step=lambda where, step: heard.append((where, step)))
    assert [(o.span, o.result) for o in lanes.outcomes(place.store, plan.lane)] == [(day, "promoted") for day in plan.days]
    assert heard[0] == (f"{gone_on.day(4)}, day 1 of 2", "ingest")
    assert heard[-1] == (f"{gone_on.day(5)}, day 2 of 2", "settle")
    assert live_objects(place) == before
    assert sorted(place.scratch.iterdir()) == scratch, "what a day leaves on the disk goes with it"
    told = replayed(place, done)
    assert f"lane {plan.lane}: 2 of 2 day(s) are rebuilt, {gone_on.day(4)} to {gone_on.day(5)}: 2 promoted." in told
    assert f'DAG widedeep_promote_lane with {{"lane": "{plan.lane}", "reason": "…"}}' in told
    assert f'`widedeep promote-lane {plan.lane} --reason "…"`' in told


def test_a_replay_that_was_interrupted_goes_on_in_its_lane_and_makes_what_one_in_one_go_makes(gone_on):
    place, days = gone_on.place, [gone_on.day(n) for n in (3, 4, 5)]
    replay(place, plan_replay(place, days[0], "whole"))

    def stop(where, _step):
        if where.startswith(str(days[2])):
            raise StoreUnavailableError("the machine stopped")

    with pytest.raises(StoreUnavailableError):
        replay(place, plan_replay(place, days[0], AGAIN), on_step=stop)
    plan = plan_replay(place, days[0], AGAIN)
    assert (plan.settled, plan.left) == (tuple(days[:2]), (days[2],))
    assert "2 of them are settled there already, and stay" in plan.told()
    assert plan.place_of(days[2]) == "day 3 of 3"
    assert "3 of 3 day(s) are rebuilt" in replayed(place, replay(place, plan))
    assert releases_of(place, AGAIN, days) == releases_of(place, "whole", days)


def test_a_day_that_live_settles_meanwhile_is_rebuilt_too(gone_on):
    place, later = gone_on.place, gone_on.day(6)
    gone_on.deliver(6)

    def live_goes_on(where, step):
        if where.startswith(str(gone_on.day(5))) and step == "settle":
            run_span(place, later)

    done = replay(place, plan_replay(place, gone_on.day(4), AGAIN), on_step=live_goes_on)
    assert (done.last, done.left) == (later, ())
    assert lanes.head(place.store, AGAIN) == later


def test_a_replay_of_days_that_nobody_delivered_again_makes_the_same_releases(quick):
    """As-of law: history is rebuilt as it was, byte by byte, whatever has been learnt since."""
    days = [quick.day(n) for n in (3, 4)]
    for n in (3, 4):
        quick.deliver(n)
        run_span(quick.place, quick.day(n))
    replay(quick.place, plan_replay(quick.place, days[0], AGAIN))
    assert releases_of(quick.place, AGAIN, days) == releases_of(quick.place, LIVE, days)


@pytest.mark.parametrize(("on_hold", "champions"), [("drop", 0), ("pass", 2)])
def test_nobody_is_asked_what_the_gate_holds_leads_the_lane_or_stays_unpromoted(gone_on, on_hold, champions):
    place = gone_on.place
    strict = place.contract.gate.model_copy(update={"min_users": 1_000_000})
    held = replace(place, contract=place.contract.model_copy(update={"gate": strict}))
    done = replay(held, plan_replay(held, gone_on.day(4), AGAIN), on_hold)
    assert len(list(moves(place.store, AGAIN))) == champions
    assert ("nothing to promote" in replayed(held, done)) is (champions == 0)


def test_days_whose_files_are_gone_are_rebuilt_from_what_was_taken_in(quick):
    quick.deliver(3)
    own = run_span(quick.place, quick.day(3)).candidate.release_id
    quick.place.store.delete(layout.delivery(quick.place.contract.delivery.prefix, quick.day(3)) + "rows.parquet")
    replay(quick.place, plan_replay(quick.place, quick.day(3), AGAIN))
    assert releases_of(quick.place, AGAIN, [quick.day(3)]) == [own]


def test_a_day_on_which_nothing_was_ever_delivered_is_empty_in_a_replay_too(quick):
    assert run_span(quick.place, quick.day(3)).result == "no data"
    done = replay(quick.place, plan_replay(quick.place, quick.day(3), AGAIN))
    told = replayed(quick.place, done)
    assert "1 no data. None of its candidates passed the gate: nothing to promote." in told


def test_a_day_of_the_history_is_replayed_with_the_days_before_it(gone_on):
    """The bootstrap learnt them in one go, so nobody is the parent, and the days before are pending."""
    place, day = gone_on.place, gone_on.day(1)
    replay(place, plan_replay(place, day, AGAIN))
    first = load_manifest(place.store, releases_of(place, AGAIN, [day])[0], published=True)
    assert first.lineage.parent is None
    assert {part.span for part in first.lineage.learnt if part.part == "train"} == {gone_on.day(0), day}


def test_a_lane_that_lags_is_brought_up_to_date_as_its_refusal_says(gone_on):
    place = gone_on.place
    replay(place, plan_replay(place, gone_on.day(4), AGAIN))
    gone_on.deliver(6)
    run_span(place, gone_on.day(6))
    with pytest.raises(OrderError, match=f"`widedeep replay --from {gone_on.day(6)} --lane {AGAIN}`"):
        plan_lane_promotion(place, AGAIN)
    replay(place, plan_replay(place, gone_on.day(6), AGAIN))
    plan = plan_lane_promotion(place, AGAIN)
    assert (
        promote_lane(place, AGAIN, compare_lane(place, plan), "corrected").release_id == champion(place.store, AGAIN).release_id
    )


def test_of_a_day_that_was_delivered_again_its_run_names_every_descendant_and_the_replay_rebuilds_them(gone_on, caplog):
    place, day = gone_on.place, gone_on.day(4)
    heirs = descendants(place.store, day, 1)
    assert len(heirs) == 2
    for _ in ("taken in", "told again"):
        caplog.clear()
        assert run_span(place, day).result == "promoted", "it is settled already"
        (said,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
        assert f"2 release(s) learnt an older version of {day} than v2" in said
        assert all(f"{heir.release_id} of {heir.span}" in said for heir in heirs)
        assert f'the DAG widedeep_replay with {{"from": "{day}"}}, or `widedeep replay --from {day}`' in said
    replay(place, plan_replay(place, day, AGAIN))
    assert [o.span for o in lanes.outcomes(place.store, AGAIN)] == [heir.span for heir in heirs]
    plan = plan_lane_promotion(place, AGAIN)
    promote_lane(place, AGAIN, compare_lane(place, plan), "corrected")
    assert how_to_replay(day, 2, descendants(place.store, day)) is None, "live has learnt it"


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
    for lane in (AGAIN, plan_replay(place, gone_on.day(4), "opened").lane):
        with pytest.raises(OrderError, match=f"lane {lane} begins at {gone_on.day(4)}, and no lane grows backwards"):
            plan_replay(place, gone_on.day(3), lane)
    with pytest.raises(OrderError, match=f"next day of lane opened is {gone_on.day(4)}, and none can be left out"):
        plan_replay(place, gone_on.day(5), "opened")
    for n in (6, 7):
        gone_on.deliver(n)
        run_span(place, gone_on.day(n))
    with pytest.raises(OrderError, match=f"the next day of lane {AGAIN} is {gone_on.day(5)}, and none can be left out"):
        plan_replay(place, gone_on.day(6), AGAIN)


def test_a_lane_that_live_has_adopted_is_not_replayed_into(gone_on):
    place = gone_on.place
    replay(place, plan_replay(place, gone_on.day(4), AGAIN))
    plan = plan_lane_promotion(place, AGAIN)
    promote_lane(place, AGAIN, compare_lane(place, plan), "corrected")
    with pytest.raises(UsageError, match="live has adopted lane again"):
        plan_replay(place, gone_on.day(5), AGAIN)


def test_a_frozen_live_lane_does_not_stop_a_replay(gone_on):
    freeze(gone_on.place.store, LIVE, gone_on.place.because("incident"))
    done = replay(gone_on.place, plan_replay(gone_on.place, gone_on.day(4), AGAIN))
    assert "2 promoted" in replayed(gone_on.place, done)


def test_the_name_of_a_new_lane_follows_from_its_day_and_what_it_is_told():
    first = date(2026, 3, 5)
    assert new_lane(first, "run 1") == new_lane(first, "run 1") != new_lane(first, "run 2")
    assert new_lane(first, "run 1") != new_lane(first + timedelta(days=1), "run 1")
