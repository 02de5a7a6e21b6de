"""The Releases page reads: for whoever may read the DAG, in as many reads for 2,000 releases as for 200, whatever is damaged."""

import sys
import threading
from collections import Counter

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from widedeep_airflow import pages, readers
from widedeep_airflow.releases import routes

from benchmarks import made_chain as chains
from widedeep.artifacts import Manifest, Snapshot, Validation, Verdict
from widedeep.errors import SettingsError, StoreAccessError, StoreUnavailableError
from widedeep.publishing import layout
from widedeep.publishing.memory import MemoryStore

READS = ("/api/today", "/api/chain", "/api/days", "/api/rights", "/api/releases/r-0123456789abcdef", "/releases")


class CountingStore(MemoryStore):
    """Counts what is asked of it, and in which threads."""

    def __init__(self):
        super().__init__()
        self.asked = Counter()
        self.threads = set()

    def get(self, key):
        self.asked["get"] += 1
        self.threads.add(threading.current_thread())
        return super().get(key)

    def listed(self, prefix):
        self.asked["list"] += 1
        return super().listed(prefix)


@pytest.fixture
def store(monkeypatch):
    store = CountingStore()
    monkeypatch.setattr(readers, "open_store", lambda: store)
    routes._shelf_over.cache_clear()
    return store


@pytest.fixture
def reader(store):
    """A client who may read the DAG."""
    pages.app.dependency_overrides[readers.READERS.dependency] = lambda: None
    yield TestClient(pages.app)
    pages.app.dependency_overrides.clear()


