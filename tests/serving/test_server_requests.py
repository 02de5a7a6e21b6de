"""Bad requests: each gets a 4xx that says what was sent and what is wanted; nothing that is sent makes a fault of the server."""

import gzip
import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from widedeep.serving import requests
from widedeep.serving.server import Limits

USER, NOON = {"who": "u1", "seen": ["f1"], "age": 30}, {"hour": 12, "weekend": False}
FILM = {"film": "f1", "genres": ["comedy"], "length": 90.5}
ROW = USER | NOON | FILM
JSON = {"content-type": "application/json"}


@pytest.fixture
def client(shop, served):
    shop.crown(0)
    return served().client


def without(row: dict, name: str) -> dict:
    return {key: value for key, value in row.items() if key != name}


WRONG_ROWS = [
    (ROW | {"agee": 3}, "rows[1]: got a field 'agee', which contract films does not know"),
    (ROW | {"x" * 500: 3}, "rows[1]: got a field 'xxx"),
    (without(ROW, "hour"), "rows[1]: has no 'hour', which r-"),
    (ROW | {"hour": None}, "rows[1].hour: got null, wanted an integer"),
    (ROW | {"hour": "12"}, "rows[1].hour: got text, '12', wanted an integer"),
    (ROW | {"hour": 12.0}, "rows[1].hour: got a number, 12.0, wanted an integer"),
    (ROW | {"hour": True}, "rows[1].hour: got a boolean, True, wanted an integer"),
    (ROW | {"hour": 2**63}, "rows[1].hour: got an integer, 9223372036854775808, wanted an integer of 64 bits"),
    (ROW | {"hour": 10**4000}, "rows[1].hour: got an integer, of 13,288 bits, wanted an integer of 64 bits"),
    (ROW | {"length": 10**400}, "rows[1].length: got an integer, of 1,329 bits, wanted a finite number"),
    (ROW | {"length": float("nan")}, "rows[1].length: got a number, nan, wanted a finite number"),
    (ROW | {"length": float("-inf")}, "rows[1].length: got a number, -inf, wanted a finite number"),
    (ROW | {"age": float("nan")}, "rows[1].age: got a number, nan, wanted an integer or null"),
    (ROW | {"who": 7}, "rows[1].who: got an integer, 7, wanted text"),
    (ROW | {"who": {"a": 1}}, "rows[1].who: got an object of 1, wanted text"),
    (ROW | {"weekend": 1}, "rows[1].weekend: got an integer, 1, wanted true or false"),
    (ROW | {"seen": "f1"}, "rows[1].seen: got text, 'f1', wanted a list of texts"),
    (ROW | {"seen": ["f1", 7]}, "rows[1].seen[1]: got an integer, 7, wanted text"),
    (ROW | {"seen": ["f1", ["f2"]]}, "rows[1].seen[1]: got a list of 1, wanted text"),
    (ROW | {"seen": ["f1"] * 1001}, "rows[1].seen: got a list of 1,001, wanted at most 1,000 items"),
    (ROW | {"at": "yesterday"}, "rows[1].at: got text, 'yesterday', wanted text with a moment of ISO 8601"),
    (ROW | {"liked": "yes"}, "rows[1].liked: got text, 'yes', wanted true or false or null"),
]


@pytest.mark.parametrize(("row", "told"), WRONG_ROWS, ids=[told for _, told in WRONG_ROWS])
def test_a_wrong_row_is_named_with_what_was_sent_and_what_is_wanted(client, row, told):
    answer = client.post("/score", content=json.dumps({"rows": [ROW, row]}), headers=JSON)
    assert answer.status_code == 422
    assert told in answer.json()["error"]


WRONG_BODIES = [
    ("/score", "", 400, "body: Invalid JSON: EOF"),
    ("/score", "{", 400, "body: Invalid JSON"),
    ("/score", b"\xff\xfe", 400, "body: Invalid JSON"),
    ("/score", '{"rows": [' + "[" * 5000 + "]" * 5000 + "]}", 400, "recursion limit exceeded"),
    ("/score", '{"rows": [{"who": ' + '{"a":' * 5000 + "1" + "}" * 5000 + "}]}", 400, "recursion limit exceeded"),
    ("/score", "[]", 422, "(got a list of 0). Wanted an object with rows"),
    ("/score", "{}", 422, "rows: Field required. Wanted an object with rows"),
    ("/score", '{"rows": []}', 422, "rows: List should have at least 1 item"),
    ("/score", '{"rows": [3]}', 422, "rows[0]: Input should be an object (got an integer, 3)"),
    ("/score", '{"rows": [{}], "row": 1}', 422, "row: Extra inputs are not permitted"),
    ("/score", json.dumps({"rows": [{}] * 100_000}), 422, "rows: List should have at most 10000 items"),
    (
        "/rank",
        json.dumps({"user": USER, "context": NOON, "items": ["f1"] * 100_000}),
        422,
        "items: List should have at most 10000",
    ),
    ("/rank", json.dumps({"user": USER, "context": NOON, "items": []}), 422, "items: List should have at least 1 item"),
    (
        "/rank",
        json.dumps({"user": USER, "context": NOON, "items": ["f1", FILM]}),
        422,
        "items[1]: got an object of 3, wanted either ids",
    ),
    ("/rank", json.dumps({"user": USER, "context": NOON, "items": [FILM, None]}), 422, "items[1]: got null, wanted either ids"),
    (
        "/rank",
        json.dumps({"user": USER, "context": NOON, "items": ["f1", "f?"]}),
        422,
        "items[1]: got 'f?', which is not in the cat",
    ),
    ("/rank", json.dumps({"user": USER, "context": NOON, "items": ["f1"], "top": 0}), 422, "top: Input should be greater than"),
    (
        "/rank",
        json.dumps({"user": USER | FILM, "context": NOON, "items": ["f1"]}),
        422,
        "user: got 'film', which belongs to 'item'",
    ),
    ("/rank", json.dumps({"user": USER, "items": ["f1"]}), 422, "context: has no 'hour'"),
    ("/rank", json.dumps({"user": USER, "context": NOON | {"agee": 3}, "items": ["f1"]}), 422, "context: got a field 'agee'"),
]


