"""A candidate that the gate held is promoted if a person accepts it before a later span has settled; nobody waits for that."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from widedeep.artifacts import LIVE, Verdict
from widedeep.errors import StoreUnavailableError, SupersededError, UsageError, WithheldError
from widedeep.publishing import lanes, layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.moves import freeze, thaw
from widedeep.publishing.pointer import champion
from widedeep.publishing.releases import load_manifest
from widedeep.steps import awaited_review, plan_rollback, question, review, roll_back, run_span, waits_for_review
from widedeep.steps.reviewing import open_reviews

REPLAY = "replay-2026-03-05"


def with_gate(place, **changed):
    return replace(place, contract=place.contract.model_copy(update={"gate": place.contract.gate.model_copy(update=changed)}))


@pytest.fixture
def held(quick):
    """The chain with the candidate of its fourth day held: `doubtful` is where the gate can show nothing."""
    quick.doubtful = with_gate(quick.place, min_users=1_000_000)
    for n in (3, 4):
        quick.deliver(n)
    quick.held = run_span(quick.doubtful, quick.day(3))
    assert (quick.held.decision, quick.held.result) == ("hold", "held")
    return quick


def say(chain, answer, *, actor="shell:ann", why="looked at it", lane=LIVE):
    return review(replace(chain.place, actor=actor), chain.day(3), answer, why, lane)


def learnt(chain, progress):
    parts = load_manifest(chain.place.store, progress.candidate.release_id, published=False).lineage.learnt
    return [((part.span - chain.day(0)).days, part.part) for part in parts]


def spans(outcomes):
    return [outcome.span for outcome in outcomes]


def test_the_next_day_starts_from_an_accepted_candidate_and_does_not_learn_its_day_again(held):
    assert spans(open_reviews(held.place)) == [held.day(3)]
    answer = say(held, "accept")
    assert (answer.answer, answer.reviewed_by, answer.release_id) == ("accept", "shell:ann", held.held.release)
    assert champion(held.place.store, LIVE).release_id == held.held.release
    assert open_reviews(held.place) == ()
    progress = run_span(held.place, held.day(4))
    assert progress.candidate.parent == held.held.release
    assert learnt(held, progress) == [(3, "holdout"), (4, "train")]


def test_an_accepted_candidate_counts_as_promoted_and_tells_who_accepted_it_and_why(held):
    answer = say(held, "accept")
    outcome, pointer = lanes.outcome(held.place.store, LIVE, held.day(3)), champion(held.place.store, LIVE)
    assert (outcome.result, outcome.release_id, outcome.settled_by) == ("promoted", held.held.release, "shell:ann")
    assert outcome.reasons == (answer.told(), "test had settled the span as held")
    assert (pointer.kind, pointer.moved_by, pointer.reason) == ("promote", "shell:ann", answer.told())


@pytest.mark.parametrize("answer", ["reject", None])
def test_the_rows_of_a_candidate_that_nobody_accepts_are_learnt_by_the_next(held, answer):
    if answer:
        say(held, answer)
        assert open_reviews(held.place) == ()
    progress = run_span(held.place, held.day(4))
    assert progress.candidate.parent == held.first.release
    assert {(3, "train"), (4, "train")} <= set(learnt(held, progress))
    assert lanes.outcome(held.place.store, LIVE, held.day(3)).result == "held"


@pytest.mark.parametrize("later", ["promoted", "no data"])
@pytest.mark.parametrize("answer", ["accept", "reject"])
def test_an_answer_after_a_later_span_has_settled_is_told_so_and_nothing_is_kept(held, later, answer):
    if later == "no data":
        held.place.store.delete(layout.delivery(held.place.contract.delivery.prefix, held.day(4)) + "rows.parquet")
    assert run_span(held.place, held.day(4)).result == later
    before = dict(held.place.store.objects)
    with pytest.raises(SupersededError, match=f"span {held.day(3)} of lane live: superseded by span {held.day(4)}"):
        say(held, answer)
    assert held.place.store.objects == before
    assert not waits_for_review(held.place, held.day(3))
    assert open_reviews(held.place) == ()


@pytest.mark.parametrize(("first", "second", "moved"), [("accept", "reject", True), ("reject", "accept", False)])
def test_the_first_answer_stands_whoever_says_otherwise_later(held, first, second, moved):
    one = say(held, first)
    assert say(held, second, actor="airflow:widedeep_review/1, answered by bob") == one
    assert (champion(held.place.store, LIVE).release_id == held.held.release) == moved
    run_span(held.place, held.day(4))
    assert say(held, second) == one, "also when it is superseded"


def test_an_answer_that_is_given_again_finds_its_record(held):
    once = say(held, "accept")
    before = dict(held.place.store.objects)
    assert say(held, "accept") == once
    assert held.place.store.objects == before


def test_of_two_people_who_answer_at_once_one_is_first_and_the_pointer_follows_that_one(held):
    together = Barrier(2)

    def answers(answer):
        together.wait()
        return say(held, answer, actor=f"shell:{answer}")

    with ThreadPoolExecutor(2) as pool:
        (standing,) = set(pool.map(answers, ("accept", "reject")))
    assert standing.reviewed_by == f"shell:{standing.answer}"
    assert (champion(held.place.store, LIVE).release_id == held.held.release) == (standing.answer == "accept")


class Dying(MemoryStore):
    """Shares its objects with another store, and gives no answer when the pointer is to move."""

    def __init__(self, store):
        self.__dict__ = store.__dict__

    def swap(self, *_):
        raise StoreUnavailableError("no answer")


def accept_and_die(chain):
    with pytest.raises(StoreUnavailableError):
        review(replace(chain.place, store=Dying(chain.place.store)), chain.day(3), "accept", "looked at it")
    assert champion(chain.place.store, LIVE).release_id == chain.first.release


@pytest.mark.parametrize("look", ["list", "ask", "answer again"])
def test_if_who_accepted_died_before_the_pointer_moved_whoever_looks_next_moves_it(held, look):
    accept_and_die(held)
    if look == "list":
        assert open_reviews(held.place) == ()
    elif look == "ask":
        assert not waits_for_review(held.place, held.day(3))
    else:
        assert say(held, "reject", actor="shell:bob").answer == "accept"
    assert champion(held.place.store, LIVE).release_id == held.held.release


def test_if_a_later_span_settles_before_anybody_looks_again_the_pointer_stays(held, caplog):
    accept_and_die(held)
    run_span(held.place, held.day(4))
    pointer = champion(held.place.store, LIVE)
    assert awaited_review(held.place, held.day(3)).result == "held"
    assert champion(held.place.store, LIVE) == pointer
    assert f"superseded by span {held.day(4)}" in caplog.text


def test_nothing_is_accepted_in_a_frozen_lane_and_the_question_stands_until_its_thaw(held):
    freeze(held.place.store, LIVE, held.place.because("incident"))
    before = dict(held.place.store.objects)
    with pytest.raises(WithheldError, match="lane live is frozen: incident"):
        say(held, "accept")
    assert held.place.store.objects == before
    thaw(held.place.store, LIVE, held.place.because("over"))
    assert spans(open_reviews(held.place)) == [held.day(3)]
    say(held, "accept")
    assert champion(held.place.store, LIVE).release_id == held.held.release


def test_an_accepted_candidate_that_was_rolled_back_stays_so_whoever_looks(held):
    say(held, "accept")
    roll_back(held.place, plan_rollback(held.place, LIVE), "worse")
    assert say(held, "accept").answer == "accept"
    assert open_reviews(held.place) == ()
    assert champion(held.place.store, LIVE).kind == "rollback"


@pytest.mark.parametrize(("answer", "result"), [("accept", "promoted"), ("reject", "held")])
def test_a_replay_that_reaches_the_same_verdict_finds_the_answer(held, answer, result):
    standing = say(held, answer)
    progress = run_span(held.doubtful, held.day(3), REPLAY)
    assert (progress.candidate.release_id, progress.decision, progress.result) == (held.held.release, "hold", result)
    if answer == "accept":
        assert champion(held.place.store, REPLAY).reason == standing.told()
    assert open_reviews(held.place, REPLAY) == ()


def test_where_the_contract_rejects_what_is_undecided_nobody_is_asked(quick):
    quick.deliver(3)
    place = with_gate(quick.place, min_users=1_000_000, undecided="reject")
    assert run_span(place, quick.day(3)).result == "rejected"
    assert open_reviews(place) == ()


def test_what_passed_in_a_frozen_lane_is_no_question_for_anybody(quick):
    quick.deliver(3)
    freeze(quick.place.store, LIVE, quick.place.because("incident"))
    assert run_span(quick.place, quick.day(3)).result == "held"
    assert open_reviews(quick.place) == ()
    with pytest.raises(UsageError, match="is settled as held; wanted one that is held for a review"):
        say(quick, "accept")


def test_the_question_tells_the_gates_reasons_and_figures_and_a_report_that_is_there(held):
    told = question(held.place, awaited_review(held.place, held.day(3)))
    verdict = Verdict.from_bytes(held.place.store.get(held.held.verdict).data)
    assert all(reason in " ".join(told.split()) for reason in verdict.reasons)
    assert f"log loss {verdict.candidate_metrics.log_loss:.4f}, AUC {verdict.candidate_metrics.auc:.4f}" in told
    assert f"champion {held.first.release}: log loss {verdict.champion_metrics.log_loss:.4f}" in told
    report = told.split("Its report: ")[1].split(".\n")[0]
    assert held.place.store.get(report.removeprefix(f"{held.place.store.url}/"))


def test_no_reason_is_cut_off_at_the_edge_of_the_page_that_asks(held):
    quote = question(held.place, awaited_review(held.place, held.day(3))).split("```")[1].splitlines()
    assert max(map(len, quote)) <= 100


def test_an_answer_without_a_reason_is_refused_and_nothing_is_kept(held):
    before = dict(held.place.store.objects)
    with pytest.raises(UsageError, match="reason: got nothing"):
        say(held, "accept", why=" \n")
    assert held.place.store.objects == before


def test_a_candidate_that_prune_has_taken_waits_for_nobody(held):
    held.place.store.delete(layout.manifest(held.held.release))
    assert open_reviews(held.place) == ()