def damage(store, key):
    store.objects[key] = store.objects[key][: len(store.objects[key]) // 2]


def test_an_empty_store_is_a_state_and_no_fault(reader):
    today, chain, days = (reader.get(path).json() for path in ("/api/today", "/api/chain", "/api/days"))
    assert (today["champion"], today["settled"], today["problems"]) == (None, 0, [])
    assert (chain["points"], chain["total"], chain["before"]) == ([], 0, None)
    assert (days["days"], days["total"]) == ([], 0)


def test_today_tells_who_is_champion_and_what_waits(store, reader):
    made = chains.make_chain(store, 30)
    today = reader.get("/api/today").json()
    assert (today["champion"]["release_id"], today["champion"]["span"]) == (made[-1], str(chains.day(29)))
    assert (today["last"]["result"], today["last_verdict"]["decision"]) == ("promoted", "promote")
    assert {waiting["span"] for waiting in today["quarantined"]} == {str(chains.day(n)) for n in (7, 19)}
    assert {waiting["result"] for waiting in today["pending"]} == {"held", "rejected"}
    assert [waiting["span"] for waiting in today["no_data"]] == [str(chains.day(n)) for n in (9, 21)]
    assert today["open"] == []


def test_what_the_gate_holds_on_the_newest_day_is_open_until_somebody_has_answered(store, reader):
    made = chains.make_chain(store, 6 + 1)
    store.delete(layout.outcome("live", chains.day(6)))
    before = Manifest.from_bytes(store.get(layout.manifest(made[4])).data)
    store.objects[layout.champion("live")] = chains.pointer_to(before, 5).to_bytes()
    routes._shelf_over.cache_clear()
    assert [waiting["span"] for waiting in reader.get("/api/today").json()["open"]] == [str(chains.day(5))]
    verdict = Verdict.from_bytes(store.get(chains.verdict_key(store, made[5])).data)
    store.create(layout.ruling(chains.day(5), verdict.content_digest()), b"{}")
    routes._shelf_over.cache_clear()
    assert reader.get("/api/today").json()["open"] == []


def test_the_chain_shows_each_day_with_what_gate_and_training_measured(store, reader):
    made = chains.make_chain(store, 14)
    chain = reader.get("/api/chain").json()
    ends = [point["result"] for point in chain["points"]]
    assert (ends[3], ends[5], ends[7], ends[9], ends[13]) == ("rejected", "held", "quarantined", "no data", "promoted")
    last = chain["points"][-1]
    assert (last["release_id"], last["champion"], last["published"], last["state"]) == (made[-1], True, True, "whole")
    assert last["verdict"]["candidate"]["auc"] == pytest.approx(0.7013)
    assert last["verdict"]["difference"]["upper"] == 0.002
    assert (last["learnt"]["new_values"], last["learnt"]["unseen_crosses"], last["learnt"]["carried"]) == (10, 0.1, 2)
    assert chain["points"][3]["verdict"]["reasons"] == ["calibration 1.9 is above 1.4"]
    assert chain["points"][3]["published"] is False


def test_two_thousand_releases_take_as_many_reads_as_two_hundred_and_none_again(store, reader):
    asked = {}
    for days in (200, 2000):
        store.objects.clear()
        chains.make_chain(store, days)
        for round_ in ("cold", "warm"):
            if round_ == "cold":
                routes._shelf_over.cache_clear()
            store.asked.clear()
            assert reader.get("/api/chain?limit=60").json()["total"] == days
            asked[days, round_] = dict(store.asked)
    assert asked[2000, "cold"] == asked[200, "cold"]
    assert asked[2000, "warm"] == {"get": 1}  # the pointer: it alone may have moved


def test_older_pages_follow_without_a_gap(store, reader):
    chains.make_chain(store, 50)
    newest = reader.get("/api/chain?limit=20").json()
    older = reader.get(f"/api/chain?limit=20&before={newest['before']}").json()
    oldest = reader.get(f"/api/chain?limit=20&before={older['before']}").json()
    spans = [point["span"] for page in (oldest, older, newest) for point in page["points"]]
    assert spans == [str(chains.day(n)) for n in range(50)]
    assert oldest["before"] is None


def test_damage_is_shown_where_it_is_and_hides_nothing_else(store, reader):
    made = chains.make_chain(store, 12)
    damage(store, layout.manifest(made[-1]))
    damage(store, chains.verdict_key(store, made[1]))
    damage(store, layout.outcome("live", chains.day(2)))
    chain = reader.get("/api/chain").json()
    assert [point["state"] for point in chain["points"]].count("unreadable") == 2
    assert chain["points"][2]["problems"] == [layout.outcome("live", chains.day(2))]
    assert reader.get("/api/today").json()["problems"]
    broken = reader.get(f"/api/releases/{made[-1]}").json()
    assert (broken["state"], broken["release_id"]) == ("damaged", made[-1])
    sound = reader.get(f"/api/releases/{made[0]}").json()
    assert sound["span"] == str(chains.day(0))


def test_a_half_published_release_says_so(store, reader):
    store.create("releases/r-0123456789abcdef/0123456789abcdef.weights.safetensors", b"half")
    assert reader.get("/api/releases/r-0123456789abcdef").json()["state"] == "half there"
    assert reader.get("/api/releases/r-ffffffffffffffff").status_code == 404


def test_what_is_restored_is_read_again(store, reader):
    made = chains.make_chain(store, 5)
    whole = store.objects[layout.manifest(made[-1])]
    damage(store, layout.manifest(made[-1]))
    assert reader.get(f"/api/releases/{made[-1]}").json()["state"] == "damaged"
    store.objects[layout.manifest(made[-1])] = whole
    assert reader.get(f"/api/releases/{made[-1]}").json()["published"] is True


def test_a_release_tells_what_made_it_and_what_became_of_it(store, reader):
    made = chains.make_chain(store, 5)
    found = reader.get(f"/api/releases/{made[-1]}").json()
    assert (found["parent"], found["ancestors"][0]["release_id"]) == (made[2], made[2])
    assert found["settled"][0]["result"] == "promoted"
    assert [file["there"] for file in found["files"]] == [True]
    assert found["reports"] == [verdict["report"] for verdict in found["verdicts"]]
    assert (found["dry_runs"][0]["score_ms"], found["dry_runs"][0]["failures"]) == ([1.0, 1.5], [])


def test_two_releases_are_told_apart(store, reader):
    made = chains.make_chain(store, 3)
    found = reader.get(f"/api/releases/{made[1]}/difference?other={made[0]}").json()
    assert {side["name"] for side in found["inputs"]} == {"span", "parent"}
    assert [piece["span"] for piece in found["only_one"]] == [str(chains.day(1))]
    assert reader.get(f"/api/releases/{made[1]}/difference?other=../../etc").status_code == 422


def test_days_tell_what_the_checks_found_and_which_columns_drifted(store, reader):
    chains.make_chain(store, 3)
    snapshot = Snapshot.from_bytes(store.get(layout.version(chains.day(1), 1)).data)
    finding = {"check": "drift", "column": "price", "severity": "warning", "message": "price moved"}
    key = layout.validation(snapshot, chains.DIGEST, chains.DIGEST)
    effects = [
        {"column": "price", "measure": "PSI", "effect": 0.3, "limit": 0.2},
        {"column": "price", "measure": "nulls", "effect": 0.01, "limit": 0.1},
        {"column": "rows", "measure": "log ratio", "effect": 0.2, "limit": 0.0},
    ]
    told = {"span": snapshot.span, "snapshot": snapshot, "findings": [finding], "effects": effects}
    store.create(key, Validation.model_validate(told).to_bytes())
    found = reader.get("/api/days").json()
    assert found["columns"] == ["price", "rows"]
    price, rows = found["days"][1]["cells"]
    assert price == {"column": "price", "severity": "warning", "drift": effects[0]}
    assert rows == {"column": "rows", "severity": None, "drift": effects[2]}
    assert found["days"][1]["report"] == layout.data_report(key)


@pytest.mark.parametrize("error", [StoreUnavailableError, StoreAccessError, SettingsError])
@pytest.mark.parametrize("path", ["/api/today", "/api/chain", "/api/days"])
def test_a_store_that_is_down_is_told_in_a_sentence_without_its_secrets(reader, monkeypatch, error, path):
    def fail():
        raise error("store s3://secret-bucket at http://10.0.0.7:9000: key AKIA123 in /home/somebody/.aws")

    monkeypatch.setattr(readers, "open_store", fail)
    answer = reader.get(path)
    assert answer.status_code == 503
    assert not any(secret in answer.text for secret in ("secret-bucket", "10.0.0.7", "AKIA", "/home"))


@pytest.mark.parametrize("path", READS)
def test_without_a_session_of_airflow_nothing_is_shown(store, path):
    assert TestClient(pages.app).get(path).status_code == 401
    assert not store.asked


@pytest.mark.parametrize("path", [path for path in READS if path != "/api/rights"])
def test_who_may_not_read_the_dag_is_refused(reader, store, path):
    def refuse():
        raise HTTPException(403, "Forbidden")

    pages.app.dependency_overrides[readers.READERS.dependency] = refuse
    assert reader.get(path).status_code == 403
    assert not store.asked


def test_nothing_on_it_changes_anything():
    assert {method for route in pages.app.routes for method in route.methods} == {"GET"}


def test_the_page_loads_only_what_is_its_own(reader):
    page = reader.get("/releases")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    assert "http" not in page.text
    digest = page.text.split("static/")[1].split("/")[0]
    script = reader.get(f"/static/{digest}/app.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert reader.get(f"/static/{digest}/..%2froutes.py").status_code == 404
    assert reader.get(f"/static/{digest}/routes.py").status_code == 404


def test_no_script_of_the_page_writes_markup_or_reaches_elsewhere():
    for path in routes.STATIC.iterdir():
        text = path.read_text()
        assert "innerHTML" not in text
        assert "eval(" not in text
        assert not [line for line in text.splitlines() if "http" in line and "www.w3.org" not in line and "https?:" not in line]


def test_the_store_is_never_read_in_the_server_s_event_loop(store, reader):
    chains.make_chain(store, 5)
    reader.get("/api/chain")
    assert store.threads
    assert all(thread.name.startswith(("shelf", "AnyIO")) for thread in store.threads)


def test_reading_imports_nothing_heavy():
    import subprocess

    code = (
        "import sys; import widedeep.views.today, widedeep.views.difference, widedeep.views.data; "
        "print(sorted({'torch', 'pandas', 'pyarrow', 'numpy', 'great_expectations'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
