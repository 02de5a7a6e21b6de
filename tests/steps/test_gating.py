"""The gate judges beside the champion and an anchor, on rows that none of the three has learnt."""

from dataclasses import replace

import pytest

from widedeep.artifacts import DryRunReport, Verdict
from widedeep.publishing import layout, releases
from widedeep.steps import dry_run, gate, ingest, run_span, start, train, validate
from widedeep.steps.workplace import stored


def verdict_on(place, progress):
    return Verdict.from_bytes(stored(place.store, progress.verdict))


def trained(chain, n):
    progress = start(chain.place, chain.day(n))
    for step in (ingest, validate, train):
        progress = step(chain.place, progress)
    return progress


def with_gate(place, **changed):
    return replace(place, contract=place.contract.model_copy(update={"gate": place.contract.gate.model_copy(update=changed)}))


def test_the_chains_first_release_is_the_anchor_of_a_young_chain_unless_it_is_the_champion(quick):
    for n in (3, 4):
        quick.deliver(n)
    first = verdict_on(quick.place, run_span(quick.place, quick.day(3)))
    assert (first.decision, first.champion, first.anchor) == ("promote", quick.first.release, None)
    second = verdict_on(quick.place, run_span(quick.place, quick.day(4)))
    assert (second.champion, second.anchor) == (first.candidate, quick.first.release)
    assert second.anchor_difference.lower < second.anchor_difference.upper
    assert any("against the anchor" in reason for reason in second.reasons)


def test_what_is_judged_against_another_anchor_or_none_is_judged_anew(quick):
    for n in (3, 4):
        quick.deliver(n)
    run_span(quick.place, quick.day(3))
    progress = dry_run(quick.place, trained(quick, 4))
    keys = {gate(place, progress).verdict for place in (quick.place, with_gate(quick.place, anchor_days=None), quick.place)}
    assert len(keys) == 2
    assert {verdict_on(quick.place, progress.model_copy(update={"verdict": key})).anchor for key in keys} == {
        quick.first.release,
        None,
    }


def test_an_anchor_that_was_pruned_leaves_its_place_to_the_next_one(quick):
    for n in (3, 4, 5):
        quick.deliver(n)
    second = run_span(quick.place, quick.day(3)).release
    run_span(quick.place, quick.day(4))
    quick.place.store.delete(layout.manifest(quick.first.release))
    progress = dry_run(quick.place, trained(quick, 5))
    assert verdict_on(quick.place, gate(quick.place, progress)).anchor == second


def test_rows_that_the_candidate_has_learnt_are_not_judged_on_although_the_pool_has_grown_over_them(quick):
    """The contract was edited, and the task cleared, between training and the gate."""
    for n in (3, 4):
        quick.deliver(n)
    run_span(quick.place, quick.day(3))
    progress = dry_run(quick.place, trained(quick, 4))
    learnt = releases.load_manifest(quick.place.store, progress.candidate.release_id, published=False).lineage.learnt
    assert (quick.day(3), "holdout") in {(part.span, part.part) for part in learnt}
    wide = quick.place.contract.split.model_copy(update={"pool_spans": 3})
    quick.place = replace(quick.place, contract=quick.place.contract.model_copy(update={"split": wide}))
    assert {part.span for part in verdict_on(quick.place, gate(quick.place, progress)).holdout} == {quick.day(4)}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_gate_scores_at_the_precision_that_serves(quick, precision):
    quick.deliver(3)
    serving = quick.place.contract.serving.model_copy(update={"precision": precision})
    place = replace(quick.place, contract=quick.place.contract.model_copy(update={"serving": serving}))
    progress = trained(quick, 3)
    candidate = progress.candidate
    passed = DryRunReport(release_id=candidate.release_id, manifest_sha256=candidate.manifest_sha256, failures=())
    key = releases.save_evidence(place.store, candidate.release_id, "dry-run-of-the-test", passed)
    found = verdict_on(place, gate(place, progress.model_copy(update={"dry_run": key})))
    plain = verdict_on(quick.place, gate(quick.place, progress.model_copy(update={"dry_run": key})))
    assert (found.candidate_metrics == plain.candidate_metrics) == (precision == "float32")
