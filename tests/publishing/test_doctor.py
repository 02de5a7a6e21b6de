"""The doctor finds out each kind of store that is not safe to publish to, and leaves nothing behind on it."""

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from widedeep.errors import StoreUnavailableError
from widedeep.publishing import doctor
from widedeep.publishing.doctor import Diagnosis, examine
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.s3 import S3Server, S3Store
from widedeep.publishing.store import ObjectStore

CONDITIONS = ("if-match", "if-none-match")
NOT_HANDED_ON = {"host", "authorization", "connection", "expect", "transfer-encoding", "content-length", "x-amz-date"}


class Careless(ThreadingHTTPServer):
    """A server before the real one that is careless in one way. It signs each request anew, so nothing else is different."""

    daemon_threads = True

    def __init__(self, upstream: str, credentials: Credentials, flaw: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.credentials, self.flaw = upstream, credentials, flaw

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        request = AWSRequest(method, self.upstream + path, headers, body)
        S3SigV4Auth(self.credentials, "s3", "us-east-1").add_auth(request)
        return URLLib3Session().send(request.prepare())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Careless

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() not in NOT_HANDED_ON}
        if self.server.flaw == "ignores checksums":
            headers = {name: value for name, value in headers.items() if "checksum" not in name}
        conditions = {name: headers[name] for name in CONDITIONS if name in headers}
        if conditions and self.server.flaw in {"ignores conditions", "checks first"}:
            headers = {name: value for name, value in headers.items() if name not in conditions}
            if self.server.flaw == "checks first" and not self.holds(conditions):
                self.answer(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
        answer = self.server.forward(self.command, self.path, headers, body)
        self.answer(answer.status_code, dict(answer.headers), answer.content)

    def holds(self, conditions: dict[str, str]) -> bool:
        """Look, and let some time pass before the write: what makes a race."""
        standing = self.server.forward("HEAD", self.path, {}, b"")
        time.sleep(0.05)
        if "if-none-match" in conditions:
            return bool(standing.status_code == 404)
        return bool(standing.headers.get("etag") == conditions["if-match"])

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        if self.server.flaw == "tells no checksums":
            headers = {name: value for name, value in headers.items() if "checksum" not in name.lower()}
        if self.server.flaw == "lives in the past":
            headers = {name: value for name, value in headers.items() if name.lower() != "date"}
        if self.server.flaw != "lives in the past":
            self.send_response(status)
        else:
            self.send_response_only(status)
            self.send_header("Date", "Tue, 01 Sep 2026 00:00:00 GMT")
        for name, value in headers.items():
            if name.lower() not in {"connection", "transfer-encoding", "content-length", "date"}:
                self.send_header(name, value)
        self.send_header(
            "Content-Length", headers.get("content-length", str(len(body))) if self.command == "HEAD" else str(len(body))
        )
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_any


@pytest.fixture
def behind(s3_endpoint: str, seaweedfs: Any) -> Iterator[Callable[[str], S3Store]]:
    """A store on the real server behind one that has this flaw."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    servers: list[Careless] = []

    def behind(flaw: str) -> S3Store:
        server = Careless(s3_endpoint, Credentials(*(seaweedfs.environment[name] for name in names)), flaw)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return S3Store(f"s3://widedeep/{uuid.uuid4().hex}", f"http://127.0.0.1:{server.server_port}")

    yield behind
    for server in servers:
        server.shutdown()
        server.server_close()


def examined(store: ObjectStore, folder: Path) -> Diagnosis:
    server = S3Server(store) if isinstance(store, S3Store) else None
    return examine(store, server, "doctor/scratch/test/", lambda: datetime.now(UTC), folder)


def broken(diagnosis: Diagnosis) -> list[str]:
    return [check.name for check in diagnosis.checks if not check.passed]


def test_the_real_server_is_safe_and_nothing_is_left_on_it(s3_store: S3Store, tmp_path: Path) -> None:
    diagnosis = examined(s3_store, tmp_path)
    assert diagnosis.safe, diagnosis.in_words()
    assert diagnosis.in_words() == f"{s3_store.url} is safe to publish to."
    assert len(diagnosis.checks) == 7
    assert list(s3_store.keys("")) == []
    assert list(s3_store.unfinished("")) == []


def test_a_server_that_hands_everything_on_is_safe(
    behind: Callable[[str], S3Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "ROUNDS", 1)
    assert examined(behind("none"), tmp_path).safe


@pytest.mark.parametrize(
    ("flaw", "found", "rounds"),
    [
        ("ignores conditions", ["create-only writes", "compare-and-swap writes"], doctor.ROUNDS),
        ("checks first", ["create-only writes", "compare-and-swap writes"], doctor.ROUNDS),
        ("ignores checksums", ["damaged bytes"], 1),
        ("tells no checksums", ["damaged bytes"], 1),
        ("lives in the past", ["clock"], 1),
    ],
)
def test_each_flaw_is_found_out_by_name(
    behind: Callable[[str], S3Store],
    flaw: str,
    found: list[str],
    rounds: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "ROUNDS", rounds)  # a round on the real server can take seconds
    store = behind(flaw)
    diagnosis = examined(store, tmp_path)
    assert broken(diagnosis) == found
    assert not diagnosis.safe
    assert "is not safe to publish to" in diagnosis.in_words()
    assert list(store.keys("")) == []


def test_one_writer_after_the_other_would_not_have_found_the_store_that_checks_first(behind: Callable[[str], S3Store]) -> None:
    store = behind("checks first")
    assert store.create("key", b"first")
    assert not store.create("key", b"second")


class Forgetful(MemoryStore):
    """Lists nothing that is younger than an hour."""

    def listed(self, prefix: str) -> Any:
        old = datetime.now(UTC) - timedelta(hours=1)
        return (item for item in super().listed(prefix) if item.modified_at < old)


class LoserStands(MemoryStore):
    """Tells the first that it won, and keeps the bytes of the last."""

    def create(self, key: str, data: bytes) -> bool:
        won = super().create(key, data)
        self.objects[key] = data
        return won


class WriteOnce(MemoryStore):
    def delete(self, key: str) -> None:
        pass


class BreaksOff(MemoryStore):
    """Answers no swap."""

    def swap(self, *_: object) -> str:
        raise StoreUnavailableError("no answer")


@pytest.mark.parametrize(
    ("store", "found"),
    [
        (MemoryStore(), []),
        (Forgetful(), ["round trip"]),
        (LoserStands(), ["create-only writes"]),
        (WriteOnce(), ["round trip", "clearing up"]),
        (BreaksOff(), ["compare-and-swap writes"]),
    ],
    ids=["memory", "forgetful", "loser stands", "write-once", "breaks off"],
)
def test_a_store_that_overlooks_keeps_or_breaks_off_is_found_out(store: MemoryStore, found: list[str], tmp_path: Path) -> None:
    assert broken(examined(store, tmp_path)) == found


def test_a_store_that_breaks_off_is_not_called_unsafe(tmp_path: Path) -> None:
    diagnosis = examined(BreaksOff(), tmp_path)
    assert diagnosis.checks[-2].passed is None
    assert "could not be examined: see compare-and-swap writes." in diagnosis.in_words()
    assert not diagnosis.safe


def test_refused_credentials_end_the_examination_with_one_reason(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mistyped-secret")
    diagnosis = examined(S3Store("s3://widedeep/refused", s3_endpoint), tmp_path)
    assert broken(diagnosis) == ["access"]
    assert "mistyped-secret" not in diagnosis.model_dump_json()
