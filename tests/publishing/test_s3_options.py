"""How a store is reached: certificates, roles, encryption, addressing; and this machine's clock. All on the real server."""

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import botocore.auth
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from widedeep.config import Settings
from widedeep.errors import StoreAccessError, StoreUnavailableError
from widedeep.publishing.s3 import S3Server, S3Store, open_store
from widedeep.publishing.s3.connection import S3Options

NOW = dt.datetime.now(dt.UTC)
ROLE = "arn:aws:iam::123456789012:role/widedeep"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key of 127.0.0.1, signed by nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(NOW - dt.timedelta(days=1))
    made = made.not_valid_after(NOW + dt.timedelta(days=1)).add_extension(address, critical=False)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(pem + key.private_bytes(encoding, private, serialization.NoEncryption()))
    return path


@pytest.fixture
def https(proxy: Any, certificate: Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return str(proxy(context).endpoint)


def test_a_server_with_a_certificate_of_one_s_own_is_trusted_by_its_bundle_only(
    https: str, certificate: Path, s3_store: S3Store
) -> None:
    settings = Settings(store=s3_store.url, s3_endpoint=https, s3_ca_bundle=certificate, contract=Path("contract.yaml"))
    assert open_store(settings).create("key", b"data")
    with pytest.raises(StoreUnavailableError, match="SSLError"):
        S3Store(s3_store.url, https).get("key")


def test_what_is_written_says_how_it_is_to_be_encrypted(s3_store: S3Store, s3_endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    store = S3Store(s3_store.url, s3_endpoint, S3Options(encryption="aws:kms", kms_key="widedeep"))
    sent: list[Any] = []
    for operation in ("PutObject", "CreateMultipartUpload"):
        store._client.meta.events.register(f"before-send.s3.{operation}", lambda request, **_: sent.append(request) or refused())
    for write in (
        lambda: store.create("a", b""),
        lambda: store.swap("b", b"", None),
        lambda: store.upload("c", tmp_path / "file"),
    ):
        with pytest.raises(ZeroDivisionError):
            write()
    told = {(r.headers["x-amz-server-side-encryption"], r.headers["x-amz-server-side-encryption-aws-kms-key-id"]) for r in sent}
    assert told == {(b"aws:kms", b"widedeep")}
    assert len(sent) == 3


def refused() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("addressing", "address"),
    [("path", "http://s3.example.org/bucket/prefix/key"), ("virtual", "http://bucket.s3.example.org/prefix/key")],
)
def test_the_bucket_stands_in_the_path_or_in_the_host_name(
    addressing: Any, address: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = S3Store("s3://bucket/prefix", "http://s3.example.org", S3Options(addressing=addressing, region="eu-west-1"))
    sent: list[Any] = []
    store._client.meta.events.register("before-send.s3.GetObject", lambda request, **_: sent.append(request) or refused())
    with pytest.raises(ZeroDivisionError):
        store.get("key")
    assert sent[0].url == address
    assert b"/eu-west-1/s3/" in sent[0].headers["Authorization"]


class TokenService(ThreadingHTTPServer):
    """Answers AssumeRole as AWS does, with the credentials that the real server knows, or refuses."""

    def __init__(self, environment: dict[str, str], allowed: bool) -> None:
        super().__init__(("127.0.0.1", 0), TokenHandler)
        self.environment, self.allowed = environment, allowed
        self.asked: list[dict[str, list[str]]] = []

    def answer(self) -> str:
        if not self.allowed:
            return "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code></Error></ErrorResponse>"
        key, secret = (self.environment[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        until = (NOW + dt.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        fields = f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken/>"
        credentials = f"<Credentials>{fields}<Expiration>{until}</Expiration></Credentials>"
        return f"<AssumeRoleResponse><AssumeRoleResult>{credentials}</AssumeRoleResult></AssumeRoleResponse>"


class TokenHandler(BaseHTTPRequestHandler):
    server: TokenService

    def do_POST(self) -> None:
        self.server.asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.send_response(200 if self.server.allowed else 403)
        self.end_headers()
        self.wfile.write(self.server.answer().encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def token_service(s3_store: S3Store, seaweedfs: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], TokenService]]:
    """Start one; from now on this process is somebody who may do no more than ask it."""
    servers: list[TokenService] = []

    def start(allowed: bool) -> TokenService:
        servers.append(TokenService(seaweedfs.environment, allowed))
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{servers[-1].server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "who-may-assume-the-role")
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_role_is_assumed_with_the_credentials_that_were_found(
    token_service: Callable[[bool], TokenService], s3_store: S3Store, s3_endpoint: str
) -> None:
    service = token_service(True)
    store = S3Store(s3_store.url, s3_endpoint, S3Options(region="us-east-1", role_arn=ROLE))
    assert store.create("key", b"data")
    assert store.get("key").data == b"data"
    assert [(request["Action"], request["RoleArn"]) for request in service.asked] == [(["AssumeRole"], [ROLE])]


def test_a_role_that_may_not_be_assumed_is_named_as_the_reason(
    token_service: Callable[[bool], TokenService], s3_store: S3Store, s3_endpoint: str
) -> None:
    token_service(False)
    store = S3Store(s3_store.url, s3_endpoint, S3Options(region="us-east-1", role_arn=ROLE))
    with pytest.raises(StoreAccessError, match="AccessDenied to AssumeRole, wanted the role of WIDEDEEP_S3_ROLE_ARN"):
        store.get("key")


def test_credentials_that_are_handed_in_win_over_those_of_the_process(
    s3_store: S3Store, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_in = dict(os.environ)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the process")
    options = S3Options(credentials=handed_in)
    assert S3Store(s3_store.url, s3_endpoint, options).create("key", b"")
    assert handed_in["AWS_SECRET_ACCESS_KEY"] not in repr(options)


@pytest.mark.parametrize("ahead", [dt.timedelta(hours=1), -dt.timedelta(hours=1)])
def test_a_skewed_clock_is_told_as_the_reason_and_is_not_retried(
    s3_store: S3Store, monkeypatch: pytest.MonkeyPatch, ahead: dt.timedelta
) -> None:
    sent: list[Any] = []
    now = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: now(*a, **k) + ahead)
    s3_store._client.meta.events.register("before-send.s3", lambda request, **_: sent.append(request) and None)
    for call in (lambda: s3_store.create("key", b""), lambda: s3_store.get("key")):
        with pytest.raises(StoreAccessError, match="clock"):
            call()
    assert len(sent) == 2
    theirs = S3Server(s3_store).time()
    assert theirs
    assert abs(theirs - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
