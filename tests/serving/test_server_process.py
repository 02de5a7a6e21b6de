"""`widedeep serve` as a user starts it: a process of its own on a real store, which follows the champion, and stops when told."""

import os
import subprocess
import sys
import time

import httpx
import pytest

from widedeep.artifacts import LIVE
from widedeep.config import Settings
from widedeep.errors import SettingsError, UsageError
from widedeep.publishing import layout
from widedeep.publishing.pointer import champion
from widedeep.serving.followed import FollowedFile
from widedeep.serving.listening import token_for

SERVE = [sys.executable, "-c", "from widedeep.cli import main; main()", "serve", "--port", "0", "--poll", "0.1"]
SOON_S, TOKEN = 60, "a token that nobody guesses"


@pytest.fixture
def environment(shop, s3_store, s3_endpoint, tmp_path):
    """A store with the shop's releases, the first of them champion, and what a process has to know to serve them."""
    shop.crown(0)
    for key, data in shop.store.objects.items():
        s3_store.create(key, data)
    contract = tmp_path / "films.yaml"
    contract.write_text(shop.contract.model_dump_json(exclude_defaults=True))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WIDEDEEP_")}
    told = {"STORE": s3_store.url, "S3_ENDPOINT": s3_endpoint, "CONTRACT": str(contract)}
    return kept | {f"WIDEDEEP_{name}": value for name, value in told.items()} | {"COLUMNS": "200", "TMPDIR": str(tmp_path)}


def asked(url: str, body: object = None) -> tuple[int, dict]:
    answer = httpx.get(url, timeout=10) if body is None else httpx.post(url, json=body, timeout=10)
    return answer.status_code, answer.json()


def until(condition) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_process_follows_the_champion_and_stops_with_nothing_left(shop, s3_store, environment, tmp_path):
    followed = ["--followed", str(tmp_path / "followed.json")]
    with subprocess.Popen([*SERVE, *followed], env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            until(lambda: asked(f"{address}/health")[0] == 200)
            user, noon = {"who": "u1", "seen": ["f1"], "age": 30}, {"hour": 12, "weekend": False}
            status, ranked = asked(f"{address}/rank", {"user": user, "context": noon, "items": ["f1", "f2"]})
            assert (status, ranked["release_id"], len(ranked["items"])) == (200, shop.releases[0].release_id, 2)
            shop.crown(1)
            key = layout.champion("live")
            s3_store.swap(key, shop.store.get(key).data, s3_store.get(key).etag)
            until(lambda: asked(f"{address}/release")[1].get("release_id") == shop.releases[1].release_id)
        finally:
            server.terminate()
        assert server.wait(timeout=SOON_S) == 0
    assert not list(tmp_path.glob("widedeep-*"))
    assert FollowedFile(tmp_path / "followed.json", LIVE).read() == champion(s3_store, LIVE)


def test_a_server_process_goes_back_to_no_move_before_the_one_in_its_file(shop, environment, tmp_path):
    shop.crown(1)
    FollowedFile(tmp_path / "followed.json", LIVE).write(champion(shop.store, LIVE))  # the real store still has the one before
    command = [*SERVE, "--followed", str(tmp_path / "followed.json")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().strip()
            until(lambda: "\nwidedeep_refresh_failing 1\n" in httpx.get(f"{address}/metrics", timeout=10).text)
            assert asked(f"{address}/health")[0] == 503
        finally:
            server.terminate()


def test_a_server_of_one_release_serves_it_whoever_is_champion_or_ends_with_the_reason(shop, environment):
    wanted = shop.releases[1].release_id
    with subprocess.Popen([*SERVE, "--release", wanted[:9]], env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert asked(f"{server.stdout.readline().strip()}/release")[1]["release_id"] == wanted
        finally:
            server.terminate()
    done = subprocess.run([*SERVE, "--release", "r-no"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "release 'r-no': got 0 releases whose ids start so" in done.stderr
    assert "Traceback" not in done.stderr


def test_where_it_can_not_listen_it_says_so_in_one_message(environment):
    told = environment | {"WIDEDEEP_SERVE_TOKEN": TOKEN}
    done = subprocess.run([*SERVE, "--host", "203.0.113.1"], env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "203.0.113.1:0: can't listen there." in done.stderr
    assert TOKEN not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("shop.example", False)]
)
def test_beyond_this_machine_it_listens_only_with_a_token(host, here):
    settings = {"store": "s3://bucket", "contract": "contract.yaml"}
    assert token_for(host, Settings(**settings, serve_token=TOKEN)) == TOKEN
    with pytest.raises(SettingsError, match="got 5 characters, wanted at least 16"):
        token_for(host, Settings(**settings, serve_token="short"))
    if here:
        assert token_for(host, Settings(**settings)) is None
    else:
        with pytest.raises(UsageError, match="there is no token"):
            token_for(host, Settings(**settings))
