"""Moves of the champion pointer: only to what was compared, never lost, and back again."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from widedeep.artifacts import LIVE, Candidate, ChampionPointer, FileRef, Lineage, Outcome, Release, Snapshot, Verdict, sha256
from widedeep.errors import IntegrityError, OrderError, SignatureError, StaleError, SupersededError, UsageError, WithheldError
from widedeep.publishing import lanes, layout
from widedeep.publishing.keys import Signer, Trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.moves import Because, adopt, approve, freeze, promote, rollback, thaw, withdrawing
from widedeep.publishing.pointer import champion, moves, standing, withdrawn
from widedeep.publishing.releases import load_manifest, publish, stage
from widedeep.publishing.s3 import S3Store
from widedeep.publishing.signing import MANIFEST_TYPE, Signature, authenticated, check_move, sign_move
from widedeep.publishing.store import Blob, ObjectStore
from widedeep.views.found import lane_keys
from widedeep.views.found import outcome_of as on_shelf
from widedeep.views.shelf import Shelf

NOW = datetime(2026, 1, 9, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
BETTER = Because(NOW, "test", "better")
WORSE = Because(LATER, "ann", "clicks fell by half")

Staged = Callable[..., Candidate]
VerdictOn = Callable[..., Verdict]
Judged = Callable[..., tuple[Release, Verdict]]


def day(number: int) -> date:
    return date(2026, 1, number)


@pytest.fixture
def judged(staged: Staged, verdict_on: VerdictOn) -> Judged:
    """A published release and the verdict that compared it with another one."""

    def judged(store: ObjectStore, number: int, against: Release | None = None, seed: int = 0) -> tuple[Release, Verdict]:
        candidate = staged(store, day(number), against.release_id if against else None, seed)
        manifest = load_manifest(store, against.release_id, published=True) if against else None
        verdict = verdict_on(candidate, manifest)
        return publish(store, candidate, verdict), verdict

    return judged


def move(store: ObjectStore, release: Release, verdict: Verdict, lane: str = LIVE, at: datetime = NOW) -> ChampionPointer:
    return promote(store, lane, release, verdict, Because(at, "test", "better"))


def test_the_pointer_moves_from_nobody_to_a_release_and_on(s3_store: S3Store, judged: Judged) -> None:
    assert champion(s3_store, LIVE) is None
    first, verdict = judged(s3_store, 5)
    assert move(s3_store, first, verdict).sequence == 1
    second, verdict = judged(s3_store, 6, first)
    pointer = move(s3_store, second, verdict)
    assert (pointer.sequence, pointer.previous, pointer.release_id) == (2, first.release_id, second.release_id)
    assert champion(s3_store, LIVE) == pointer


def test_promoting_again_finds_the_pointer_there(store: MemoryStore, judged: Judged) -> None:
    first, verdict = judged(store, 5)
    pointer = move(store, first, verdict)
    assert move(store, first, verdict, at=LATER) == pointer


def test_a_release_compared_with_somebody_else_is_not_promoted(store: MemoryStore, judged: Judged) -> None:
    first, verdict = judged(store, 5)
    move(store, first, verdict)
    second, verdict = judged(store, 6, first)
    pointer = move(store, second, verdict)
    for other in (None, first):
        release, verdict = judged(store, 7, other, seed=2)
        with pytest.raises(StaleError, match="Run the gate again"):
            move(store, release, verdict)
    assert champion(store, LIVE) == pointer


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
    assert champion(store, LIVE) is None


@pytest.fixture
def doubted(store: MemoryStore, judged: Judged) -> tuple[Release, Verdict]:
    """A release of day 6 that the gate held beside the champion of day 5."""
    first, verdict = judged(store, 5)
    move(store, first, verdict)
    release, verdict = judged(store, 6, first)
    return release, verdict.model_copy(update={"decision": "hold"})


def test_what_the_gate_held_is_promoted_by_an_approval_and_once(store: MemoryStore, doubted: tuple[Release, Verdict]) -> None:
    pointer = approve(store, LIVE, *doubted, BETTER)
    assert (pointer.kind, pointer.sequence, pointer.release_id) == ("promote", 2, doubted[0].release_id)
    assert approve(store, LIVE, *doubted, WORSE) == pointer == champion(store, LIVE)


@pytest.mark.parametrize("decision", ["promote", "reject"])
def test_nobody_approves_what_the_gate_did_not_hold(store: MemoryStore, doubted: tuple[Release, Verdict], decision: str) -> None:
    release, verdict = doubted
    with pytest.raises(UsageError, match="wanted 'hold'"):
        approve(store, LIVE, release, verdict.model_copy(update={"decision": decision}), BETTER)


@pytest.mark.parametrize("result", ["held", "no data", "quarantined", "rejected"])
def test_an_approval_after_a_later_span_has_settled_names_that_one_and_moves_nothing(
    store: MemoryStore, doubted: tuple[Release, Verdict], outcome_of: Callable[..., Outcome], result: str
) -> None:
    for number in (6, 7, 8):
        lanes.settle(store, outcome_of(day(number), result))
    before = dict(store.objects)
    with pytest.raises(SupersededError, match="superseded by span 2026-01-07"):
        approve(store, LIVE, *doubted, BETTER)
    assert store.objects == before


def test_an_approval_after_a_later_span_is_promoted_and_not_yet_settled_is_superseded_too(
    store: MemoryStore, doubted: tuple[Release, Verdict], judged: Judged
) -> None:
    move(store, *judged(store, 7, load_release(store)))
    with pytest.raises(SupersededError, match="superseded by span 2026-01-07"):
        approve(store, LIVE, *doubted, BETTER)


def test_nothing_is_approved_in_a_frozen_lane_nor_beside_another_champion_than_was_compared(
    store: MemoryStore, doubted: tuple[Release, Verdict], judged: Judged
) -> None:
    freeze(store, LIVE, WORSE)
    with pytest.raises(WithheldError, match="lane live is frozen"):
        approve(store, LIVE, *doubted, BETTER)
    thaw(store, LIVE, BETTER)
    pointer = move(store, *judged(store, 6, load_release(store), seed=1))
    with pytest.raises(StaleError, match="which r-"):
        approve(store, LIVE, *doubted, BETTER)
    assert champion(store, LIVE) == pointer


def load_release(store: MemoryStore) -> Release:
    """The champion, as a release."""
    pointer = champion(store, LIVE)
    told = {"span": pointer.span, "manifest_sha256": pointer.manifest_sha256, "decision": "promote"}
    return Release(release_id=pointer.release_id, **told)


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
    assert champion(store, LIVE) is None


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
    assert won == [champion(store, LIVE)]
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
    assert move(store, release, verdict) == champion(store, LIVE)
    assert champion(store, LIVE).moved_at == LATER


def test_who_is_overtaken_between_look_and_swap_is_stale(judged: Judged) -> None:
    store = LateRival()
    release, verdict = judged(store, 5)
    rival = judged(store, 5, seed=1)
    store.meanwhile = lambda: move(store, *rival)
    with pytest.raises(StaleError):
        move(store, release, verdict)
    assert champion(store, LIVE).release_id == rival[0].release_id


def test_a_branch_promotes_what_was_compared_with_where_it_branched_off_and_leaves_live_alone(
    store: MemoryStore, judged: Judged, outcome_of: Callable[..., Outcome]
) -> None:
    first, verdict = judged(store, 4)
    pointer = move(store, first, verdict)
    lanes.settle(store, outcome_of(day(4), "promoted", first.release_id))
    replayed, verdict = judged(store, 5, first)
    with pytest.raises(StaleError):
        move(store, *judged(store, 5, seed=1), lane="trial")
    assert move(store, replayed, verdict, lane="trial").sequence == 1
    assert champion(store, LIVE) == pointer


@pytest.fixture
def promoted(judged: Judged) -> Callable[..., Release]:
    """A release of that day, promoted over another one."""

    def promoted(store: ObjectStore, number: int, over: Release | None, lane: str = LIVE, seed: int = 0) -> Release:
        release, verdict = judged(store, number, over, seed)
        move(store, release, verdict, lane)
        return release

    return promoted


@pytest.fixture
def three(store: MemoryStore, promoted: Callable[..., Release]) -> list[Release]:
    """Champions of the 5th, 6th and 7th, each the child of the one before."""
    first = promoted(store, 5, None)
    second = promoted(store, 6, first)
    return [first, second, promoted(store, 7, second)]


def test_the_moves_read_back_to_the_first(store: MemoryStore, three: list[Release]) -> None:
    rollback(store, LIVE, three[1].release_id, 3, WORSE)
    freeze(store, LIVE, WORSE)
    read = list(moves(store, LIVE))
    assert [(m.sequence, m.kind, m.release_id, m.previous) for m in reversed(read)] == [
        (1, "promote", three[0].release_id, None),
        (2, "promote", three[1].release_id, three[0].release_id),
        (3, "promote", three[2].release_id, three[1].release_id),
        (4, "rollback", three[1].release_id, three[2].release_id),
        (5, "freeze", three[1].release_id, three[2].release_id),
    ]
    assert (read[0].moved_by, read[0].reason, read[0].moved_at) == ("ann", "clicks fell by half", LATER)


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_damaged_move_is_named_and_not_read_past(store: MemoryStore, three: list[Release], damage: str) -> None:
    key = layout.move(LIVE, 2)
    if damage == "gone":
        del store.objects[key]
    else:
        store.objects[key] = store.objects[key].replace(b"better", b"bitter")
    with pytest.raises(IntegrityError, match="moves/000002"):
        list(moves(store, LIVE))


def test_a_rollback_withdraws_what_was_promoted_later_and_no_ancestor(store: MemoryStore, three: list[Release]) -> None:
    first, second, third = three
    pointer = rollback(store, LIVE, first.release_id, 3, WORSE)
    assert (pointer.release_id, pointer.span, pointer.kind) == (first.release_id, first.span, "rollback")
    assert set(pointer.withdrawn) == withdrawn(store, LIVE) == {second.release_id, third.release_id}


def test_a_rollback_can_lead_back_to_what_an_earlier_one_withdrew(
    store: MemoryStore, three: list[Release], promoted: Callable[..., Release]
) -> None:
    first, second, third = three
    rollback(store, LIVE, first.release_id, 3, WORSE)
    other = promoted(store, 8, first)
    pointer = rollback(store, LIVE, third.release_id, 5, WORSE)
    assert set(pointer.withdrawn) == {other.release_id}, "neither the third nor its parent, the second"
    assert second.release_id not in withdrawn(store, LIVE)


def test_a_rollback_done_again_finds_the_pointer_there(store: MemoryStore, three: list[Release]) -> None:
    pointer = rollback(store, LIVE, three[0].release_id, 3, WORSE)
    assert rollback(store, LIVE, three[0].release_id, 3, BETTER) == pointer
    assert len(list(moves(store, LIVE))) == 4


def test_a_rollback_decided_on_an_older_state_of_the_lane_moves_nothing(store: MemoryStore, three: list[Release]) -> None:
    with pytest.raises(StaleError, match="decide again"):
        rollback(store, LIVE, three[0].release_id, 2, WORSE)
    assert champion(store, LIVE).release_id == three[2].release_id


def test_a_rollback_leads_only_to_a_former_champion_and_names_those(
    store: MemoryStore, three: list[Release], judged: Judged
) -> None:
    never, _ = judged(store, 4)
    for wrong in (never, three[2]):
        with pytest.raises(UsageError, match=three[0].release_id):
            rollback(store, LIVE, wrong.release_id, 3, WORSE)
    assert champion(store, LIVE).sequence == 3


def test_a_rollback_to_a_release_whose_manifest_changed_is_refused(store: MemoryStore, three: list[Release]) -> None:
    store.objects[layout.manifest(three[0].release_id)] += b" "
    with pytest.raises(IntegrityError):
        withdrawing(store, LIVE, three[0].release_id)


def test_a_withdrawn_release_and_its_children_are_not_promoted(
    store: MemoryStore, three: list[Release], judged: Judged, verdict_on: VerdictOn
) -> None:
    first, _, third = three
    child, _ = judged(store, 8, third)
    rollback(store, LIVE, first.release_id, 3, WORSE)
    for release in (third, child):
        with pytest.raises(WithheldError, match="withdrawn"):
            move(store, release, over(store, verdict_on, release, first))
    assert champion(store, LIVE).release_id == first.release_id


def test_a_frozen_lane_promotes_nothing_until_it_is_thawed(store: MemoryStore, three: list[Release], judged: Judged) -> None:
    frozen = freeze(store, LIVE, WORSE)
    assert freeze(store, LIVE, BETTER) == frozen, "the first reason stands"
    release, verdict = judged(store, 8, three[2])
    with pytest.raises(WithheldError, match="clicks fell by half"):
        move(store, release, verdict)
    thawed = thaw(store, LIVE, BETTER)
    assert thaw(store, LIVE, BETTER) == thawed
    assert move(store, release, verdict).frozen is None


def test_a_frozen_lane_can_be_rolled_back_and_stays_frozen(store: MemoryStore, three: list[Release]) -> None:
    freeze(store, LIVE, WORSE)
    assert rollback(store, LIVE, three[1].release_id, 4, WORSE).frozen == "clicks fell by half"


@pytest.mark.parametrize("switch", [freeze, thaw])
def test_a_lane_without_champion_is_neither_frozen_nor_thawed(store: MemoryStore, switch: Callable[..., object]) -> None:
    with pytest.raises(OrderError, match="nothing was promoted"):
        switch(store, LIVE, WORSE)


def test_a_freeze_between_the_last_look_and_the_swap_of_a_promotion_wins(judged: Judged) -> None:
    store = LateRival()
    first, verdict = judged(store, 5)
    move(store, first, verdict)
    second, verdict = judged(store, 6, first)
    store.meanwhile = lambda: freeze(store, LIVE, WORSE)
    with pytest.raises(StaleError):
        move(store, second, verdict)
    assert champion(store, LIVE).release_id == first.release_id


class LostAnswer(MemoryStore):
    """Moves the pointer, and before its answer arrives others have moved it on: the second try meets their object."""

    meanwhile: Callable[[], object] | None = None

    def swap(self, key: str, data: bytes, expected_etag: str | None) -> str:
        etag = super().swap(key, data, expected_etag)
        if self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
            raise StaleError("somebody else was first, and nothing was written")
        return etag


@pytest.mark.parametrize("later", [(freeze,), (freeze, thaw)], ids=["a freeze", "a freeze and its thaw"])
def test_a_move_whose_answer_got_lost_is_told_as_made_also_if_others_followed(
    judged: Judged, later: tuple[Callable[..., object], ...]
) -> None:
    store = LostAnswer()
    first, verdict = judged(store, 5)
    move(store, first, verdict)
    second, verdict = judged(store, 6, first)
    store.meanwhile = lambda: [act(store, LIVE, WORSE) for act in later]
    assert move(store, second, verdict).release_id == second.release_id
    assert [m.kind for m in moves(store, LIVE)][::-1] == ["promote", "promote", *(act.__name__ for act in later)]


def test_of_racing_rollbacks_freezes_and_thaws_none_is_lost(store: MemoryStore, three: list[Release]) -> None:
    """Each that succeeded is one move in the history, under its own name."""

    def attempt(n: int) -> str | None:
        because = Because(NOW, f"mover {n}", "race")
        try:
            if n % 2:
                rollback(store, LIVE, three[n % 3].release_id, champion(store, LIVE).sequence, because)
            else:
                (thaw if champion(store, LIVE).frozen else freeze)(store, LIVE, because)
        except (StaleError, UsageError):
            return None
        return because.by

    with ThreadPoolExecutor(10) as pool:
        told = {mover for mover in pool.map(attempt, range(60)) if mover}
    read = list(moves(store, LIVE))
    movers = [move.moved_by for move in read if move.moved_by.startswith("mover")]
    assert [move.sequence for move in reversed(read)] == list(range(1, len(read) + 1))
    assert len(movers) == len(set(movers)) > 3
    assert set(movers) <= told, "a move of somebody who was told that it failed"


def test_a_rollback_done_again_after_a_freeze_finds_its_move(store: MemoryStore, three: list[Release]) -> None:
    done = rollback(store, LIVE, three[0].release_id, 3, WORSE)
    freeze(store, LIVE, WORSE)
    assert rollback(store, LIVE, three[0].release_id, 3, WORSE) == done


def test_after_somebody_put_an_old_pointer_back_by_hand_nothing_moves(store: MemoryStore, three: list[Release]) -> None:
    store.objects[layout.champion(LIVE)] = store.objects[layout.move(LIVE, 1)].replace(b"better", b"bitter")
    before = dict(store.objects)
    with pytest.raises(IntegrityError, match="by hand"):
        freeze(store, LIVE, WORSE)
    assert store.objects == before


@pytest.fixture
def replay(store: MemoryStore, three: list[Release], promoted: Callable[..., Release], outcome_of: Callable[..., Outcome]):
    """Live has settled the 5th to the 7th; lane `again` has champions of its own of the 6th and 7th, after live's first."""
    for release in three:
        lanes.settle(store, outcome_of(release.span, release_id=release.release_id))
    parent, mine = three[0], []
    for number in (6, 7):
        parent = promoted(store, number, parent, "again", seed=7)
        lanes.settle(store, outcome_of(day(number), release_id=parent.release_id, lane="again"))
        mine.append(parent)
    return mine


