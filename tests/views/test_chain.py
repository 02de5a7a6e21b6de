"""What a lane's points say where the pointer and the outcomes don't tell the same story."""

import pytest

from benchmarks import made_chain
from widedeep.artifacts import ChampionPointer, Manifest, Outcome, Proposal
from widedeep.publishing import layout
from widedeep.publishing.memory import MemoryStore
from widedeep.views.chain import chain
from widedeep.views.difference import difference
from widedeep.views.release import release
from widedeep.views.shelf import Shelf
from widedeep.views.today import today


@pytest.fixture
def store():
    return MemoryStore()


def manifest(store, release_id):
    return Manifest.from_bytes(store.get(layout.manifest(release_id)).data)


def repoint(store, pointer):
    store.objects[layout.champion("live")] = pointer.to_bytes()


def outcome(store, n, **changed):
    key = layout.outcome("live", made_chain.day(n))
    found = Outcome.from_bytes(store.get(key).data)
    return found.model_copy(update=changed)


def test_after_a_rollback_the_withdrawn_are_marked_and_their_rows_are_pending(store):
    made = made_chain.make_chain(store, 3)
    before = ChampionPointer.from_bytes(store.get(layout.champion("live")).data)
    store.create(layout.move("live", before.sequence), before.to_bytes())
    told = {"kind": "rollback", "withdrawn": (made[2],), "previous": made[2]}
    repoint(store, made_chain.pointer_to(manifest(store, made[1]), before.sequence + 1, **told))
    points = chain(Shelf(store), "live", 10).points
    assert [(p.champion, p.withdrawn) for p in points] == [(False, False), (True, False), (False, True)]
    assert [waiting.span for waiting in today(Shelf(store)).pending] == [made_chain.day(2)]
    moves = release(Shelf(store), made[2]).moves
    assert [(move.kind, move.release_id) for move in moves] == [("promote", made[2]), ("rollback", made[1])]


def test_that_a_day_was_promoted_stands_over_what_another_run_settled_it_as(store):
    made = made_chain.make_chain(store, 3)
    for n in (1, 2):
        store.objects[layout.outcome("live", made_chain.day(n))] = outcome(store, n, result="rejected").to_bytes()
    kept = outcome(store, 1, result="promoted")
    store.create(layout.promotion("live", made_chain.day(1), made[1]), kept.to_bytes())
    assert [p.result for p in chain(Shelf(store), "live", 10).points] == ["promoted", "promoted", "promoted"]


def test_a_frozen_lane_says_why(store):
    made = made_chain.make_chain(store, 2)
    repoint(store, made_chain.pointer_to(manifest(store, made[1]), 3, kind="freeze", frozen="a sale"))
    assert today(Shelf(store)).champion.frozen == "a sale"


def test_a_pruned_candidate_still_tells_how_its_day_ended(store):
    made = made_chain.make_chain(store, 5)
    for key in [key for key in store.objects if key.startswith((layout.release(made[3]), layout.evidences(made[3])))]:
        store.delete(key)
    point = chain(Shelf(store), "live", 10).points[3]
    assert (point.result, point.state, point.verdict) == ("rejected", "pruned", None)
    assert release(Shelf(store), made[3]) is None


def test_what_a_champion_owes_to_its_twin_stands_by_its_day_and_a_damaged_audit_is_named(store):
    made = made_chain.make_chain(store, made_chain.AUDITED + 6)
    shown = chain(Shelf(store), "live", 30).points
    audited = [point for point in shown if point.owed]
    (point,) = audited
    assert (point.owed.debt.estimate, point.owed.twin, point.owed.over) == (0.001, "r-0123456789abcdef", False)
    assert point.verdict.candidate.auc_interval.lower == pytest.approx(point.verdict.candidate.auc - 0.02)
    whole = release(Shelf(store), point.release_id)
    assert (whole.audits, release(Shelf(store), made[0]).audits) == ((point.owed,), ())
    store.objects[point.owed.key] = b"{"
    damaged = next(p for p in chain(Shelf(store), "live", 30).points if p.span == point.span)
    assert (damaged.owed, damaged.state, damaged.problems) == (None, "unreadable", (point.owed.key,))
    assert damaged.verdict is not None


def test_what_somebody_changed_in_the_contract_is_told_between_two_releases_unless_it_was_tampered_with(store):
    made = made_chain.make_chain(store, 33)
    before, after = made[0], made[-1]
    (told,) = difference(Shelf(store), after, before).contract
    assert (told.name, told.one, told.other) == ("gate.margin", "0.011", "0.01")
    digest = release(Shelf(store), after).deeds[0].contract_digest
    store.objects[layout.contract(digest)] = b'{"gate": {"margin": 0.01}}'
    assert [side.one for side in difference(Shelf(store), after, before).contract] == [None, None]


def test_lanes_stand_side_by_side_and_a_file_of_somebody_s_own_harms_nobody(store):
    made_chain.make_chain(store, 3)
    other = outcome(store, 1, lane="replay-1")
    store.create(layout.outcome("replay-1", made_chain.day(1)), other.to_bytes())
    store.create("lanes/live/spans/notes.txt", b"mine")
    found = chain(Shelf(store), "replay-1", 10)
    assert (found.lanes, [p.span for p in found.points]) == (("live", "replay-1"), [made_chain.day(1)])
    assert [lane.lane for lane in today(Shelf(store)).lanes] == ["replay-1"]


def test_a_pointer_that_is_damaged_is_told_and_the_days_are_still_shown(store):
    made_chain.make_chain(store, 3)
    store.objects[layout.champion("live")] = b"{"
    found = today(Shelf(store))
    assert (found.champion, found.settled, found.problems) == (None, 3, (layout.champion("live"),))
    assert len(chain(Shelf(store), "live", 10).points) == 3


def test_a_twin_is_open_until_somebody_has_answered_or_another_champion_leads(store):
    made = made_chain.make_chain(store, 4)
    head, champion = made_chain.day(3), manifest(store, made[-1])
    verdict = made_chain.verdict_on(champion, champion, "held", 3)
    judged = layout.evidence("r-0123456789abcdef", "verdict-0123456789abcdef")
    store.create(judged, verdict.to_bytes())
    told = {"lane": "live", "span": head, "head": head, "result": "held", "reasons": ("owes",), "settled_at": made_chain.at(3)}
    twin = Proposal(**told, settled_by="x", release_id="r-0123456789abcdef", verdict=judged)
    store.create(layout.proposal("live", head, "r-0123456789abcdef"), twin.to_bytes())
    assert [waiting.release_id for waiting in today(Shelf(store)).open] == ["r-0123456789abcdef"]
    store.create(layout.ruling(head, made_chain.DIGEST), b"{}")  # an answer to the day's own candidate
    assert len(today(Shelf(store)).open) == 1
    before = ChampionPointer.from_bytes(store.get(layout.champion("live")).data)
    repoint(store, made_chain.pointer_to(manifest(store, made[0]), before.sequence + 1))
    assert today(Shelf(store)).open == ()
    repoint(store, before)
    store.create(layout.ruling(head, verdict.content_digest()), b"{}")
    assert today(Shelf(store)).open == ()
