"""A champion in debt may give way to its twin, by the gate and a person alone; then the chain goes on as from any release."""

from dataclasses import replace

import pytest
from rich.console import Console

from tests.steps.test_auditing import changed, fill, go_on, hardly_learning, objects, turned
from tests.steps.test_crashes import DyingStore
from widedeep.artifacts import LIVE, Verdict
from widedeep.errors import OrderError, StaleError, StoreUnavailableError, SupersededError
from widedeep.publishing import lanes
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import champion, withdrawn
from widedeep.publishing.releases import load_manifest
from widedeep.steps import (
    audit,
    awaited_review,
    judgement,
    plan_rollback,
    propose,
    question,
    retraining,
    review,
    roll_back,
    run_span,
)
from widedeep.steps.chain import STEPS, start
from widedeep.steps.lineage import trace
from widedeep.steps.lineage_tree import tree_of
from widedeep.steps.reviewing import open_reviews
from widedeep.steps.verification import verify
from widedeep.steps.workplace import stored


@pytest.fixture(scope="module")
def done():
    return {}


@pytest.fixture
def audited(quick, done):
    """A chain in debt, whose twin has learnt its last four days: made once, copied for each test."""
    if not done:
        for n in (3, 4, 5):
            go_on(quick, n, turned, hardly_learning(quick))
        done["audit"] = audit(changed(quick, audit={"days": 4}))
        done["objects"] = objects(quick.place.store)
    quick.place = replace(quick.place, store=fill(MemoryStore(), done["objects"]))
    quick.audit, quick.elder = done["audit"], champion(quick.place.store, LIVE).release_id
    return quick


@pytest.fixture
def proposed(audited):
    audited.held = propose(audited.place, audited.audit)
    assert audited.held.result == "held"
    return audited


def say(chain, answer, release=None):
    return review(replace(chain.place, actor="shell:ann"), chain.day(5), answer, "the debt", LIVE, release)


def learnt(chain, progress):
    parts = load_manifest(chain.place.store, progress.candidate.release_id, published=False).lineage.learnt
    return [((part.span - chain.day(0)).days, part.part) for part in parts]


def deliver_and_run(chain, n, **gate):
    """By a gate that lets days of few users pass, unless it is told otherwise."""
    chain.deliver(n, turned(chain.rows(n)))
    absolute = {"auc_at_least": 0, "ne_at_most": 100, "calibration": [0.01, 100]}
    lenient = {"margin": 10, "slices": [], "anchor_days": None} | absolute
    return run_span(changed(chain, gate=lenient | gate), chain.day(n))


def test_the_twin_waits_for_a_person_with_its_debt_and_the_gates_figures(proposed):
    assert champion(proposed.place.store, LIVE).release_id == proposed.elder
    assert open_reviews(proposed.place) == (proposed.held,)
    asked = question(proposed.place, awaited_review(proposed.place, proposed.day(5)))
    assert f"The gate held {proposed.audit.twin}, a twin of {proposed.elder}, the champion of lane live" in asked
    assert "which a person decides" in asked
    assert proposed.held.reasons[0] == proposed.audit.told()


def test_however_good_a_twin_is_the_gate_holds_it(proposed):
    verdict = Verdict.from_bytes(stored(proposed.place.store, proposed.held.verdict))
    assert (verdict.decision, verdict.champion, verdict.holdout) == ("hold", proposed.elder, proposed.audit.holdout)
    assert verdict.loss_difference.upper < 0


def test_an_accepted_twin_leads_and_the_next_day_starts_from_it_and_learns_no_old_day_again(proposed):
    answer = say(proposed, "accept")
    pointer = champion(proposed.place.store, LIVE)
    assert (pointer.release_id, pointer.kind, pointer.moved_by) == (proposed.audit.twin, "promote", "shell:ann")
    assert pointer.reason == answer.told()
    assert open_reviews(proposed.place) == ()
    progress = deliver_and_run(proposed, 6)
    assert progress.candidate.parent == proposed.audit.twin
    assert learnt(proposed, progress) == [(5, "holdout"), (6, "train")], "days 0 and 1, which the twin left out, stay learnt"


def test_the_span_of_the_champion_is_then_the_twins_also_for_replays(proposed):
    say(proposed, "accept")
    check_that_the_twin_stands(proposed)
    assert deliver_and_run(proposed, 6).result == "promoted"
    check_that_the_twin_stands(proposed)