def over(store: MemoryStore, verdict_on: VerdictOn, release: Release, standing: Release) -> Verdict:
    manifest = load_manifest(store, release.release_id, published=True)
    candidate = Candidate(
        release_id=release.release_id, span=release.span, parent=manifest.lineage.parent, manifest_sha256=release.manifest_sha256
    )
    return verdict_on(candidate, load_manifest(store, standing.release_id, published=True))


def test_an_adopted_lane_becomes_the_line_that_live_goes_on_from(
    store: MemoryStore, three: list[Release], replay: list[Release], verdict_on: VerdictOn
) -> None:
    pointer = adopt(store, "again", over(store, verdict_on, replay[1], three[2]), BETTER)
    assert (pointer.kind, pointer.lane, pointer.release_id) == ("adopt", LIVE, replay[1].release_id)
    assert set(pointer.withdrawn) == {three[1].release_id, three[2].release_id}
    past = lanes.history(store, LIVE, day(8))
    assert [o.release_id for o in past] == [three[0].release_id, replay[0].release_id, replay[1].release_id]
    assert lanes.parent_as_of(past, day(8), withdrawn(store, LIVE)) == replay[1].release_id
    assert adopt(store, "again", over(store, verdict_on, replay[1], three[2]), BETTER) == pointer


def test_after_an_adoption_live_can_be_rolled_back_to_its_own_line(
    store: MemoryStore, three: list[Release], replay: list[Release], verdict_on: VerdictOn
) -> None:
    adopt(store, "again", over(store, verdict_on, replay[1], three[2]), BETTER)
    pointer = rollback(store, LIVE, three[1].release_id, 4, WORSE)
    assert set(pointer.withdrawn) == {three[2].release_id, replay[1].release_id}
    past = lanes.history(store, LIVE, day(8))
    assert lanes.parent_as_of(past, day(8), withdrawn(store, LIVE)) == three[1].release_id


