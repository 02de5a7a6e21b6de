"""The scoring server: answers are the trainer's scores, by one release that is named; what can't be answered is said in words."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pyarrow as pa
import pytest

from widedeep.data.catalogue import CATALOGUE_FILE
from widedeep.model.scoring import score_rows
from widedeep.publishing import layout
from widedeep.serving.server import Limits

TOKEN = "a token that nobody guesses"


def sent(rows: pa.Table) -> list[dict]:
    """Rows as a client sends them."""
    return json.loads(json.dumps(rows.to_pylist(), default=lambda moment: moment.isoformat()))


def some_items(service, **more):
    return service.client.post("/rank", json={"user": {"who": "u1", "seen": [], "age": 3}, "context": NOON, **more})


NOON = {"hour": 12, "weekend": False}


def test_scores_are_those_of_the_trainers_own_path(shop, served, tmp_path):
    release, rows = shop.crown(0), shop.rows(7)
    answer = served().client.post("/score", json={"rows": sent(rows)})
    assert answer.status_code == 200
    assert answer.json()["release_id"] == release
    expected = score_rows(shop.bundle(0, tmp_path / "whole"), rows, shop.contract)
    assert np.abs(np.array(answer.json()["scores"]) - expected).max() < 1e-6


def test_a_ranking_by_ids_is_the_one_by_the_same_items_columns_and_the_one_by_whole_rows(shop, served, tmp_path):
    shop.crown(1)
    service, rows = served(), shop.rows(1)
    user = {"who": "u3", "seen": ["f1", "f2"], "age": None}
    one_each = {row["film"]: {name: row[name] for name in ("film", "genres", "length", "name")} for row in sent(rows)}
    items = list(one_each.values())
    by_columns = service.client.post("/rank", json={"user": user, "context": NOON, "items": items}).json()
    by_id = service.client.post("/rank", json={"user": user, "context": NOON, "items": list(one_each)}).json()
    assert by_id == by_columns
    whole = service.client.post("/score", json={"rows": [user | NOON | item for item in items]}).json()["scores"]
    assert [ranked["score"] for ranked in by_id["items"]] == pytest.approx(sorted(whole, reverse=True), abs=1e-6)
    assert [items[ranked["index"]]["film"] for ranked in by_id["items"]] == [ranked["item"] for ranked in by_id["items"]]
    assert all(ranked["title"] == "Film " + ranked["item"][1:] for ranked in by_id["items"])


def test_the_best_come_first_and_no_more_than_are_wanted(shop, served):
    shop.crown(0)
    answer = some_items(served(), items=[f"f{n}" for n in range(10)], top=3).json()
    scores = [item["score"] for item in answer["items"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


def test_a_new_item_user_and_category_are_ranked_too(shop, served):
    shop.crown(0)
    new = {"film": "nobody saw it", "genres": ["opera"], "length": 1e9, "name": "New"}
    answer = served().client.post(
        "/rank",
        json={"user": {"who": "new", "seen": ["what?"], "age": None}, "context": {"hour": 99, "weekend": True}, "items": [new]},
    )
    assert answer.status_code == 200
    assert answer.json()["items"][0]["item"] == "nobody saw it"
    assert answer.json()["items"][0]["title"] is None


def test_scores_that_are_not_numbers_are_told_as_such_and_sent_to_nobody(shop, served, monkeypatch):
    release_id = shop.crown(0)
    service = served()
    monkeypatch.setattr("widedeep.model.scorer.probabilities", lambda _weights, rows: np.full(len(rows), np.nan))
    answer = some_items(service, items=["f1", "f2"])
    assert answer.status_code == 500
    assert answer.json()["error"] == f"2 of 2 scores of {release_id} are not numbers; roll it back"


def test_until_there_is_a_champion_health_and_scores_say_503(shop, served):
    service = served()
    assert service.client.get("/health").status_code == 503
    refused = some_items(service, items=["f1"])
    assert refused.status_code == 503
    assert "no model" in refused.json()["error"]
    shop.crown(0)
    service.follower.follow()
    assert service.client.get("/health").json()["release_id"] == shop.releases[0].release_id
    assert some_items(service, items=["f1"]).status_code == 200


def test_what_follows_a_failed_refresh_is_the_same_model_and_a_word_about_it(shop, served):
    shop.crown(0)
    service = served()
    before = some_items(service, items=["f1"]).json()
    shop.crown(1)
    broken = {name: data for name, data in shop.store.objects.items() if shop.releases[1].release_id in name}
    for name in broken:
        shop.store.objects[name] = b"tampered"
    service.follower.follow()
    assert some_items(service, items=["f1"]).json() == before
    health = service.client.get("/health")
    assert health.status_code == 200
    assert health.json()["refresh_failing"]["failure"] == "IntegrityError"
    assert "widedeep_refresh_failing 1" in service.client.get("/metrics").text
    assert "tampered" not in health.text
    assert shop.store.url not in health.text
    shop.store.objects.update(broken)
    service.follower.follow()
    assert service.client.get("/health").json() | {"checked_at": 0} == {
        "release_id": shop.releases[1].release_id,
        "checked_at": 0,
        "refresh_failing": None,
    }


def test_a_release_whose_catalogue_is_damaged_does_not_serve(shop, served):
    shop.crown(0)
    service = served()
    shop.crown(1)
    catalogue = next(file for file in shop.releases[1].files if file.name == CATALOGUE_FILE)
    shop.store.objects[layout.release_file(shop.releases[1].release_id, catalogue)] = b"other"
    service.follower.follow()
    assert some_items(service, items=["f1"]).json()["release_id"] == shop.releases[0].release_id


def test_a_new_release_brings_its_own_catalogue(shop, served):
    shop.crown(0)
    service, newest = served(), f"f{12}"
    first = some_items(service, items=[newest])
    assert first.status_code == 422
    assert "not in the catalogue of " + shop.releases[0].release_id in first.json()["error"]
    shop.crown(1)
    service.follower.follow()
    assert some_items(service, items=[newest]).json()["release_id"] == shop.releases[1].release_id


def test_release_tells_what_it_is_made_of(shop, served):
    shop.crown(0)
    told = served().client.get("/release").json()
    assert told["manifest_sha256"] == shop.releases[0].content_digest()
    assert told["lineage"]["span"] == str(shop.releases[0].lineage.span)


def test_metrics_count_requests_errors_rows_and_swaps(shop, served):
    shop.crown(0)
    service = served()
    for items in (["f1", "f2"], ["f3"], ["unknown"]):
        some_items(service, items=items)
    shop.crown(1)
    service.follower.follow()
    lines = service.client.get("/metrics").text.splitlines()
    for wanted in (
        'widedeep_requests_total{route="/rank",status="200"} 2',
        'widedeep_errors_total{route="/rank"} 1',
        "widedeep_scored_rows_total 3",
        'widedeep_request_seconds_bucket{route="/rank",le="+Inf"} 3',
        'widedeep_request_seconds_count{route="/rank"} 3',
        'widedeep_scoring_seconds_count{route="/rank"} 2',
        'widedeep_swaps_total{how="full"} 1',
        'widedeep_swaps_total{how="deltas"} 1',
        "widedeep_refresh_failing 0",
    ):
        assert wanted in lines
    assert any(line.startswith('widedeep_release_info{release_id="' + shop.releases[1].release_id) for line in lines)
    looked = next(float(line.split()[-1]) for line in lines if line.startswith("widedeep_refresh_timestamp_seconds"))
    assert looked == pytest.approx(service.follower.state.checked_at, abs=0.001, rel=0)
    buckets = [int(line.split()[-1]) for line in lines if line.startswith("widedeep_request_seconds_bucket")]
    assert buckets == sorted(buckets)


def test_without_the_token_only_health_and_metrics_answer(shop, served):
    shop.crown(0)
    client = served(token=TOKEN).client
    for given in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": TOKEN + "x"},
        {"Authorization": "Bearer \u00e9".encode("latin-1")},
    ):
        assert client.get("/release", headers=given).status_code == 401
        assert client.post("/score", json={"rows": [{}]}, headers=given).status_code == 401
    assert client.get("/release", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/health").status_code == client.get("/metrics").status_code == 200


def test_beyond_what_it_can_have_under_way_it_asks_to_come_back(shop, served):
    shop.crown(0)
    refused = some_items(served(limits=Limits(waiting=0)), items=["f1"])
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"


def test_swaps_under_load_fail_no_request_and_every_answer_is_wholly_by_the_release_that_it_names(shop, served, tmp_path):
    """A few of the benchmark's hundred: back and forth, by deltas and in full."""
    rows = shop.rows(7).slice(0, 30)
    body = {"rows": sent(rows)}
    bundles = {m.release_id: shop.bundle(i, tmp_path / str(i)) for i, m in enumerate(shop.releases)}
    expected = {name: score_rows(bundle, rows, shop.contract) for name, bundle in bundles.items()}
    shop.crown(0)
    service, stop = served(), Event()

    def ask() -> list[dict]:
        answers = []
        while not stop.is_set():
            answer = service.client.post("/score", json=body)
            assert answer.status_code == 200, answer.text
            answers.append(answer.json())
        return answers

    with ThreadPoolExecutor(3) as clients:
        asked = [clients.submit(ask) for _ in range(3)]
        try:
            for swap in range(15):
                shop.crown((swap + 1) % 3)
                service.follower.follow()
        finally:
            stop.set()
        answers = [answer for each in asked for answer in each.result()]
    assert service.follower.state.failure is None
    assert {answer["release_id"] for answer in answers} == expected.keys()
    for answer in answers:
        assert np.abs(np.array(answer["scores"]) - expected[answer["release_id"]]).max() < 1e-6