def check_that_the_twin_stands(chain):
    outcome = lanes.outcome(chain.place.store, LIVE, chain.day(5))
    assert (outcome.result, outcome.release_id) == ("promoted", chain.audit.twin)
    assert f"test had settled the span as promoted with {chain.elder}" in outcome.reasons
    past = lanes.history(chain.place.store, LIVE, chain.day(6))
    assert lanes.parent_as_of(past, chain.day(6)) == chain.audit.twin
    assert [each.result for each in lanes.proposals(chain.place.store, LIVE)] == ["promoted"]


def test_a_rollback_takes_the_twin_back_and_its_champion_leads_again(proposed):
    say(proposed, "accept")
    deliver_and_run(proposed, 6)
    plan = plan_rollback(proposed.place, LIVE, proposed.elder)
    roll_back(proposed.place, plan, "clicks fell")
    assert champion(proposed.place.store, LIVE).release_id == proposed.elder
    assert proposed.audit.twin in withdrawn(proposed.place.store, LIVE)
    outcome = lanes.outcome(proposed.place.store, LIVE, proposed.day(5))
    assert (outcome.result, outcome.release_id) == ("promoted", proposed.elder)
    assert open_reviews(proposed.place) == ()
    assert [each.result for each in lanes.proposals(proposed.place.store, LIVE)] == ["promoted"]
    assert champion(proposed.place.store, LIVE).release_id == proposed.elder, "an old answer moves nothing"
    progress = deliver_and_run(proposed, 7)
    assert progress.candidate.parent == proposed.elder
    past = lanes.history(proposed.place.store, LIVE, proposed.day(6))
    assert lanes.parent_as_of(past, proposed.day(6), withdrawn(proposed.place.store, LIVE)) == proposed.elder


def test_a_day_that_was_trained_from_the_champion_is_not_promoted_over_its_twin_but_trained_again(proposed):
    """Else the chain would go on without the twin, and a replay of the day from it."""
    absolute = {"auc_at_least": 0, "ne_at_most": 100, "calibration": [0.01, 100]}
    place = changed(proposed, gate={"margin": 10, "slices": [], "anchor_days": None} | absolute)
    proposed.deliver(6, turned(proposed.rows(6)))
    progress = start(place, proposed.day(6))
    for step in ("ingest", "validate", "train", "dry_run", "gate"):
        progress = STEPS[step](place, progress)
    say(proposed, "accept")
    with pytest.raises(StaleError):
        STEPS["publish"](place, progress)
    with pytest.raises(OrderError, match=f"trained from {proposed.elder}, and {proposed.audit.twin} is champion since"):
        STEPS["gate"](place, progress)
    assert run_span(place, proposed.day(6)).candidate.parent == proposed.audit.twin


def test_once_another_champion_leads_nobody_is_asked_about_the_twin_any_more(proposed):
    roll_back(proposed.place, plan_rollback(proposed.place, LIVE), "clicks fell")
    leader = champion(proposed.place.store, LIVE).release_id
    assert leader != proposed.elder
    assert open_reviews(proposed.place) == ()
    said = f"{proposed.audit.twin} was compared with {proposed.elder}, and {leader} leads since"
    with pytest.raises(SupersededError, match=said):
        say(proposed, "accept", proposed.audit.twin)
    assert champion(proposed.place.store, LIVE).release_id == leader


def test_a_twin_that_ends_before_the_champion_s_span_is_not_proposed_since_nobody_could_accept_it(audited):
    later = audited.audit.model_copy(update={"span": audited.day(6)})
    refused = propose(audited.place, later)
    assert (refused.result, f"the rows of span {later.span} are gone" in refused.reasons[0]) == ("rejected", True)
    assert open_reviews(audited.place) == ()


def test_a_twin_that_a_person_has_rejected_is_not_proposed_again_for_the_same_head(proposed):
    answer = say(proposed, "reject")
    again = propose(proposed.place, proposed.audit)
    assert (again.result, again.reasons) == ("rejected", (answer.told(),))


def test_a_rejected_twin_stays_stored_and_the_chain_goes_on_as_it_is(proposed):
    say(proposed, "reject")
    assert open_reviews(proposed.place) == ()
    progress = deliver_and_run(proposed, 6)
    assert progress.candidate.parent == proposed.elder
    assert learnt(proposed, progress) == [(5, "holdout"), (6, "train")]