def test_a_lane_that_was_compared_with_an_older_live_champion_is_not_adopted(
    store: MemoryStore, three: list[Release], replay: list[Release], verdict_on: VerdictOn
) -> None:
    with pytest.raises(StaleError):
        adopt(store, "again", over(store, verdict_on, replay[1], three[1]), BETTER)
    assert champion(store, LIVE).release_id == three[2].release_id


def test_what_was_withdrawn_in_an_adopted_lane_stays_withdrawn(
    store: MemoryStore, three: list[Release], replay: list[Release], verdict_on: VerdictOn
) -> None:
    rollback(store, "again", replay[0].release_id, 2, WORSE)
    adopt(store, "again", over(store, verdict_on, replay[0], three[2]), BETTER)
    past = lanes.history(store, LIVE, day(8))
    assert lanes.parent_as_of(past, day(8), withdrawn(store, LIVE)) == replay[0].release_id


def test_a_lane_that_stands_on_what_live_withdrew_is_not_adopted(
    store: MemoryStore,
    three: list[Release],
    promoted: Callable[..., Release],
    verdict_on: VerdictOn,
    outcome_of: Callable[..., Outcome],
) -> None:
    for release in three:
        lanes.settle(store, outcome_of(release.span, release_id=release.release_id))
    child = promoted(store, 7, three[1], "again", seed=7)
    grandchild = promoted(store, 8, child, "again", seed=7)
    lanes.settle(store, outcome_of(day(7), release_id=child.release_id, lane="again"))
    lanes.settle(store, outcome_of(day(8), release_id=grandchild.release_id, lane="again"))
    lanes.settle(store, outcome_of(day(8), "held"))
    rollback(store, LIVE, three[0].release_id, 3, WORSE)
    with pytest.raises(WithheldError, match=three[1].release_id):
        adopt(store, "again", over(store, verdict_on, grandchild, three[0]), BETTER)


