"""What `S3Store` says when the server refuses, is away, or loses an answer."""

import socket
import traceback
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from xml.sax.saxutils import escape

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session

from widedeep.artifacts import FileRef
from widedeep.config import Settings
from widedeep.errors import StaleError, StoreAccessError, StoreUnavailableError, WidedeepError
from widedeep.publishing import s3
from widedeep.publishing.s3 import S3Store, open_store

CALLS: tuple[Callable[[S3Store, Path], object], ...] = (
    lambda store, _: store.get("key"),
    lambda store, _: store.create("key", b"data"),
    lambda store, _: store.swap("key", b"data", None),
    lambda store, _: store.swap("key", b"data", '"00"'),
    lambda store, _: list(store.keys("")),
    lambda store, folder: store.upload("key", folder / "up"),
    lambda store, folder: store.download(FileRef(name="key", size_bytes=1, sha256="0" * 64), folder / "down"),
)


def free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])


def answers_to_every_call(store: S3Store, folder: Path) -> Iterator[WidedeepError]:
    (folder / "up").write_bytes(b"data")
    for call in CALLS:
        with pytest.raises(WidedeepError) as raised:
            call(store, folder)
        yield raised.value
    assert not (folder / "down").exists()


def test_a_bucket_that_is_not_there_is_named_by_every_call(s3_endpoint: str, tmp_path: Path) -> None:
    for error in answers_to_every_call(S3Store("s3://no-such-bucket/prefix", s3_endpoint), tmp_path):
        assert isinstance(error, StoreAccessError)
        assert "no-such-bucket" in str(error)
        assert s3_endpoint in str(error)
        assert "WIDEDEEP_STORE" in str(error)


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_refused_and_not_repeated(
    s3_endpoint: str, tmp_path: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(wrong, "mistyped-secret")
    for error in answers_to_every_call(S3Store("s3://widedeep", s3_endpoint), tmp_path):
        assert isinstance(error, StoreAccessError)
        assert "AWS_SECRET_ACCESS_KEY" in str(error)
        assert "mistyped-secret" not in str(error)


def test_missing_credentials_say_which_variables_are_wanted(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreAccessError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        S3Store("s3://widedeep", s3_endpoint).get("key")


def test_a_profile_that_does_not_exist_is_a_matter_of_access(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StoreAccessError, match="ProfileNotFound"):
        S3Store("s3://widedeep", s3_endpoint)


@pytest.mark.usefixtures("s3_endpoint")
def test_a_server_that_is_down_is_named_with_its_bucket(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    for error in answers_to_every_call(S3Store("s3://some-bucket/prefix", endpoint), tmp_path):
        assert isinstance(error, StoreUnavailableError)
        assert endpoint in str(error)
        assert "s3://some-bucket/prefix" in str(error)


def test_a_bucket_is_created_once_and_then_serves(s3_endpoint: str) -> None:
    store = S3Store(f"s3://b-{uuid.uuid4().hex}", s3_endpoint)
    store.ensure_bucket()
    store.ensure_bucket()
    assert store.create("key", b"data")


def test_settings_open_the_store_that_they_name(s3_store: S3Store, s3_endpoint: str) -> None:
    s3_store.create("key", b"data")
    opened = open_store(Settings(store=f"{s3_store.url}/", s3_endpoint=s3_endpoint, contract=Path("contract.yaml")))
    assert opened.url == s3_store.url
    assert opened.get("key").data == b"data"


def test_two_prefixes_of_a_bucket_do_not_see_each_other(s3_store: S3Store, s3_endpoint: str) -> None:
    other = S3Store(f"{s3_store.url}-other", s3_endpoint)
    other.create("key", b"theirs")
    assert s3_store.get("key") is None
    assert list(s3_store.keys("")) == []


class LosesAnswers:
    """Delivers the first PUT to the server and loses its answer; `meanwhile` runs before the client tries again."""

    def __init__(self, store: S3Store, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.puts = 0
        self._meanwhile = meanwhile
        store._client.meta.events.register("before-send.s3.PutObject", self)

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> None:
        self.puts += 1
        if self.puts == 1:
            URLLib3Session().send(request)
            self._meanwhile()
            raise ReadTimeoutError(endpoint_url=request.url)


def test_a_creation_whose_answer_is_lost_is_told_as_done(s3_store: S3Store) -> None:
    lossy = LosesAnswers(s3_store)
    assert s3_store.create("key", b"ours")
    assert lossy.puts == 2
    assert s3_store.get("key").data == b"ours"


def test_a_swap_whose_answer_is_lost_is_told_as_done(s3_store: S3Store) -> None:
    before = s3_store.swap("key", b"before", None)
    lossy = LosesAnswers(s3_store)
    etag = s3_store.swap("key", b"ours", before)
    assert lossy.puts == 2
    assert s3_store.get("key").etag == etag


def test_an_upload_whose_answer_is_lost_is_told_as_done(s3_store: S3Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"ours" * 1000)
    lossy = LosesAnswers(s3_store)
    s3_store.upload("file", tmp_path / "file")
    assert lossy.puts == 2


def test_a_rival_that_wins_while_the_answer_is_lost_is_not_taken_for_us(s3_store: S3Store, s3_endpoint: str) -> None:
    rival = S3Store(s3_store.url, s3_endpoint)
    before = s3_store.swap("key", b"before", None)
    LosesAnswers(s3_store, lambda: rival.swap("key", b"theirs", rival.get("key").etag))
    with pytest.raises(StaleError):
        s3_store.swap("key", b"ours", before)
    assert s3_store.get("key").data == b"theirs"


def test_a_creation_that_loses_to_a_rival_while_it_is_retried_is_told_as_lost(s3_store: S3Store, s3_endpoint: str) -> None:
    rival = S3Store(s3_store.url, s3_endpoint)

    def never_arrives(request: AWSPreparedRequest, **_: Any) -> None:
        if rival.create("key", b"theirs"):
            raise ReadTimeoutError(endpoint_url=request.url)

    s3_store._client.meta.events.register("before-send.s3.PutObject", never_arrives)
    assert not s3_store.create("key", b"ours")


def test_a_server_that_never_answers_in_time_leaves_the_outcome_unknown(s3_store: S3Store) -> None:
    tries = []

    def silence(request: AWSPreparedRequest, **_: Any) -> None:
        tries.append(request)
        raise ReadTimeoutError(endpoint_url=request.url)

    s3_store._client.meta.events.register("before-send.s3", silence)
    with pytest.raises(StoreUnavailableError, match="ReadTimeoutError"):
        s3_store.create("key", b"ours")
    assert len(tries) == s3.TRIES


def test_the_client_waits_at_least_ten_seconds_for_an_answer(s3_store: S3Store) -> None:
    assert s3_store._client.meta.config.read_timeout >= 10


class WebPage(BaseHTTPRequestHandler):
    """Answers everything with a web page, as a server does that is something else."""

    def do_GET(self) -> None:
        self.send_response(500)
        self.end_headers()
        self.wfile.write(b"<html><body>Sorry</html>")

    def log_message(self, *_: object) -> None:
        pass


class Echo(BaseHTTPRequestHandler):
    """Repeats the request, as servers do that help to find a signature's fault."""

    def _refuse(self) -> None:
        said = escape(f"{self.path} {self.headers}")
        body = f"<Error><Code>SignatureDoesNotMatch</Code><Message>{said}</Message></Error>".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _refuse

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("s3_endpoint")
def test_no_traceback_holds_what_a_server_repeats_of_the_signed_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow prints a task's error with all that led to it."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "hush-session-token")
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        assert b"hush-session-token" in URLLib3Session().send(signed_request(endpoint)).content
        for error in answers_to_every_call(S3Store("s3://widedeep", endpoint), tmp_path):
            told = "".join(traceback.format_exception(error))
            assert "hush" not in told
            assert "AWS4-HMAC" not in told
        server.shutdown()


def signed_request(endpoint: str) -> AWSPreparedRequest:
    """As boto3 sends it."""
    sent: list[AWSPreparedRequest] = []

    def note(request: AWSPreparedRequest, **_: Any) -> None:
        sent.append(request)
        raise ReadTimeoutError(endpoint_url=request.url)

    store = S3Store("s3://widedeep", endpoint)
    store._client.meta.events.register("before-send.s3", note)
    with pytest.raises(StoreUnavailableError):
        store.get("key")
    return sent[0]


@pytest.mark.usefixtures("s3_endpoint")
def test_a_server_that_is_something_else_gives_no_usable_answer() -> None:
    with HTTPServer(("127.0.0.1", 0), WebPage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        store = S3Store("s3://widedeep", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(StoreUnavailableError, match=r"WIDEDEEP_S3_ENDPOINT|server.s log"):
            store.get("key")
        server.shutdown()
