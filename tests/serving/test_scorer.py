"""The scorer: how rows are cut and on how many threads changes no score."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from widedeep.model.forward import scores as all_at_once
from widedeep.model.scoring import score_rows
from widedeep.serving import scorer as scorer_module
from widedeep.serving.scorer import Scorer

BFLOAT16_OFF = 0.01
"""Most that a score may be off: bfloat16 keeps 8 bits, so an addend of the logit is off by up to 1/256 of itself."""


@pytest.fixture(scope="module")
def bundle(published_shop, tmp_path_factory):
    return published_shop.bundle(2, tmp_path_factory.mktemp("scorer") / "bundle")


@given(count=st.integers(0, 60), batch=st.integers(1, 40), threads=st.integers(1, 5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_scores_are_the_trainers_however_they_are_cut(published_shop, bundle, count, batch, threads):
    rows = published_shop.rows(9).slice(0, count)
    with Scorer(published_shop.contract, batch, threads) as scorer:
        found = scorer.scores(bundle, rows)
    expected = score_rows(bundle, rows, published_shop.contract)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max(initial=0) < 1e-6


def test_no_more_than_a_batch_is_scored_at_once_and_the_asking_thread_takes_its_share(published_shop, bundle, monkeypatch):
    from threading import get_ident

    seen = []
    monkeypatch.setattr(scorer_module, "scores", lambda b, e: seen.append((len(e), get_ident())) or all_at_once(b, e))
    with Scorer(published_shop.contract, 10, 3) as scorer:
        scorer.scores(bundle, published_shop.rows(9).slice(0, 60))
    assert sum(count for count, _ in seen) == 60
    assert max(count for count, _ in seen) == 10
    assert sum(count for count, thread in seen if thread == get_ident()) == 20


def test_bfloat16_is_near_and_follows_the_bundle(published_shop, bundle, tmp_path):
    rows, older = published_shop.rows(9), published_shop.bundle(0, tmp_path / "older")
    with Scorer(published_shop.contract, 50, 2, "bfloat16") as scorer:
        for each in (bundle, older, bundle):
            off = np.abs(scorer.scores(each, rows) - score_rows(each, rows, published_shop.contract)).max()
            assert 0 < off < BFLOAT16_OFF