def test_once_a_later_day_has_settled_the_twin_is_superseded(proposed):
    deliver_and_run(proposed, 6)
    assert open_reviews(proposed.place) == ()
    with pytest.raises(SupersededError, match=r"superseded by span 2026-03-08"):
        say(proposed, "accept")
    assert champion(proposed.place.store, LIVE).release_id != proposed.audit.twin


def test_a_twin_of_a_champion_behind_the_head_can_be_accepted_too(audited):
    """A chain in debt may reject its days: then the champion is of an earlier day than the head."""
    assert deliver_and_run(audited, 6, auc_at_least=0.99).result == "rejected"
    found = audit(audited.place)
    held = propose(audited.place, found)
    assert (held.span, held.head) == (audited.day(5), audited.day(6))
    assert open_reviews(audited.place) == (held,)
    say(audited, "accept", held.release_id)
    assert champion(audited.place.store, LIVE).release_id == found.twin
    assert lanes.outcome(audited.place.store, LIVE, audited.day(6)).result == "rejected"
    progress = deliver_and_run(audited, 7)
    assert (6, "train") in learnt(audited, progress), "the rejected day is pending as before"


def test_what_the_gate_rejects_is_not_proposed(audited):
    held = propose(changed(audited, gate={"auc_at_least": 0.999}), audited.audit)
    assert held.result == "rejected"
    assert "wanted at least 0.999" in held.reasons[0]
    assert open_reviews(audited.place) == ()


def test_where_the_contract_asks_nobody_nothing_is_rehearsed_or_proposed(audited, monkeypatch):
    monkeypatch.setattr(judgement, "_rehearse", None)
    before = objects(audited.place.store)
    held = propose(changed(audited, gate={"undecided": "reject"}), audited.audit)
    assert (held.result, held.reasons) == (
        "rejected",
        (f"{audited.audit.twin} is not proposed: by its contract (gate.undecided) nobody is asked",),
    )
    assert objects(audited.place.store) == before


def test_a_champion_that_changed_since_the_audit_is_not_replaced(audited):
    assert deliver_and_run(audited, 6).result == "promoted"
    with pytest.raises(StaleError, match="Nothing was proposed"):
        propose(audited.place, audited.audit)


def test_proposed_again_it_is_found_and_wherever_it_dies_the_next_one_proposes_the_same(audited, monkeypatch):
    start = objects(audited.place.store)
    once = propose(audited.place, audited.audit)
    wanted = without_records(objects(audited.place.store))
    monkeypatch.setattr(retraining, "_train", None)
    assert propose(replace(audited.place, actor="another"), audited.audit) == once
    assert without_records(objects(audited.place.store)) == wanted
    writes = len(objects(audited.place.store)) - len(start)
    assert writes > 5
    for n in range(1, writes + 1):
        store = fill(MemoryStore(), start)
        with pytest.raises(StoreUnavailableError):
            propose(replace(audited.place, store=DyingStore(store, n, after=n % 2 == 0)), audited.audit)
        assert champion(store, LIVE).release_id == audited.elder
        assert propose(replace(audited.place, store=store), audited.audit) == once
        assert names(without_records(objects(store))) == names(wanted), n


def test_its_lineage_tells_whose_twin_it_is_and_what_it_left_out(proposed):
    told = "".join(
        str(segment.text) for segment in Console(width=200).render(tree_of(trace(proposed.place.store, proposed.audit.twin)))
    )
    assert f"the twin of {proposed.elder} from scratch" in told
    assert "left out of what its champion had learnt: 4 parts of 2 spans, 2026-03-02 to 2026-03-03" in told
    assert "nobody: it starts anew" in told


def test_an_accepted_twin_is_sound_all_over(proposed):
    say(proposed, "accept")
    for release in (proposed.audit.twin, proposed.elder):
        assert verify(proposed.place, release, lambda *_: None).problems == ()


def without_records(found):
    return {key: data for key, data in found.items() if "/published-" not in key and "/trained" not in key}


def names(found):
    """A dry run measures times, so what it and the verdict say differs; where both stand does not."""
    return {key for key in found if "/decision-" not in key and "/report-" not in key}
