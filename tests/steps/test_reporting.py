"""A decision's report stands beside its verdict, tells what was measured, and is bound to what it is about."""

from dataclasses import replace
from html import unescape

import pytest

from widedeep.artifacts import DryRunReport, Verdict
from widedeep.data.contract import Contract
from widedeep.errors import ContractError, UsageError
from widedeep.evaluation.report.values import Report
from widedeep.publishing import layout, releases
from widedeep.steps import dry_run, gate, ingest, run_span, start, train, validate
from widedeep.steps.comparing import compare
from widedeep.steps.verification import verify


def nothing(*_: int) -> None:
    """Who verifies tells nobody."""


def report_on(chain, progress) -> Report:
    name = layout.evidence_name(layout.decision_report(progress.verdict))
    return releases.load_evidence(chain.place.store, progress.candidate.release_id, name, Report)


def page_of(chain, progress) -> str:
    return unescape(chain.place.store.get(layout.decision_report(progress.verdict)).data.decode())


def test_a_decision_leaves_a_report_with_its_reasons_and_ranking_beside_the_auc(quick):
    quick.deliver(3)
    progress = run_span(quick.place, quick.day(3))
    report, page = report_on(quick, progress), page_of(quick, progress)
    verdict = Verdict.from_bytes(quick.place.store.get(progress.verdict).data)
    assert report.verdict == verdict
    assert (report.release_id, report.manifest_sha256) == (verdict.candidate, verdict.candidate_manifest_sha256)
    assert (report.candidate.metrics, report.champion.metrics) == (verdict.candidate_metrics, verdict.champion_metrics)
    judged, *shown = report.differences
    assert (judged.interval, judged.margin) == (verdict.loss_difference, quick.place.contract.gate.margin)
    assert {"device = mobile", "country = DE"} <= {slice_.name for slice_ in shown}
    assert {slice_.margin for slice_ in shown} == {2 * quick.place.contract.gate.margin}
    assert tuple(shown) == verdict.slices
    for side in (report.candidate, report.champion):
        lists = side.recommendations
        assert 0 < lists.coverage <= 1
        assert 0 < lists.ndcg <= 1
        assert lists.items == 40
        assert sum(side.histogram) == pytest.approx(1, abs=1e-4)
    assert all(part in page for part in ("AUC", "NDCG@10", "Catalogue coverage", "<svg", *verdict.reasons))
    assert f"../../{layout.validations(quick.day(3))}" in page
    assert not verify(quick.place, progress.release, nothing).problems
    quick.place.store.objects[layout.decision_report(progress.verdict)] = page.replace("AUC", "auc").encode()
    assert "the page of the report" in verify(quick.place, progress.release, nothing).told()


def test_a_rejected_candidate_of_which_nothing_was_measured_has_a_report_with_the_reason(quick):
    quick.deliver(3)
    progress = start(quick.place, quick.day(3))
    for step in (ingest, validate, train):
        progress = step(quick.place, progress)
    candidate = progress.candidate
    failed = DryRunReport(
        release_id=candidate.release_id, manifest_sha256=candidate.manifest_sha256, failures=("scores <b>differ</b> by 3.00e-01",)
    )
    key = releases.save_evidence(quick.place.store, candidate.release_id, "dry-run-of-the-test", failed)
    progress = gate(quick.place, progress.model_copy(update={"dry_run": key}))
    report = report_on(quick, progress)
    assert (report.verdict.decision, report.candidate, report.champion) == ("reject", None, None)
    raw = quick.place.store.get(layout.decision_report(progress.verdict)).data.decode()
    assert "scores &lt;b&gt;differ&lt;/b&gt; by 3.00e-01" in raw
    assert "<b>" not in raw


def test_a_gate_that_died_before_its_verdict_finds_the_report_that_it_left(quick):
    quick.deliver(3)
    place = quick.place
    progress = start(place, quick.day(3))
    for step in (ingest, validate, train, dry_run):
        progress = step(place, progress)
    judged = gate(place, progress)
    page = place.store.get(layout.decision_report(judged.verdict)).data
    place.store.delete(judged.verdict)
    assert gate(place, progress) == judged
    assert place.store.get(layout.decision_report(judged.verdict)).data == page


def test_any_two_releases_are_compared_on_the_newest_rows_that_neither_has_learnt(quick):
    quick.deliver(3)
    quick.deliver(4)
    progress = run_span(quick.place, quick.day(3))
    verdict = Verdict.from_bytes(quick.place.store.get(progress.verdict).data)
    report = compare(quick.place, verdict.candidate, verdict.champion[:8])
    assert (report.verdict, report.holdout) == (None, verdict.holdout)
    assert report.differences[0].interval == verdict.loss_difference
    assert (report.candidate.metrics, report.champion.metrics) == (verdict.candidate_metrics, verdict.champion_metrics)
    assert compare(quick.place, verdict.champion, verdict.candidate).ndcg.estimate == pytest.approx(-report.ndcg.estimate)
    later = run_span(quick.place, quick.day(4))
    assert [part.span for part in compare(quick.place, later.release, verdict.candidate).holdout] == [quick.day(4)]


def test_releases_that_have_learnt_all_that_was_held_out_are_not_compared(quick):
    for key in list(quick.place.store.keys("lanes/live/spans/")):
        quick.place.store.delete(key)
    with pytest.raises(UsageError, match="Run a later span"):
        compare(quick.place, quick.first.release, quick.first.release)


def test_releases_of_another_split_are_not_compared(quick):
    resplit = quick.place.contract.split.model_copy(update={"salt": "another"})
    contract = Contract.model_validate(quick.place.contract.model_dump() | {"split": resplit})
    with pytest.raises(ContractError, match="another split"):
        compare(replace(quick.place, contract=contract), quick.first.release, quick.first.release)
