"""Small, valid values to publish: a candidate takes no training to make here."""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Thread
from typing import Literal

import pytest

from widedeep.artifacts import Candidate, Lineage, Manifest, MetricReport, NumericProfile, Outcome, Part, Verdict
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.releases import stage
from widedeep.publishing.store import ObjectStore

DIGEST = "0" * 64
VERSIONS = {"torch": "2.13.0", "numpy": "2.4.1", "pandas": "3.1.1", "pyarrow": "26.0.1", "safetensors": "0.8.0"}
PROFILE = NumericProfile(precision="fp32", instruction_set="avx2", threads=1, engine="torch", **VERSIONS)
METRICS = MetricReport(rows=9, users=3, label_rate=0.5, log_loss=0.6, ne=0.9, auc=0.7, calibration=1.0)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="session")
def lineage_of() -> Callable[..., Lineage]:
    def lineage_of(span: date, parent: str | None = None, seed: int = 0) -> Lineage:
        learnt = (Part(span=span, version=1, digest=DIGEST, part="train"),)
        digests = {"split_digest": DIGEST, "contract_digest": DIGEST, "source_digest": DIGEST}
        return Lineage(span=span, parent=parent, learnt=learnt, seed=seed, profile=PROFILE, **digests)

    return lineage_of


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """A folder with the files of a model, one of them in a folder of its own."""
    folder = tmp_path / "payload"
    (folder / "tables").mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "tables" / "vocabulary.parquet").write_bytes(b"words")
    return folder


@pytest.fixture
def staged(lineage_of: Callable[..., Lineage], payload: Path) -> Callable[..., Candidate]:
    def staged(store: ObjectStore, span: date, parent: str | None = None, seed: int = 0) -> Candidate:
        return stage(store, payload, lineage_of(span, parent, seed), inherited=())

    return staged


@pytest.fixture(scope="session")
def verdict_on() -> Callable[..., Verdict]:
    def verdict_on(candidate: Candidate, champion: Manifest | None = None, decision: str = "promote") -> Verdict:
        return Verdict(
            decision=decision,
            reasons=("better",),
            candidate=candidate.release_id,
            candidate_manifest_sha256=candidate.manifest_sha256,
            champion=champion.release_id if champion else None,
            champion_manifest_sha256=champion.content_digest() if champion else None,
            holdout=(),
            candidate_metrics=METRICS,
            champion_metrics=METRICS if champion else None,
            loss_difference=None,
            absolute_checks_only=champion is None,
        )

    return verdict_on


@pytest.fixture(scope="session")
def outcome_of() -> Callable[..., Outcome]:
    def outcome_of(span: date, result: str = "promoted", release_id: str | None = None, lane: str = "live") -> Outcome:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return Outcome(
            lane=lane, span=span, result=result, reasons=("so",), release_id=release_id, settled_at=at, settled_by="test"
        )

    return outcome_of


@dataclass
class Fault:
    """What happens on a connection once `after_bytes` have passed in one direction (`up`: to the server)."""

    how: Literal["cut", "reset", "delay", "flip"]
    direction: Literal["up", "down"]
    after_bytes: int
    connections: int = 1_000_000
    """How many connections suffer before the line is mended."""


class TcpProxy:
    """A line to the server that delays, cuts or resets connections or flips a bit as it is told, and can speak TLS to clients."""

    def __init__(self, upstream_port: int, tls: ssl.SSLContext | None = None) -> None:
        self._upstream = ("127.0.0.1", upstream_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        self.fault: Fault | None = None
        self.suffered = 0
        Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http{'s' * bool(self._tls)}://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            client = self._tls.wrap_socket(client, server_side=True) if self._tls else client
            server = socket.create_connection(self._upstream)
            Thread(target=self._pump, args=(client, server, "up"), daemon=True).start()
            self._pump(server, client, "down")

    def _pump(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(1 << 16):
                fault = self.fault
                if fault and direction == fault.direction and passed + len(data) > fault.after_bytes:
                    if fault.how in {"cut", "reset"}:
                        sink.sendall(data[: max(0, fault.after_bytes - passed)])
                        self._break(source, sink, fault)
                        return
                    if fault.how == "flip" and passed <= fault.after_bytes:
                        self._suffer(fault)
                        data = flipped(data, fault.after_bytes - passed)
                    elif fault.how == "delay":
                        time.sleep(0.02)
                sink.sendall(data)
                passed += len(data)
            sink.shutdown(socket.SHUT_WR)

    def _suffer(self, fault: Fault) -> None:
        self.suffered += 1
        if self.suffered >= fault.connections:
            self.fault = None

    def _break(self, source: socket.socket, sink: socket.socket, fault: Fault) -> None:
        self._suffer(fault)
        for end in (source, sink):
            if fault.how == "reset":
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):  # wakes the other direction, which would keep the connection open
                end.shutdown(socket.SHUT_RD if fault.how == "reset" else socket.SHUT_RDWR)
            end.close()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.fixture
def fault() -> type[Fault]:
    return Fault


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[Callable[..., TcpProxy]]:
    """Lay a line to the real server."""
    lines: list[TcpProxy] = []

    def lay(tls: ssl.SSLContext | None = None) -> TcpProxy:
        lines.append(TcpProxy(int(s3_endpoint.rsplit(":", 1)[1]), tls))
        return lines[-1]

    yield lay
    for line in lines:
        line.close()
