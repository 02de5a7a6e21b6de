"""A span that changed drastically is held, and nobody waits for it; a person says whether its rows are learnt, once for all."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from widedeep.artifacts import LIVE, Finding, Validation
from widedeep.errors import StoreUnavailableError, UsageError
from widedeep.publishing import lanes, layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.releases import load_manifest
from widedeep.steps import answered, awaited_review, ingest, question, review, run_span, start, waits_for_review
from widedeep.steps.findings import judged
from widedeep.steps.reviewing import open_reviews

REPLAY = "replay-2026-03-05"
VOLUME = "the span has 600 rows, 6.1 times the 98 of its weekday"
FINDINGS = (
    Finding(check="volume", severity="drastic", message=VOLUME),
    Finding(check="drift", column="price", severity="warning", message="column 'price': moved by 0.08, e.g. '```<b>'"),
    Finding(check="range", column="price", severity="rows", message="3 rows were taken out"),
)


def change_drastically(chain, n):
    """Deliver a day, and let its validation have found a drastic change."""
    chain.deliver(n)
    snapshot = ingest(chain.place, start(chain.place, chain.day(n))).snapshot
    key, _ = judged(chain.place, LIVE, snapshot)
    found = Validation(span=chain.day(n), snapshot=snapshot, findings=FINDINGS)
    chain.place.store.delete(key)
    assert chain.place.store.create(key, found.to_bytes())


@pytest.fixture
def held(quick):
    """The chain with its fourth day held for a review."""
    change_drastically(quick, 3)
    progress = run_span(quick.place, quick.day(3))
    assert (progress.result, progress.candidate) == ("held", None)
    return quick


def say(chain, answer, *, actor="shell:ann", why="a sale", lane=LIVE):
    return review(replace(chain.place, actor=actor), chain.day(3), answer, why, lane)


def learnt(chain, n, lane=None):
    """What the candidate of a day learnt, as (day, part)."""
    candidate = run_span(chain.place, chain.day(n), lane).candidate
    parts = load_manifest(chain.place.store, candidate.release_id, published=False).lineage.learnt
    return [((part.span - chain.day(0)).days, part.part) for part in parts]


def spans(outcomes):
    return [outcome.span for outcome in outcomes]


def test_later_days_go_on_without_a_held_span_and_the_day_after_it_was_accepted_learns_it_once(held):
    assert spans(open_reviews(held.place)) == [held.day(3)]
    for n in (4, 5, 6):
        held.deliver(n)
    assert learnt(held, 4) == [(2, "holdout"), (4, "train")]
    answer = say(held, "accept")
    assert (answer.answer, answer.reviewed_by, answer.reason) == ("accept", "shell:ann", "a sale")
    assert open_reviews(held.place) == ()
    assert learnt(held, 5) == [(3, "holdout"), (3, "train"), (4, "holdout"), (5, "train")]
    assert learnt(held, 6) == [(5, "holdout"), (6, "train")]


def test_what_was_accepted_names_who_accepted_it_and_why_and_the_outcome_stays_held(held):
    say(held, "accept")
    (added,) = lanes.additions(held.place.store, LIVE)
    assert (added.span, added.result, added.settled_by) == (held.day(3), "added", "shell:ann")
    assert added.reasons == ("accepted: a sale",)
    assert lanes.outcomes(held.place.store, LIVE)[3].result == "held"


def test_a_rejected_span_is_never_learnt(held):
    say(held, "reject")
    for n in (4, 5):
        held.deliver(n)
        assert 3 not in {day for day, _ in learnt(held, n)}
    assert open_reviews(held.place) == ()


@pytest.mark.parametrize(("first", "second", "added"), [("accept", "reject", 1), ("reject", "accept", 0)])
def test_the_first_answer_stands_whoever_says_otherwise_later(held, first, second, added):
    one = say(held, first)
    assert say(held, second, actor="airflow:widedeep_review/1, answered by bob") == one
    assert len(lanes.additions(held.place.store, LIVE)) == added


def test_an_answer_that_is_given_again_finds_its_record(held):
    once = say(held, "accept")
    before = dict(held.place.store.objects)
    assert say(held, "accept") == once
    assert held.place.store.objects == before


def test_of_two_people_who_answer_at_once_one_is_first_and_both_are_told_who(held):
    together = Barrier(2)

    def answers(answer):
        together.wait()
        return say(held, answer, actor=f"shell:{answer}")

    with ThreadPoolExecutor(2) as pool:
        told = set(pool.map(answers, ("accept", "reject")))
    (standing,) = told
    assert standing.reviewed_by == f"shell:{standing.answer}"
    assert len(lanes.additions(held.place.store, LIVE)) == (standing.answer == "accept")


@pytest.mark.parametrize("look", ["list", "ask", "answer again"])
def test_if_who_accepted_died_before_the_rows_were_added_whoever_looks_next_adds_them(held, look):
    class Dying(MemoryStore):
        def __init__(self, store):
            self.__dict__ = store.__dict__

        def create(self, key, data):
            if key.startswith(layout.additions(LIVE)):
                raise StoreUnavailableError("no answer")
            return super().create(key, data)

    with pytest.raises(StoreUnavailableError):
        review(replace(held.place, store=Dying(held.place.store)), held.day(3), "accept", "a sale")
    assert lanes.additions(held.place.store, LIVE) == ()
    if look == "list":
        assert open_reviews(held.place) == ()
    elif look == "ask":
        assert not waits_for_review(held.place, held.day(3))
    else:
        say(held, "reject", actor="shell:bob")
    held.deliver(4)
    assert (3, "train") in learnt(held, 4)


def test_a_replay_of_an_accepted_span_finds_the_answer_and_learns_it(held):
    say(held, "accept")
    assert (3, "train") in learnt(held, 3, REPLAY)


def test_a_replay_of_a_rejected_span_holds_it_and_asks_nobody(held):
    say(held, "reject")
    assert run_span(held.place, held.day(3), REPLAY).result == "held"
    assert open_reviews(held.place, REPLAY) == ()


def test_the_question_names_what_changed_by_how_much_and_a_report_that_is_there(held):
    told = question(held.place, awaited_review(held.place, held.day(3)))
    assert VOLUME in told
    assert "'price': moved by 0.08" in told
    assert "3 rows were taken out" not in told
    report = told.split("Its report: ")[1].split(" ")[0]
    assert held.place.store.get(report.removeprefix(f"{held.place.store.url}/"))


def test_a_delivered_value_cant_leave_the_block_in_which_the_question_quotes_it(held):
    told = question(held.place, awaited_review(held.place, held.day(3)))
    assert told.count("```") == 2
    assert "'''<b>" in told


@pytest.mark.parametrize(("n", "got"), [(2, "is settled as promoted"), (9, "is not settled")])
def test_a_span_that_is_not_held_for_a_review_is_refused_and_those_that_are_are_named(held, n, got):
    with pytest.raises(UsageError, match=rf"{held.day(n)} of lane live: {got}; .* Waiting: {held.day(3)}"):
        review(held.place, held.day(n), "accept", "a sale")
    assert not waits_for_review(held.place, held.day(n))


@pytest.mark.parametrize("blank", ["", " \n"])
def test_an_answer_without_a_reason_is_refused_and_nothing_is_kept(held, blank):
    with pytest.raises(UsageError, match="reason: got nothing"):
        say(held, "accept", why=blank)
    assert answered(held.place, awaited_review(held.place, held.day(3))) is None


def test_a_span_whose_report_was_pruned_waits_for_nobody_any_more(held):
    held.place.store.delete(str(awaited_review(held.place, held.day(3)).validation))
    assert open_reviews(held.place) == ()