def test_a_lane_that_has_gone_past_live_is_not_adopted(
    store: MemoryStore,
    three: list[Release],
    replay: list[Release],
    promoted: Callable[..., Release],
    verdict_on: VerdictOn,
    outcome_of: Callable[..., Outcome],
) -> None:
    ahead = promoted(store, 9, replay[1], "again", seed=7)
    lanes.settle(store, outcome_of(day(9), release_id=ahead.release_id, lane="again"))
    with pytest.raises(OrderError, match="after live's"):
        adopt(store, "again", over(store, verdict_on, ahead, three[2]), BETTER)


def test_live_goes_on_from_what_it_adopted_whatever_is_promoted_in_that_lane_later(
    store: MemoryStore, three: list[Release], judged: Judged, promoted: Callable[..., Release], verdict_on: VerdictOn,
    outcome_of: Callable[..., Outcome],
) -> None:  # fmt: skip
    """A slow run of a day that counted as rejected: live would be compared with its champion, and start from another."""
    for release in three:
        lanes.settle(store, outcome_of(release.span, release_id=release.release_id))
    adopted = promoted(store, 6, three[0], "again", seed=7)
    lanes.settle(store, outcome_of(day(6), release_id=adopted.release_id, lane="again"))
    slow, verdict = judged(store, 7, adopted, seed=7)
    lanes.settle(store, outcome_of(day(7), "rejected", release_id=slow.release_id, lane="again"))
    adopt(store, "again", over(store, verdict_on, adopted, three[2]), BETTER)
    file = FileRef(name="rows", size_bytes=1, sha256="0" * 64)
    store.create(layout.version(day(7), 1), Snapshot(span=day(7), version=1, digest="0" * 64, rows=1, file=file).to_bytes())
    move(store, slow, verdict, "again")
    assert lanes.parent(store, "again", lanes.history(store, "again", day(8)), day(8)) == slow.release_id
    assert lanes.parent(store, LIVE, lanes.history(store, LIVE, day(8)), day(8)) == adopted.release_id


