"""Lanes: order, parents, and one pointer that moves only to what it was compared with."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.artifacts import LIVE, Candidate, ChampionPointer, Outcome, Release, Verdict
from widedeep.errors import IntegrityError, OrderError, StaleError, UsageError
from widedeep.publishing import lanes, layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.releases import load_manifest, publish
from widedeep.publishing.s3 import S3Store
from widedeep.publishing.store import ObjectStore

NOW = datetime(2026, 1, 9, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)

Staged = Callable[..., Candidate]
VerdictOn = Callable[..., Verdict]
OutcomeOf = Callable[..., Outcome]
Judged = Callable[..., tuple[Release, Verdict]]


def day(number: int) -> date:
    return date(2026, 1, number)


@pytest.fixture
def judged(staged: Staged, verdict_on: VerdictOn) -> Judged:
    """A published release and the verdict that compared it with another one."""

    def judged(store: ObjectStore, number: int, champion: Release | None = None, seed: int = 0) -> tuple[Release, Verdict]:
        candidate = staged(store, day(number), champion.release_id if champion else None, seed)
        manifest = load_manifest(store, champion.release_id, published=True) if champion else None
        verdict = verdict_on(candidate, manifest)
        return publish(store, candidate, verdict), verdict

    return judged


def move(store: ObjectStore, release: Release, verdict: Verdict, lane: str = LIVE, at: datetime = NOW) -> ChampionPointer:
    return lanes.promote(store, lane, release, verdict, now=at, by="test", reason="better")


def test_the_pointer_moves_from_nobody_to_a_release_and_on(s3_store: S3Store, judged: Judged) -> None:
    assert lanes.champion(s3_store, LIVE) is None
    first, verdict = judged(s3_store, 5)
    assert move(s3_store, first, verdict).sequence == 1
    second, verdict = judged(s3_store, 6, first)
    pointer = move(s3_store, second, verdict)
    assert (pointer.sequence, pointer.previous, pointer.release_id) == (2, first.release_id, second.release_id)
    assert lanes.champion(s3_store, LIVE)[0] == pointer


def test_promoting_again_finds_the_pointer_there(store: MemoryStore, judged: Judged) -> None:
    first, verdict = judged(store, 5)
    pointer = move(store, first, verdict)
    assert move(store, first, verdict, at=LATER) == pointer


def test_a_release_compared_with_somebody_else_is_not_promoted(store: MemoryStore, judged: Judged) -> None:
    first, verdict = judged(store, 5)
    move(store, first, verdict)
    second, verdict = judged(store, 6, first)
    pointer = move(store, second, verdict)
    for champion in (None, first):
        release, verdict = judged(store, 7, champion, seed=2)
        with pytest.raises(StaleError, match="Run the gate again"):
            move(store, release, verdict)
    assert lanes.champion(store, LIVE)[0] == pointer


def test_a_release_compared_with_other_bytes_of_the_champion_is_not_promoted(store: MemoryStore, judged: Judged) -> None:
    first, verdict = judged(store, 5)
    move(store, first, verdict)
    second, verdict = judged(store, 6, first)
    with pytest.raises(StaleError):
        move(store, second, verdict.model_copy(update={"champion_manifest_sha256": "1" * 64}))


def test_the_pointer_never_moves_to_an_earlier_span(store: MemoryStore, judged: Judged) -> None:
    first, verdict = judged(store, 6)
    move(store, first, verdict)
    earlier, verdict = judged(store, 5, first)
    with pytest.raises(OrderError, match="never moves back"):
        move(store, earlier, verdict)


@pytest.mark.parametrize("decision", ["hold", "reject"])
def test_only_a_verdict_to_promote_moves_the_pointer(store: MemoryStore, judged: Judged, decision: str) -> None:
    release, verdict = judged(store, 5)
    with pytest.raises(UsageError, match="wanted 'promote'"):
        move(store, release, verdict.model_copy(update={"decision": decision}))
    assert lanes.champion(store, LIVE) is None


def test_a_verdict_about_another_release_moves_nothing(store: MemoryStore, judged: Judged) -> None:
    release, _ = judged(store, 5)
    _, verdict = judged(store, 5, seed=1)
    with pytest.raises(UsageError, match="Run the gate"):
        move(store, release, verdict)


def test_a_release_that_is_not_published_is_not_promoted(store: MemoryStore, judged: Judged) -> None:
    release, verdict = judged(store, 5)
    del store.objects[layout.manifest(release.release_id)]
    with pytest.raises(IntegrityError, match="missing"):
        move(store, release, verdict)
    assert lanes.champion(store, LIVE) is None


def test_of_racing_promotions_of_different_releases_one_wins(store: MemoryStore, judged: Judged) -> None:
    first, verdict = judged(store, 5)
    move(store, first, verdict)
    rivals = [judged(store, 6, first, seed=seed) for seed in range(10)]

    def attempt(rival: tuple[Release, Verdict]) -> ChampionPointer | None:
        try:
            return move(store, *rival)
        except StaleError:
            return None

    with ThreadPoolExecutor(10) as pool:
        won = [pointer for pointer in pool.map(attempt, rivals) if pointer]
    assert won == [lanes.champion(store, LIVE)[0]]
    assert won[0].sequence == 2


class LateRival(MemoryStore):
    """Lets somebody else move the pointer between the last look at it and the swap."""

    meanwhile: Callable[[], object] | None = None

    def swap(self, key: str, data: bytes, expected_etag: str | None) -> str:
        if self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super().swap(key, data, expected_etag)


def test_two_that_promote_the_same_release_at_once_both_succeed_with_one_move(judged: Judged) -> None:
    store = LateRival()
    release, verdict = judged(store, 5)
    store.meanwhile = lambda: move(store, release, verdict, at=LATER)
    assert move(store, release, verdict) == lanes.champion(store, LIVE)[0]
    assert lanes.champion(store, LIVE)[0].moved_at == LATER


def test_who_is_overtaken_between_look_and_swap_is_stale(judged: Judged) -> None:
    store = LateRival()
    release, verdict = judged(store, 5)
    rival = judged(store, 5, seed=1)
    store.meanwhile = lambda: move(store, *rival)
    with pytest.raises(StaleError):
        move(store, release, verdict)
    assert lanes.champion(store, LIVE)[0].release_id == rival[0].release_id


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


RESULTS = ["promoted", "held", "rejected", "quarantined", "no data", "learnt"]


@given(results=st.lists(st.sampled_from(RESULTS), max_size=12), number=st.integers(1, 14))
def test_the_parent_is_the_newest_release_promoted_before_the_span(
    outcome_of: OutcomeOf, results: list[str], number: int
) -> None:
    history = [outcome_of(day(i + 1), result, f"r-{i + 1:016x}") for i, result in enumerate(results)]
    earlier = [i + 1 for i, result in enumerate(results) if result == "promoted" and i + 1 < number]
    assert lanes.parent_as_of(reversed(history), day(number)) == (f"r-{earlier[-1]:016x}" if earlier else None)


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


def test_a_branch_promotes_what_was_compared_with_where_it_branched_off_and_leaves_live_alone(
    store: MemoryStore, judged: Judged, outcome_of: OutcomeOf
) -> None:
    first, verdict = judged(store, 4)
    pointer = move(store, first, verdict)
    lanes.settle(store, outcome_of(day(4), "promoted", first.release_id))
    replayed, verdict = judged(store, 5, first)
    with pytest.raises(StaleError):
        move(store, *judged(store, 5, seed=1), lane="trial")
    assert move(store, replayed, verdict, lane="trial").sequence == 1
    assert lanes.champion(store, LIVE)[0] == pointer


def test_damaged_records_of_a_lane_are_told_with_their_keys(store: MemoryStore, outcome_of: OutcomeOf) -> None:
    lanes.settle(store, outcome_of(day(4), "held"))
    store.objects[layout.outcome(LIVE, day(4))] = b"{}"
    store.objects[layout.champion(LIVE)] = b"{"
    with pytest.raises(IntegrityError, match=r"lanes/live/spans/2026-01-04.json: got no Outcome \(lane: Field required\)"):
        lanes.outcomes(store, LIVE)
    with pytest.raises(IntegrityError, match=r"lanes/live/champion.json: got no ChampionPointer"):
        lanes.champion(store, LIVE)
