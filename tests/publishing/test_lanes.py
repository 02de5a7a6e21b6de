"""Lanes: order, and parents."""

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.artifacts import LIVE, Outcome
from widedeep.errors import IntegrityError, OrderError
from widedeep.publishing import lanes, layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import champion
from widedeep.publishing.s3 import S3Store

OutcomeOf = Callable[..., Outcome]


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


@given(settled=st.sets(st.integers(1, 20)), number=st.integers(1, 25))
def test_a_span_waits_for_the_first_gap_after_the_lanes_first_span(outcome_of: OutcomeOf, settled: set[int], number: int) -> None:
    history = [outcome_of(day(i), "held") for i in settled]
    gaps = [i for i in range(min(settled, default=0), number) if i not in settled] if settled else []
    assert lanes.first_unsettled(history, day(number)) == (day(gaps[0]) if gaps else None)


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