@pytest.mark.parametrize(("path", "body", "status", "told"), WRONG_BODIES, ids=[told for *_, told in WRONG_BODIES])
def test_a_wrong_body_is_told_of(client, path, body, status, told):
    answer = client.post(path, content=body, headers=JSON)
    assert (answer.status_code, told in answer.json()["error"]) == (status, True), answer.text


def test_what_the_contract_lets_be_missing_may_be_missing_or_null_and_is_the_same(client):
    scores = [client.post("/score", json={"rows": [row]}).json()["scores"] for row in (without(ROW, "age"), ROW | {"age": None})]
    assert scores[0] == scores[1]


def test_what_the_model_does_not_read_is_checked_and_changes_nothing(client):
    more = {"name": "Film 1", "at": "2026-01-01T12:00:00Z", "liked": True}
    scores = [client.post("/score", json={"rows": [row]}).json()["scores"] for row in (ROW, ROW | more)]
    assert scores[0] == scores[1]


def test_moments_of_two_forms_may_stand_in_one_request(client):
    rows = [ROW | {"at": at} for at in ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00", "2026-01-01", None)]
    assert client.post("/score", json={"rows": rows}).status_code == 200


def test_lists_that_multiply_are_refused_before_they_are_made(client, monkeypatch):
    """At most 10,000 rows of 1,000 items, each of them crossed: the bound counts what would be looked up."""
    many = {"user": USER | {"seen": ["f1"] * 1000}, "context": NOON, "items": ["f1"] * 4000}
    answer = client.post("/rank", json=many)
    assert answer.status_code == 413
    # 4,000 rows: 1,000 seen and one genre each; 1,000 pairs with the film and one of hour and genre.
    assert "got 8,008,000 items and pairs of crosses over 4,000 rows, wanted at most 5,000,000" in answer.json()["error"]
    monkeypatch.setattr(requests, "MOST_ENTRIES", 8)
    assert client.post("/score", json={"rows": [ROW, ROW]}).status_code == 200  # two rows of one each, twice, and two crosses: 8
    assert client.post("/score", json={"rows": [ROW, ROW | {"seen": ["f1", "f2"]}]}).status_code == 413


def test_a_body_is_counted_as_it_comes_whatever_its_length_is_said_to_be(shop, served):
    shop.crown(0)
    client = served(limits=Limits(body_bytes=1000)).client

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    for headers in (JSON, JSON | {"content-length": "10"}):
        answer = client.post("/score", content=pieces(), headers=headers)
        assert answer.status_code == 413
        assert answer.json()["error"].startswith("body: got more than 1,000 bytes")


def test_only_json_is_taken_which_no_page_can_send_from_elsewhere_unasked(client):
    answer = client.post("/score", content=json.dumps({"rows": [ROW]}), headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]) == (415, "content-type: got 'text/plain', wanted 'application/json'")


def test_a_packed_body_is_refused_as_such_and_not_as_bad_json(client):
    answer = client.post("/score", content=gzip.compress(b"{}"), headers=JSON | {"content-encoding": "gzip"})
    assert answer.status_code == 415
    assert answer.json()["error"].startswith("content-encoding: got 'gzip', wanted none")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/score", 405),
        ("DELETE", "/health", 405),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("POST", "/x", 404),
    ],
)
def test_another_path_or_method_is_told_of_too(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"].startswith(f"request: got '{method} {path}', wanted POST /rank, POST /score, GET /release")
    assert ("allow" in answer.headers) == (status == 405)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["f1", "comedy"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ONE = st.fixed_dictionaries(dict.fromkeys(ROW, ANY)) | st.builds(
    lambda name, value: ROW | {name: value}, st.sampled_from([*ROW]), ANY
)
BODY = st.builds(lambda rows: {"rows": rows}, st.lists(ONE, max_size=3) | ANY) | st.builds(
    lambda user, context, items: {"user": user, "context": context, "items": items},
    st.just(USER) | ANY,
    st.just(NOON) | ANY,
    st.lists(st.just(FILM) | ANY, max_size=3) | ANY,
)


@given(path=st.sampled_from(["/score", "/rank"]), body=(BODY | ANY).map(json.dumps) | st.text() | st.binary())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_the_answer_is_scores_or_a_4xx_in_words(client, path, body):
    answer = client.post(path, content=body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body, headers=JSON)
    assert answer.status_code in {200, 400, 413, 422}, answer.text
    assert answer.json()["release_id"].startswith("r-")
    assert answer.status_code == 200 or answer.json()["error"]