@pytest.fixture
def led_by_twin(store: MemoryStore, lineage_of: Callable[..., Lineage], payload: Path, verdict_on: VerdictOn):
    """Lets a twin of live's champion lead, as a person approves it."""
    file = FileRef(name="rows", size_bytes=1, sha256="0" * 64)

    def led_by_twin(of: Release) -> Release:
        lineage = lineage_of(of.span, seed=9).model_copy(update={"twin_of": of.release_id})
        candidate = stage(store, payload, lineage, inherited=())
        verdict = verdict_on(candidate, load_manifest(store, of.release_id, published=True), "hold")
        release = publish(store, candidate, verdict)
        store.create(layout.version(of.span, 1), Snapshot(span=of.span, version=1, digest="0" * 64, rows=1, file=file).to_bytes())
        approve(store, LIVE, release, verdict, Because(LATER, "ann", "the debt"))
        return release

    return led_by_twin


def parent_of(store: MemoryStore, number: int) -> str | None:
    """What a replay from that day on would start from."""
    return lanes.parent_as_of(lanes.history(store, "trial", day(number)), day(number), withdrawn(store, LIVE))


def test_an_adopted_lane_that_descends_from_a_twin_leaves_the_days_before_the_twin_as_they_were(
    store: MemoryStore, three: list[Release], promoted: Callable[..., Release], led_by_twin: Callable[[Release], Release],
    verdict_on: VerdictOn, outcome_of: Callable[..., Outcome],
) -> None:  # fmt: skip
    for release in three:
        lanes.settle(store, outcome_of(release.span, release_id=release.release_id))
    twin = led_by_twin(three[2])
    live = promoted(store, 8, twin)
    lanes.settle(store, outcome_of(day(8), release_id=live.release_id))
    mine = promoted(store, 8, twin, "again", seed=7)
    lanes.settle(store, outcome_of(day(8), release_id=mine.release_id, lane="again"))
    pointer = adopt(store, "again", over(store, verdict_on, mine, live), BETTER)
    assert pointer.withdrawn == (live.release_id,)
    parents = [three[0], three[1], twin, mine]
    assert [parent_of(store, number) for number in (6, 7, 8, 9)] == [release.release_id for release in parents]


