"""The scorer: how rows are cut and on how many threads changes no score."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from widedeep.artifacts import Part
from widedeep.errors import IntegrityError
from widedeep.features.encoding import encode
from widedeep.model import scorer as scorer_module
from widedeep.model.forward import probabilities
from widedeep.model.scorer import Scorer
from widedeep.model.scoring import score_rows
from widedeep.training.candidate import train_candidate

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


COLUMNS = ("who", "seen", "age", "film", "genres", "length", "weekend", "hour")


def alike(rows: pa.Table, shared: frozenset[str]) -> pa.Table:
    """The rows with the first one's value in the shared columns of each."""
    first = pa.array(np.zeros(rows.num_rows, np.int64))
    return pa.table({name: rows[name].take(first) if name in shared else rows[name] for name in rows.column_names})


@given(shared=st.frozensets(st.sampled_from(COLUMNS)), count=st.integers(0, 12), start=st.integers(0, 150))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_all_rows_share_is_reckoned_once_and_changes_no_score(published_shop, bundle, shared, count, start):
    rows = alike(published_shop.rows(9).slice(start, max(count, 1)), shared).slice(0, count)
    with Scorer(published_shop.contract, 5, 2) as scorer:
        found = scorer.scores(bundle, rows, shared)
    assert np.abs(found - score_rows(bundle, rows, published_shop.contract)).max(initial=0) < 1e-6


@pytest.mark.parametrize("told", [{"parts": ("wide",)}, {"parts": ("deep",)}, {"hidden": ()}], ids=str)
def test_models_of_one_part_or_without_hidden_layers_share_columns_too(published_shop, told):
    shop = published_shop.contract
    contract = shop.model_copy(update={"model": shop.model.model_copy(update=told)})
    part = Part(span=date(2026, 1, 1), version=1, digest="0" * 64, part="train")
    bundle, _ = train_candidate(None, [(part, published_shop.rows(0))], contract, 0, lambda _learnt, _total: None)
    shared = frozenset(["who", "seen", "age", "hour"])
    rows = alike(published_shop.rows(9), shared)
    with Scorer(contract, 50, 2) as scorer:
        assert np.abs(scorer.scores(bundle, rows, shared) - score_rows(bundle, rows, contract)).max() < 1e-6


def test_rows_that_another_bundle_encoded_are_not_scored(published_shop, bundle, tmp_path):
    older = published_shop.bundle(0, tmp_path / "older")
    encoded = encode(published_shop.rows(9), older.vocabularies, older.quantiles, published_shop.contract)
    with Scorer(published_shop.contract, 50, 1) as scorer, pytest.raises(IntegrityError, match="own vocabularies"):
        scorer.encoded_scores(bundle, encoded)


def test_no_more_than_a_batch_is_scored_at_once_and_the_asking_thread_takes_its_share(published_shop, bundle, monkeypatch):
    from threading import get_ident

    seen = []
    monkeypatch.setattr(scorer_module, "probabilities", lambda w, e: seen.append((len(e), get_ident())) or probabilities(w, e))
    with Scorer(published_shop.contract, 10, 3) as scorer:
        scorer.scores(bundle, published_shop.rows(9).slice(0, 60))
    assert sum(count for count, _ in seen) == 60
    assert max(count for count, _ in seen) == 10
    assert sum(count for count, thread in seen if thread == get_ident()) == 20


def test_bfloat16_is_near_and_follows_the_bundle(published_shop, bundle, tmp_path):
    rows, older = published_shop.rows(9), published_shop.bundle(0, tmp_path / "older")
    with Scorer(published_shop.contract, 50, 2, "bfloat16") as scorer:
        for each in (bundle, older, bundle):
            expected = score_rows(each, rows, published_shop.contract)
            assert 0 < np.abs(scorer.scores(each, rows) - expected).max() < BFLOAT16_OFF
    shared = frozenset(["who", "seen", "hour"])
    rows = alike(rows, shared)
    with Scorer(published_shop.contract, 50, 2, "bfloat16") as scorer:
        for each in (bundle, older, bundle):
            expected = score_rows(each, rows, published_shop.contract)
            assert 0 < np.abs(scorer.scores(each, rows, shared) - expected).max() < BFLOAT16_OFF
