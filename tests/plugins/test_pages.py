"""Reports are pages of the API server: for whoever may read the DAG, nothing else of the store, and nothing runs in them."""

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from widedeep_airflow import links, pages

from widedeep.errors import StoreUnavailableError
from widedeep.publishing.memory import MemoryStore

PAGE = "validation/2026-01-02/0123-4567/docs/index.html"
OTHERS = (
    "validation/2026-01-02/0123-4567/findings.json",
    "lanes/live/champion.json",
    "releases/r-0123/manifest.json",
    "landing/2026-01-02/page.html",
    "validation/2026-01-02/../../landing/page.html",
)


@pytest.fixture
def store(monkeypatch):
    """Has a page, and what nobody is to see."""
    store = MemoryStore()
    for key in (PAGE, *OTHERS):
        store.create(key, b"<h1>Span 2026-01-02</h1>")
    monkeypatch.setattr(pages, "open_store", lambda: store)
    return store


@pytest.fixture
def reader(store):
    """A client who may read the DAG."""
    pages.app.dependency_overrides[pages.READERS.dependency] = lambda: None
    yield TestClient(pages.app)
    pages.app.dependency_overrides.clear()


def test_a_page_is_shown_and_nothing_in_it_may_run_or_call_home(reader):
    answer = reader.get(f"/{PAGE}")
    assert (answer.status_code, answer.text) == (200, "<h1>Span 2026-01-02</h1>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.parametrize("key", OTHERS)
def test_nothing_else_of_the_store_is_shown(reader, key):
    assert reader.get("/" + key.replace("..", "%2e%2e")).status_code == 404


def test_a_page_that_is_gone_and_a_store_that_is_down_are_told_apart(reader, monkeypatch):
    assert reader.get(f"/{PAGE.replace('01-02', '01-03')}").status_code == 404

    def fail():
        raise StoreUnavailableError("store: no usable answer")

    monkeypatch.setattr(pages, "open_store", fail)
    answer = reader.get(f"/{PAGE}")
    assert (answer.status_code, answer.json()) == (503, {"detail": "store: no usable answer"})


def test_without_a_session_of_airflow_nothing_is_shown(store):
    assert store.get(PAGE)
    assert TestClient(pages.app).get(f"/{PAGE}").status_code == 401


def test_who_may_not_read_the_dag_is_refused(reader):
    def refuse():
        raise HTTPException(403, "Forbidden")

    pages.app.dependency_overrides[pages.READERS.dependency] = refuse
    assert reader.get(f"/{PAGE}").status_code == 403


def test_every_route_asks_who_is_there():
    assert all(pages.READERS in route.dependencies for route in pages.app.routes)


@pytest.mark.parametrize(
    ("pushed", "link"),
    [
        ({"validation": "validation/2026-01-02/0123-4567/findings.json"}, f"http://airflow.example.org/base/widedeep/{PAGE}"),
        ({"candidate": {}}, ""),
        (None, ""),
    ],
)
def test_the_link_of_a_task_leads_to_what_this_task_has_found(monkeypatch, pushed, link):
    monkeypatch.setattr(links.XCom, "get_value", lambda **_: pushed)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example.org/base/")
    assert links.DataReport().get_link(None, ti_key=None) == link


def test_the_link_of_the_gate_leads_to_the_report_on_its_verdict(monkeypatch):
    verdict = "evidence/r-0123456789abcdef/verdict-0123456789abcdef.json"
    monkeypatch.setattr(links.XCom, "get_value", lambda **_: {"verdict": verdict})
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example.org")
    link = links.GateReport().get_link(None, ti_key=None)
    assert link == "http://airflow.example.org/widedeep/evidence/r-0123456789abcdef/report-0123456789abcdef.html"
    assert links.DataReport().get_link(None, ti_key=None) == ""