def test_a_twin_that_leads_since_the_lane_began_is_withdrawn_with_the_line_that_it_began(
    store: MemoryStore, three: list[Release], promoted: Callable[..., Release], led_by_twin: Callable[[Release], Release],
    verdict_on: VerdictOn, outcome_of: Callable[..., Outcome],
) -> None:  # fmt: skip
    for release in three:
        lanes.settle(store, outcome_of(release.span, release_id=release.release_id))
    mine = promoted(store, 8, three[2], "again", seed=7)
    lanes.settle(store, outcome_of(day(8), release_id=mine.release_id, lane="again"))
    twin = led_by_twin(three[2])
    live = promoted(store, 8, twin)
    lanes.settle(store, outcome_of(day(8), release_id=live.release_id))
    pointer = adopt(store, "again", over(store, verdict_on, mine, live), BETTER)
    assert set(pointer.withdrawn) == {twin.release_id, live.release_id}
    assert parent_of(store, 8) == three[2].release_id


def test_an_adoption_withdraws_nothing_of_the_days_before_what_was_pruned(
    store: MemoryStore, three: list[Release], promoted: Callable[..., Release], verdict_on: VerdictOn,
    outcome_of: Callable[..., Outcome],
) -> None:  # fmt: skip
    for release in three:
        lanes.settle(store, outcome_of(release.span, release_id=release.release_id))
    mine = promoted(store, 7, three[1], "again", seed=7)
    lanes.settle(store, outcome_of(day(7), release_id=mine.release_id, lane="again"))
    store.delete(layout.manifest(three[1].release_id))
    pointer = adopt(store, "again", over(store, verdict_on, mine, three[2]), BETTER)
    assert pointer.withdrawn == (three[2].release_id,)
    assert parent_of(store, 6) == three[0].release_id


def test_a_twin_takes_the_place_of_a_champion_that_came_with_an_adopted_lane_also_for_replays(
    store: MemoryStore, three: list[Release], replay: list[Release], promoted: Callable[..., Release],
    led_by_twin: Callable[[Release], Release], verdict_on: VerdictOn,
) -> None:  # fmt: skip
    adopt(store, "again", over(store, verdict_on, replay[1], three[2]), BETTER)
    twin = led_by_twin(replay[1])
    assert parent_of(store, 8) == twin.release_id
    promoted(store, 8, twin)
    assert parent_of(store, 8) == twin.release_id
    assert parent_of(store, 7) == replay[0].release_id
    rollback(store, LIVE, replay[1].release_id, champion(store, LIVE).sequence, WORSE)
    assert parent_of(store, 8) == replay[1].release_id


