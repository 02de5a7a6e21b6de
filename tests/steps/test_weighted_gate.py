"""The gate judges by the contract's weights, and on all held-out rows whatever share of the negatives was learnt."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from widedeep.artifacts import DryRunReport, Verdict
from widedeep.data.contract import Column
from widedeep.data.split import split
from widedeep.publishing import releases
from widedeep.steps import gate, ingest, start, train, validate
from widedeep.steps.workplace import stored


def judged(chain, n, **changed):
    """The verdict on day n under a changed contract, after a dry run without failures."""
    place = replace(chain.place, contract=chain.place.contract.model_copy(update=changed))
    progress = start(place, chain.day(n))
    for step in (ingest, validate, train):
        progress = step(place, progress)
    candidate = progress.candidate
    passed = DryRunReport(release_id=candidate.release_id, manifest_sha256=candidate.manifest_sha256, failures=())
    key = releases.save_evidence(place.store, candidate.release_id, "dry-run-of-the-test", passed)
    progress = gate(place, progress.model_copy(update={"dry_run": key}))
    return place, Verdict.from_bytes(stored(place.store, progress.verdict))


def held_out(place, rows, span):
    return split(rows, place.contract, span).holdout


def test_the_gates_figures_are_weighted_and_rows_of_weight_zero_are_left_out(begun):
    rows = begun.rows(3)
    weights = np.random.default_rng(3).integers(0, 4, rows.num_rows)
    rows = rows.append_column("weight", pa.array(weights, pa.int64()))
    begun.deliver(3, rows)
    columns = begun.place.contract.columns | {"weight": Column(type="integer", role="weight")}
    place, verdict = judged(begun, 3, columns=columns)
    # The pool holds the day's own holdout only: its window is one span.
    unseen = held_out(place, rows, begun.day(3))
    w, y = unseen["weight"].to_numpy(), unseen["clicked"].to_numpy(zero_copy_only=False)
    for metrics in (verdict.candidate_metrics, verdict.champion_metrics):
        assert metrics.rows == int((w > 0).sum()) < len(w)
        assert metrics.label_rate == pytest.approx(np.average(y, weights=w))
        assert metrics.label_rate != pytest.approx(y.mean(), rel=1e-3)
    difference = verdict.candidate_metrics.log_loss - verdict.champion_metrics.log_loss
    assert verdict.loss_difference.estimate == pytest.approx(difference)


def test_a_pool_with_days_from_before_the_weight_counts_their_rows_once(begun):
    begun.deliver(3, begun.rows(3).append_column("weight", pa.array([2.5] * 600)))
    columns = begun.place.contract.columns | {"weight": Column(type="number", role="weight")}
    wide = begun.place.contract.split.model_copy(update={"pool_spans": 2})
    place, verdict = judged(begun, 3, columns=columns, split=wide)
    clicks, rows = np.zeros(2), 0
    for part in verdict.holdout:
        weight = 2.5 if part.span == begun.day(3) else 1.0
        y = held_out(place, begun.rows((part.span - begun.day(0)).days), part.span)["clicked"].to_numpy(zero_copy_only=False)
        clicks, rows = clicks + weight * np.array([y.sum(), len(y)]), rows + len(y)
    assert len(verdict.holdout) == 2
    assert verdict.candidate_metrics.rows == rows
    assert verdict.candidate_metrics.label_rate == pytest.approx(clicks[0] / clicks[1])


def test_held_out_rows_are_judged_by_unsampled(begun):
    begun.deliver(3)
    training = begun.place.contract.training.model_copy(update={"negative_rate": 0.2})
    place, verdict = judged(begun, 3, training=training)
    assert verdict.candidate_metrics.rows == held_out(place, begun.rows(3), begun.day(3)).num_rows
