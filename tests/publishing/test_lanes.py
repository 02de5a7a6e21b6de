"""Lanes: order, and parents."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.artifacts import LIVE, Backfill, Outcome
from widedeep.errors import IntegrityError, OrderError
from widedeep.publishing import lanes, layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import champion
from widedeep.publishing.s3 import S3Store

OutcomeOf = Callable[..., Outcome]
NOW = datetime(2026, 2, 1, tzinfo=UTC)


def day(number: int) -> date:
    return date(2026, 1, number)


def test_the_first_outcome_of_a_span_stands(store: MemoryStore, outcome_of: OutcomeOf) -> None:
    first = lanes.settle(store, outcome_of(day(5), "held"))
    assert lanes.settle(store, outcome_of(day(5), "rejected")) == first
    assert lanes.outcomes(store, LIVE) == (first,)


def test_outcomes_come_in_span_order_and_the_head_is_the_latest(s3_store: S3Store, outcome_of: OutcomeOf) -> None:
    assert lanes.head(s3_store, LIVE) is None
    for number in (7, 5, 6):
        lanes.settle(s3_store, outcome_of(day(number), "held"))
    assert [o.span.day for o in lanes.outcomes(s3_store, LIVE)] == [5, 6, 7]
    assert lanes.head(s3_store, LIVE) == day(7)


def test_an_outcome_that_no_verdict_held_is_told_by_the_bytes_that_it_always_had(outcome_of: OutcomeOf) -> None:
    told = outcome_of(day(5), "held").to_bytes()
    assert told == (
        b'{"lane":"live","learnt":[],"reasons":["so"],"release_id":null,"replaces":null,"result":"held",'
        b'"settled_at":"2026-01-01T00:00:00Z","settled_by":"test","snapshot":null,"span":"2026-01-05","validation":null}'
    )
    assert Outcome.from_bytes(told).verdict is None


RESULTS = ["promoted", "held", "rejected", "quarantined", "no data", "learnt"]


@given(results=st.lists(st.sampled_from(RESULTS), max_size=12), number=st.integers(1, 14))
def test_the_parent_is_the_newest_release_promoted_before_the_span(
    outcome_of: OutcomeOf, results: list[str], number: int
) -> None:
    history = [outcome_of(day(i + 1), result, f"r-{i + 1:016x}") for i, result in enumerate(results)]
    earlier = [i + 1 for i, result in enumerate(results) if result == "promoted" and i + 1 < number]
    assert lanes.parent_as_of(reversed(history), day(number)) == (f"r-{earlier[-1]:016x}" if earlier else None)


@given(promoted=st.sets(st.integers(1, 25)), number=st.integers(1, 27), days=st.integers(1, 10), gone=st.sets(st.integers(1, 25)))
def test_the_anchor_is_the_newest_release_that_is_so_many_days_old_and_in_a_young_chain_the_oldest(
    outcome_of: OutcomeOf, promoted: set[int], number: int, days: int, gone: set[int]
) -> None:
    history = [outcome_of(day(i), "promoted", f"r-{i:016x}") for i in promoted]
    standing = sorted(i for i in promoted - gone if i < number)
    old = [i for i in standing if i <= number - days]
    young = [i for i in standing if i > number - days]
    found = lanes.anchors_as_of(history, day(number), days, {f"r-{i:016x}" for i in gone})
    assert found == [f"r-{i:016x}" for i in (*old[-1:], *young)]


@given(settled=st.sets(st.integers(1, 20)), number=st.integers(1, 25), begins=st.none() | st.integers(1, 25))
def test_a_span_waits_for_the_first_gap_since_the_lane_began(settled: set[int], number: int, begins: int | None) -> None:
    first = min([*settled, *([begins] if begins else [])], default=number)
    gaps = [i for i in range(first, number) if i not in settled]
    found = lanes.first_unsettled({day(i) for i in settled}, day(number), day(begins) if begins else None)
    assert found == (day(gaps[0]) if gaps else None)


@given(live=st.sets(st.integers(1, 20)), own=st.sets(st.integers(5, 20)), number=st.integers(5, 25))
def test_what_a_span_waits_for_is_told_without_reading_an_outcome_as_from_the_history(
    outcome_of: OutcomeOf, live: set[int], own: set[int], number: int
) -> None:
    store = MemoryStore()
    lanes.open_lane(store, "trial", day(5), NOW, "test")
    for lane, settled in ((LIVE, live), ("trial", own)):
        for i in settled:
            lanes.settle(store, outcome_of(day(i), "held", lane=lane))
    for lane in (LIVE, "trial"):
        begins = day(5) if lane == "trial" else None
        known = {o.span for o in lanes.history(store, lane, day(number))}
        assert lanes.unsettled_before(store, lane, day(number)) == lanes.first_unsettled(known, day(number), begins)
        assert lanes.settled_until(store, lane, day(number)) == max((d for d in known if d < day(number)), default=None)


def test_a_lane_that_was_opened_waits_for_its_first_day_whatever_comes_first(store: MemoryStore, outcome_of: OutcomeOf) -> None:
    for number in (3, 4, 5, 6):
        lanes.settle(store, outcome_of(day(number), "promoted", f"r-{number:016x}"))
    lanes.open_lane(store, "trial", day(4), NOW, "test")
    assert [lanes.unsettled_before(store, "trial", day(n)) for n in (4, 5, 6)] == [None, day(4), day(4)]
    assert [o.span.day for o in lanes.history(store, "trial", day(6))] == [3]  # not live's own day 4 and 5
    lanes.settle(store, outcome_of(day(4), "rejected", lane="trial"))
    assert [lanes.unsettled_before(store, "trial", day(n)) for n in (5, 6)] == [None, day(5)]


def test_who_opens_a_lane_first_decides_where_it_begins(store: MemoryStore) -> None:
    first = lanes.open_lane(store, "trial", day(4), NOW, "ann")
    assert lanes.open_lane(store, "trial", day(6), NOW, "bob") == first
    with pytest.raises(OrderError, match="span 2026-01-03: lane trial begins at 2026-01-04"):
        lanes.open_lane(store, "trial", day(3), NOW, "bob")


def test_an_empty_live_lane_begins_with_the_first_day_that_is_scheduled(store: MemoryStore, outcome_of: OutcomeOf) -> None:
    assert lanes.unsettled_before(store, LIVE, day(5)) is None
    assert lanes.unsettled_before(store, LIVE, day(5), day(3)) == day(3)
    lanes.settle(store, outcome_of(day(4), "held"))
    assert lanes.unsettled_before(store, LIVE, day(6), day(3)) == day(5)  # what was learnt before a schedule began counts


@pytest.mark.parametrize("moved_on", [False, True])
def test_runs_of_a_backfill_agree_on_what_extends_live_whatever_live_does_meanwhile(
    store: MemoryStore, outcome_of: OutcomeOf, moved_on: bool
) -> None:
    for number in (4, 5):
        lanes.settle(store, outcome_of(day(number), "promoted", f"r-{number:016x}"))
    asked = Backfill(lane="backfill-1", first=day(4))
    assert lanes.lane_of_backfill(store, day(5), asked, NOW, "test") == "backfill-1"
    if moved_on:
        lanes.settle(store, outcome_of(day(6), "promoted", f"r-{6:016x}"))
    found = [lanes.lane_of_backfill(store, day(n), asked, NOW, "test") for n in (4, 5, 6, 7)]
    assert found == ["backfill-1", "backfill-1", LIVE, LIVE]


def test_a_backfill_with_a_gap_is_refused_behind_the_gap_but_not_where_it_extends_live(
    store: MemoryStore, outcome_of: OutcomeOf
) -> None:
    for number in (3, 4, 5):
        lanes.settle(store, outcome_of(day(number), "promoted", f"r-{number:016x}"))
    asked = Backfill(lane="backfill-1", first=day(3), left_out=(day(4),))
    assert lanes.lane_of_backfill(store, day(3), asked, NOW, "test") == "backfill-1"
    with pytest.raises(OrderError, match=r"leaves out 20\d\d-\d\d-\d\d, where runs are already.*'All Runs'"):
        lanes.lane_of_backfill(store, day(5), asked, NOW, "test")
    assert lanes.lane_of_backfill(store, day(6), asked, NOW, "test") == LIVE


def test_in_an_empty_store_a_backfill_extends_live(store: MemoryStore) -> None:
    asked = Backfill(lane="backfill-1", first=day(4))
    assert {lanes.lane_of_backfill(store, day(n), asked, NOW, "test") for n in (4, 5, 6)} == {LIVE}


def test_a_span_behind_the_live_head_gets_a_lane_of_its_own(store: MemoryStore, outcome_of: OutcomeOf) -> None:
    assert lanes.resolve_lane(store, day(5), None) == LIVE
    for number in (5, 6):
        lanes.settle(store, outcome_of(day(number), "held"))
    assert [lanes.resolve_lane(store, day(n), None) for n in (4, 5, 6, 7)] == ["replay-2026-01-04", LIVE, LIVE, LIVE]


def test_a_requested_lane_wins_unless_it_has_gone_past_the_span(store: MemoryStore, outcome_of: OutcomeOf) -> None:
    lanes.settle(store, outcome_of(day(6), "held"))
    assert lanes.resolve_lane(store, day(5), "trial") == "trial"
    with pytest.raises(OrderError, match="replay-2026-01-05"):
        lanes.resolve_lane(store, day(5), LIVE)


def test_another_lane_branches_off_from_live_before_its_first_span(store: MemoryStore, outcome_of: OutcomeOf) -> None:
    for number in (3, 4, 5, 6):
        lanes.settle(store, outcome_of(day(number), "promoted", f"r-{number:016x}"))
    assert [o.span.day for o in lanes.history(store, "trial", day(5))] == [3, 4]
    lanes.settle(store, outcome_of(day(5), "rejected", lane="trial"))
    history = lanes.history(store, "trial", day(6))
    assert [(o.lane, o.span.day) for o in history] == [(LIVE, 3), (LIVE, 4), ("trial", 5)]
    assert lanes.parent_as_of(history, day(6)) == f"r-{4:016x}"
    assert lanes.history(store, LIVE, day(6)) == lanes.outcomes(store, LIVE)


def test_damaged_records_of_a_lane_are_told_with_their_keys(store: MemoryStore, outcome_of: OutcomeOf) -> None:
    lanes.settle(store, outcome_of(day(4), "held"))
    store.objects[layout.outcome(LIVE, day(4))] = b"{}"
    store.objects[layout.champion(LIVE)] = b"{"
    with pytest.raises(IntegrityError, match=r"lanes/live/spans/2026-01-04.json: got no Outcome \(lane: Field required\)"):
        lanes.outcomes(store, LIVE)
    with pytest.raises(IntegrityError, match=r"lanes/live/champion.json: got no ChampionPointer"):
        champion(store, LIVE)