def test_the_page_tells_the_same_of_a_twins_span_as_the_lane(
    store: MemoryStore, three: list[Release], led_by_twin: Callable[[Release], Release], outcome_of: Callable[..., Outcome]
) -> None:
    def on_the_page() -> str:
        shelf = Shelf(store)
        return on_shelf(shelf, lane_keys(shelf)[LIVE], day(7), champion(store, LIVE)).release_id

    for release in three:
        lanes.settle(store, outcome_of(release.span, release_id=release.release_id))
    twin = led_by_twin(three[2])
    assert on_the_page() == lanes.outcome(store, LIVE, day(7)).release_id == twin.release_id
    rollback(store, LIVE, three[2].release_id, 4, WORSE)
    assert on_the_page() == lanes.outcome(store, LIVE, day(7)).release_id == three[2].release_id


def test_a_twin_that_a_rollback_took_back_leaves_its_span_to_a_champion_that_a_person_had_approved(
    store: MemoryStore, doubted: tuple[Release, Verdict], promoted: Callable[..., Release], outcome_of: Callable[..., Outcome],
    led_by_twin: Callable[[Release], Release],
) -> None:  # fmt: skip
    approved, _ = doubted
    lanes.settle(store, outcome_of(day(6), "held", release_id=approved.release_id))
    approve(store, LIVE, *doubted, BETTER)
    led_by_twin(approved)
    rollback(store, LIVE, approved.release_id, 3, WORSE)
    promoted(store, 7, approved)
    assert parent_of(store, 7) == approved.release_id
    assert lanes.outcome(store, LIVE, day(6)).release_id == approved.release_id


def test_a_lane_does_not_go_on_from_what_was_trained_from_a_release_that_live_withdrew(
    store: MemoryStore,
    three: list[Release],
    judged: Judged,
    promoted: Callable[..., Release],
    verdict_on: VerdictOn,
    outcome_of: Callable[..., Outcome],
) -> None:
    """Its next candidate starts from where the lane branches off, is compared with that, and is promoted."""
    for release in three:
        lanes.settle(store, outcome_of(release.span, release_id=release.release_id))
    parent = three[1]
    for number in (7, 8):
        parent = promoted(store, number, parent, "again", seed=7)
        lanes.settle(store, outcome_of(day(number), release_id=parent.release_id, lane="again"))
    rollback(store, LIVE, three[0].release_id, 3, WORSE)

    def next_parent() -> str | None:
        return lanes.parent_as_of(lanes.history(store, "again", day(9)), day(9), withdrawn(store, "again"))

    assert next_parent() == three[0].release_id
    child, _ = judged(store, 9, parent, seed=7)
    with pytest.raises(WithheldError, match="withdrawn"):
        move(store, child, over(store, verdict_on, child, parent), "again")
    fresh = promoted(store, 9, three[0], "again", seed=7)
    lanes.settle(store, outcome_of(day(9), release_id=fresh.release_id, lane="again"))
    assert lanes.parent_as_of(lanes.history(store, "again", day(10)), day(10), withdrawn(store, "again")) == fresh.release_id
    rollback(store, LIVE, three[1].release_id, 4, WORSE)
    assert parent.release_id not in withdrawn(store, "again"), "its line stands again"


