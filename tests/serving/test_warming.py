"""A server scores a release's golden rows before it serves it: at its start, and when it goes on by a delta or a full load."""

from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from widedeep.artifacts import LIVE
from widedeep.config import Settings
from widedeep.data.contract import DryRun
from widedeep.errors import IntegrityError
from widedeep.model.golden import GOLDEN_FILE, GOLDEN_SCORE
from widedeep.model.scorer import Scorer
from widedeep.publishing import layout
from widedeep.publishing.keys import Trust
from widedeep.publishing.transfer import file_ref
from widedeep.serving.listening import Serving, assembled
from widedeep.serving.reader import ModelReader
from widedeep.serving.warming import WarmUp

SETTINGS = Settings(store="s3://bucket", contract="contract.yaml")
SERVING = Serving(LIVE, "127.0.0.1", 0, 3600.0, 100, 2, "float32")


def golden_of(shop, number: int, folder) -> pa.Table:
    path = folder / GOLDEN_FILE
    release = shop.releases[number]
    (file,) = [file for file in release.files if file.name == GOLDEN_FILE]
    shop.store.download(file.model_copy(update={"name": layout.release_file(release.release_id, file)}), path)
    return pq.read_table(path)


def with_golden(shop, number: int, golden: pa.Table, folder):
    """The shop as if that release had been published with these golden rows."""
    pq.write_table(golden, folder / GOLDEN_FILE)
    release, file = shop.releases[number], file_ref(GOLDEN_FILE, folder / GOLDEN_FILE)
    files = tuple(file if each.name == GOLDEN_FILE else each for each in release.files)
    forged = release.model_copy(update={"files": files})
    shop.store.upload(layout.release_file(release.release_id, file), folder / GOLDEN_FILE)
    shop.store.objects[layout.manifest(release.release_id)] = forged.to_bytes()
    return replace(shop, releases=tuple(forged if each is release else each for each in shop.releases))


def moved(golden: pa.Table, by: float) -> pa.Table:
    scores = pa.array(golden[GOLDEN_SCORE].to_numpy() + by)
    return golden.set_column(golden.column_names.index(GOLDEN_SCORE), GOLDEN_SCORE, scores)


@contextmanager
def a_reader(shop, scratch, precision="float32", **told):
    with Scorer(shop.contract, 100, 1, precision) as scorer:
        check = WarmUp(shop.store, shop.contract, scorer, scratch).check
        yield ModelReader(shop.store, Trust({}, required=False), LIVE, scratch, before=check, **told)


def test_each_release_of_the_line_passes_by_deltas_and_in_full(shop, tmp_path):
    with a_reader(shop, tmp_path) as reader:
        hows = [reader.refresh().how for number in range(3) if shop.crown(number)]
    assert hows == ["full", "deltas", "deltas"]


@pytest.mark.parametrize("by_deltas", [True, False])
def test_a_release_that_scores_its_golden_rows_otherwise_is_refused_and_the_one_before_serves_on(shop, tmp_path, by_deltas):
    shop = with_golden(shop, 1, moved(golden_of(shop, 1, tmp_path), 2e-6), tmp_path)
    with a_reader(shop, tmp_path) as reader:
        first = shop.crown(0)
        reader.refresh()
        shop.crown(1)
        with pytest.raises(IntegrityError, match=r"trainer's by up to 2\.00e-06, wanted at most 1e-06"):
            reader.refresh()
        with reader.model() as held:
            assert held.manifest.release_id == first


def test_what_a_delta_would_write_is_what_is_scored_with(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("widedeep.serving.reader.as_read", lambda target, _delta, _rows: target)  # the rows as they were
    shop.crown(0)
    with a_reader(shop, tmp_path) as reader:
        reader.refresh()
        shop.crown(1)
        done = reader.refresh()
    assert done.how == "full"
    assert "tried on its golden rows" in done.because


def test_in_bfloat16_the_contract_states_another_tolerance(shop, tmp_path):
    shop.crown(0)
    with a_reader(shop, tmp_path, "bfloat16") as reader:
        assert reader.refresh().how == "full"
    strict = replace(shop, contract=shop.contract.model_copy(update={"dry_run": DryRun(max_score_error_bfloat16=1e-6)}))
    with a_reader(strict, tmp_path, "bfloat16") as reader, pytest.raises(IntegrityError, match="wanted at most 1e-06"):
        reader.refresh()


def test_rows_that_can_not_be_scored_are_told_in_words(shop, tmp_path):
    shop = with_golden(shop, 0, golden_of(shop, 0, tmp_path).drop_columns("film"), tmp_path)
    shop.crown(0)
    with a_reader(shop, tmp_path) as reader, pytest.raises(IntegrityError, match=r"can't score real rows: .*film"):
        reader.refresh()


def test_a_server_of_one_release_serves_it_whoever_is_champion_and_does_not_begin_without_it(shop, tmp_path):
    shop.crown(0)
    wanted = shop.releases[1]
    pinned = replace(SERVING, release=(wanted.release_id, wanted.content_digest()))
    with assembled(shop.store, shop.contract, SETTINGS, pinned, None) as app, TestClient(app) as client:
        assert client.get("/health").json()["release_id"] == wanted.release_id
        assert client.get("/release").json()["release_id"] == wanted.release_id
    with (
        pytest.raises(IntegrityError, match="got SHA-256"),
        assembled(shop.store, shop.contract, SETTINGS, replace(pinned, release=(wanted.release_id, "0" * 64)), None),
    ):
        pass


def test_a_candidate_can_be_served_before_it_is_published(shop):
    candidate = shop.releases[2]
    shop.store.delete(layout.manifest(candidate.release_id))
    pinned = replace(SERVING, release=(candidate.release_id, candidate.content_digest()))
    with assembled(shop.store, shop.contract, SETTINGS, pinned, None) as app, TestClient(app) as client:
        assert client.get("/health").status_code == 200
