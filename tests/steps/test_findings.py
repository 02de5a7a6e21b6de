"""Findings are those of the rows, the checks and what the lane had learnt: nobody gets those of another baseline."""

import pyarrow.compute as pc
import pytest

from widedeep.artifacts import LIVE
from widedeep.publishing import layout
from widedeep.steps import ingest, review, run_span, start
from widedeep.steps.contracts import check_span
from widedeep.steps.findings import judged
from widedeep.steps.past import past_profiles

PRICE = 4  # its column
REPLAY = "replay-2026-03-05"


def unlike(rows):
    """With prices in another currency."""
    return rows.set_column(PRICE, "price", pc.multiply(rows["price"], 0.13))


def checks_of(validation, severity="drastic"):
    return {(f.check, f.column) for f in validation.findings if f.severity == severity}


@pytest.fixture
def nothing_learnt(quick, monkeypatch):
    """The store as it was before the bootstrap, until what was learnt is `put_back`."""
    store = quick.place.store
    kept = {key: store.objects.pop(key) for key in [*store.keys("lanes/")]}
    quick.put_back = lambda: store.objects.update(kept)
    return quick


def test_who_looks_before_anything_is_learnt_does_not_switch_drift_off(nothing_learnt):
    chain = nothing_learnt
    chain.deliver(3, unlike(chain.rows(3)))
    early = check_span(chain.place, chain.day(3))
    assert (early.judgement, early.validation.findings) == ("valid", ())
    chain.put_back()
    assert run_span(chain.place, chain.day(3)).result == "held"


def test_a_lane_with_another_past_gets_findings_of_its_own(quick, monkeypatch):
    quick.deliver(3, unlike(quick.rows(3)))
    snapshot = ingest(quick.place, start(quick.place, quick.day(3))).snapshot
    key, found = judged(quick.place, LIVE, snapshot)
    monkeypatch.setattr("widedeep.steps.findings.past_profiles", lambda *of: past_profiles(*of)[:-1])
    other_key, other = judged(quick.place, "other", snapshot)
    assert key != other_key
    assert found != other
    assert checks_of(found) == checks_of(other) == {("drift", "price")}


def test_findings_from_before_the_baseline_was_in_the_key_still_lead_to_the_profile(quick):
    before = past_profiles(quick.place, LIVE, quick.day(3))
    store, checks = quick.place.store, quick.place.contract.checks_digest
    for key in [*store.keys(layout.VALIDATIONS)]:
        folder, name = key.split("/", 3)[2:]
        assert checks[: layout.DIGEST_CHARS] in folder
        store.objects[f"{key.split(folder)[0]}{folder.rpartition('-')[0]}/{name}"] = store.objects.pop(key)
    assert [profile.span for profile in before] == [quick.day(n) for n in range(3)]
    assert past_profiles(quick.place, LIVE, quick.day(3)) == before


def test_a_replay_with_another_past_finds_the_answer_to_the_same_rows_held_for_the_same(quick, monkeypatch):
    quick.deliver(3, unlike(quick.rows(3)))
    assert run_span(quick.place, quick.day(3)).result == "held"
    review(quick.place, quick.day(3), "accept", "another currency")
    monkeypatch.setattr("widedeep.steps.findings.past_profiles", lambda *of: past_profiles(*of)[:-1])
    assert run_span(quick.place, quick.day(3), REPLAY).candidate


def test_where_the_profiles_of_what_was_learnt_are_gone_the_findings_say_so(quick):
    store = quick.place.store
    for key in [*store.keys(layout.VALIDATIONS)]:
        store.delete(key)
    quick.deliver(3)
    found = check_span(quick.place, quick.day(3)).validation
    (told,) = [f.message for f in found.findings if f.severity == "warning"]
    assert told.startswith("drift is not measured: none of 3 learnt spans has a profile left")


def test_after_a_long_pause_drift_is_measured_against_what_was_learnt_before_it(quick):
    quick.deliver(100, unlike(quick.rows(100)))
    object.__setattr__(quick.place, "clock", lambda: quick.place.deadline(quick.day(101)))
    snapshot = ingest(quick.place, start(quick.place, quick.day(100))).snapshot
    assert checks_of(judged(quick.place, LIVE, snapshot)[1]) == {("drift", "price")}