OURS, THEIRS = (Signer(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (1, 2))
TRUST = Trust({OURS.key_id: OURS.key.public_key()}, required=True)
SIGNED = Because(LATER, "ann", "signed", OURS, TRUST)


def signed(store: ObjectStore, lane: str = LIVE) -> bool:
    """Whether the pointer that stands there is accepted where signatures are required."""
    found = standing(store, lane)
    return found is None or check_move(store, found[0], found[1].data, TRUST) == (OURS.key_id,)


class Watched(MemoryStore):
    """Looks at the pointers after each write, as any reader may."""

    def _write(self, key: str, data: bytes) -> None:
        super()._write(key, data)
        assert all(signed(self, lane) for lane in (LIVE, "replay-1"))


def test_no_kind_of_move_is_ever_seen_without_its_signature(judged: Judged, outcome_of: Callable[..., Outcome]) -> None:
    store = Watched()
    first, verdict = judged(store, 5)
    promote(store, LIVE, first, verdict, SIGNED)
    promote(store, "replay-1", first, verdict, SIGNED)
    second, verdict = judged(store, 6, first)
    promote(store, LIVE, second, verdict, SIGNED)
    rollback(store, LIVE, first.release_id, 2, SIGNED)
    freeze(store, LIVE, SIGNED)
    thaw(store, LIVE, SIGNED)
    third, verdict = judged(store, 7, first)
    promote(store, "replay-1", third, verdict, SIGNED)
    lanes.settle(store, outcome_of(day(7), "held"))
    adopt(store, "replay-1", verdict, SIGNED)
    assert [move.kind for move in moves(store, LIVE)] == ["adopt", "thaw", "freeze", "rollback", "promote", "promote"]


def test_a_move_is_built_on_no_pointer_that_nobody_stands_for(store: MemoryStore, three: list[Release]) -> None:
    """Else whoever thaws a lane by hand, or reinstates a release, would get it signed by the next mover."""
    before = dict(store.objects)
    for act in (
        lambda: rollback(store, LIVE, three[0].release_id, 3, SIGNED),
        lambda: freeze(store, LIVE, SIGNED),
    ):
        with pytest.raises(SignatureError, match=r"champion\.json: got no signature .* move 3 \(promote to r-\w+ by test\)"):
            act()
    assert store.objects == before


def test_a_lane_whose_pointer_nobody_stands_for_is_not_adopted(
    store: MemoryStore, three: list[Release], replay: list[Release], verdict_on: VerdictOn
) -> None:
    pointer, blob = standing(store, LIVE)
    sign_move(store, pointer, blob.data, OURS)
    verdict = over(store, verdict_on, replay[1], three[2])
    with pytest.raises(SignatureError, match=r"lanes/again/champion\.json: got no signature"):
        adopt(store, "again", verdict, SIGNED)
    assert champion(store, LIVE) == pointer


def test_a_pointer_that_was_changed_or_signed_by_a_stranger_is_not_built_on(store: MemoryStore, three: list[Release]) -> None:
    pointer, blob = standing(store, LIVE)
    sign_move(store, pointer, blob.data, THEIRS)
    with pytest.raises(SignatureError, match="got no signature by an accepted key"):
        freeze(store, LIVE, SIGNED)
    sign_move(store, pointer, blob.data, OURS)
    store.objects[layout.champion(LIVE)] = blob.data.replace(b"better", b"bitter")
    with pytest.raises(SignatureError, match="got no signature by an accepted key"):
        freeze(store, LIVE, SIGNED)


def test_the_signed_pointer_of_another_lane_does_not_pass_for_this_ones(store: MemoryStore, judged: Judged) -> None:
    first, verdict = judged(store, 5)
    promote(store, "replay-1", first, verdict, SIGNED)
    for key in list(store.keys("lanes/replay-1/")):
        store.objects[key.replace("replay-1", LIVE)] = store.objects[key]
    with pytest.raises(IntegrityError, match="got the pointer of lane replay-1, wanted live's"):
        champion(store, LIVE)


def test_the_same_bytes_signed_as_a_manifest_are_no_signed_move(store: MemoryStore, three: list[Release]) -> None:
    pointer, blob = standing(store, LIVE)
    ed25519 = base64.b64encode(OURS.key.sign(authenticated(MANIFEST_TYPE, blob.data))).decode()
    key = layout.move_signature(LIVE, sha256(blob.data), OURS.key_id)
    store.objects[key] = Signature(key_id=OURS.key_id, ed25519=ed25519).to_bytes()
    with pytest.raises(SignatureError, match="does not fit the pointer, which is move 3"):
        check_move(store, pointer, blob.data, TRUST)


@pytest.mark.parametrize("back_to", [1, None])
def test_a_pointer_put_back_by_hand_as_it_was_is_not_built_on(
    store: MemoryStore, three: list[Release], judged: Judged, back_to: int | None
) -> None:
    """Each byte of it, with its signature, is as it was; but the moves after it are kept."""
    if back_to:
        store.objects[layout.champion(LIVE)] = store.objects[layout.move(LIVE, back_to)]
    else:
        del store.objects[layout.champion(LIVE)]
    before = dict(store.objects)
    release, verdict = judged(store, 9, three[0] if back_to else None)
    before |= {key: data for key, data in store.objects.items() if key not in before}
    with pytest.raises(IntegrityError, match="by hand"):
        move(store, release, verdict)
    assert store.objects == before


class GoneOn(MemoryStore):
    """While a mover looks whether a later move is kept, others have made two."""

    others: Callable[[], object] | None = None

    def get(self, key: str) -> Blob | None:
        if self.others and key == layout.move(LIVE, 2):
            others, self.others = self.others, None
            others()
        return super().get(key)


def test_a_mover_who_is_late_by_two_moves_is_told_so_and_accuses_nobody(judged: Judged) -> None:
    store = GoneOn()
    first, verdict = judged(store, 5)
    move(store, first, verdict)
    second, verdict = judged(store, 6, first)
    store.others = lambda: (freeze(store, LIVE, WORSE), thaw(store, LIVE, WORSE))
    with pytest.raises(StaleError):
        move(store, second, verdict)
