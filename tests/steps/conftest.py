"""A chain over the synthetic shop, on a real S3 server: the same steps that Airflow runs."""

import importlib.util
import io
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from widedeep.artifacts import LIVE, Progress, canonical_json, sha256
from widedeep.config import Settings, load_settings
from widedeep.data import apart, validation
from widedeep.data.contract import load_contract
from widedeep.data.sources import MAX_DECODED_BYTES, read_delivery
from widedeep.publishing import layout
from widedeep.publishing.keys import Signer, Trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import standing
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.s3 import S3Store
from widedeep.publishing.signing import sign, sign_move
from widedeep.serving.rehearsal.examining import examine
from widedeep.steps import Workplace, bootstrap, judgement

CONTRACTS = Path(__file__).parents[1] / "contracts"
FIRST = date(2026, 3, 2)
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))


def _shop():
    spec = importlib.util.spec_from_file_location("shop", CONTRACTS / "shop.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


shop_span = _shop().shop_span


class Chain:
    """A workplace, and what a test does with it: deliver spans, on days counted from the first."""

    def __init__(self, place: Workplace):
        self.place = place

    def day(self, n: int) -> date:
        return FIRST + timedelta(days=n)

    def rows(self, n: int, rows: int = 600) -> pa.Table:
        return shop_span(self.day(n), rows)

    def deliver(self, n: int, rows: pa.Table | None = None, *, data: bytes | None = None) -> None:
        file = io.BytesIO()
        pq.write_table(self.rows(n) if rows is None else rows, file)
        key = layout.delivery(self.place.contract.delivery.prefix, self.day(n)) + "rows.parquet"
        assert self.place.store.create(key, data or file.getvalue())

    def deliver_again(self, n: int, rows: pa.Table) -> None:
        self.place.store.delete(layout.delivery(self.place.contract.delivery.prefix, self.day(n)) + "rows.parquet")
        self.deliver(n, rows)


@pytest.fixture
def chain(s3_store, seaweedfs, tmp_path) -> Chain:
    return _chain(s3_store, seaweedfs, tmp_path)


@pytest.fixture(scope="session")
def history(seaweedfs, tmp_path_factory, made_once) -> tuple[MemoryStore, Progress]:
    """A store whose first three days are learnt by a bootstrap: made once, on the real server, and copied for each test."""

    def make():
        with pytest.MonkeyPatch.context() as patch:
            for name, value in seaweedfs.environment.items():
                patch.setenv(name, value)
            store = S3Store("s3://widedeep/history-of-the-steps", seaweedfs.endpoint)
            chain = _chain(store, seaweedfs, tmp_path_factory.mktemp("history"))
            for n in range(3):
                chain.deliver(n)
            progress = bootstrap(chain.place, chain.day(0), chain.day(2))
            return {key: store.get(key).data for key in store.keys("")}, progress

    learnt = MemoryStore()
    learnt.objects, progress = made_once("history", make)
    return learnt, progress


@pytest.fixture
def begun(begun_apart, here) -> Chain:
    """A chain whose first three days are learnt by a bootstrap."""
    return begun_apart


@pytest.fixture
def begun_apart(chain, history) -> Chain:
    """The same, where each delivery and each dry run has a process of its own, as it really is: that is most of a day's time."""
    learnt, chain.first = history
    for key in _copied(learnt):
        chain.place.store.create(key, learnt.get(key).data)
    return chain


@pytest.fixture
def judged_history(chain, history) -> Chain:
    """The same, stopped after the gate: nothing is published, promoted or settled."""
    learnt, chain.first = history
    for key in _copied(learnt):
        if not key.startswith("lanes/") and not key.endswith("/manifest.json") and not _decision(key):
            chain.place.store.create(key, learnt.get(key).data)
    return chain


def _copied(store: MemoryStore) -> list[str]:
    """Keys of all but the listings of what was delivered: copies have times of their own."""
    return [key for key in store.keys("") if not key.startswith(layout.INGESTED)]


def _decision(key: str) -> bool:
    return key.startswith("evidence/") and "dry-run" not in key and "verdict" not in key


def _chain(store: S3Store, seaweedfs, scratch: Path) -> Chain:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WIDEDEEP_")},
        "WIDEDEEP_STORE": store.url,
        "WIDEDEEP_S3_ENDPOINT": seaweedfs.endpoint,
        "WIDEDEEP_CONTRACT": str(CONTRACTS / "shop.yaml"),
    }
    settings = load_settings(environment)
    long_after_every_deadline = datetime(2026, 6, 1, tzinfo=UTC)
    contract = load_contract(settings.contract)
    return Chain(Workplace(store, contract, scratch, settings, environment, "test", lambda: long_after_every_deadline))


@pytest.fixture
def here(monkeypatch, made_once) -> None:
    """Deliveries are read and dry runs are made in this process, and what was checked before is not checked again."""

    def read(files, types, _folder, rows=None):
        return read_delivery(files, MAX_DECODED_BYTES, types=types, rows=rows)

    def rehearsed(place, candidate, _champion):
        with TemporaryDirectory() as folder:
            arguments = (candidate.release_id, candidate.manifest_sha256, Path(folder), Trust({}, required=False))
            return examine(place.store, place.contract, *arguments).report

    monkeypatch.setattr(apart, "read_apart", read)
    monkeypatch.setattr(judgement, "_rehearse", rehearsed)
    monkeypatch.setattr(validation, "assess", partial(_assessed_once, made_once, validation.assess))


def _assessed_once(made_once, assess, rows, contract, span, past, again):
    """Most chains here see the same fourth and fifth day, under one gate or another: half a second for Great Expectations."""
    file = pa.BufferOutputStream()
    with pa.ipc.new_stream(file, rows.schema) as stream:
        stream.write_table(rows)
    held_against = contract.model_dump(mode="json", exclude={"gate"})
    told = [
        sha256(file.getvalue()),
        held_against,
        span.isoformat(),
        [profile.content_digest() for profile in past],
        again.tolist(),
    ]
    return made_once(f"assessed-{sha256(canonical_json(told))}", lambda: assess(rows, contract, span, past, again))


@pytest.fixture
def quick(chain, history, here) -> Chain:
    """A chain that has begun, over a store in memory."""
    learnt, chain.first = history
    store = MemoryStore()
    for key in _copied(learnt):
        store.create(key, learnt.get(key).data)
    chain.place = replace(chain.place, store=store)
    return chain


@pytest.fixture
def signed(quick, tmp_path) -> Chain:
    """The same where signatures are required, and are there."""
    pointer, blob = standing(quick.place.store, LIVE)
    sign(quick.place.store, load_manifest(quick.place.store, pointer.release_id, published=True), SIGNER)
    sign_move(quick.place.store, pointer, blob.data, SIGNER)
    accepted = tmp_path / "accepted.pub"
    accepted.write_bytes(SIGNER.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    pem = SIGNER.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    required = {"signing_key": pem, "verify_keys": accepted, "require_signature": True}
    quick.place = replace(quick.place, settings=Settings(**{**quick.place.settings.model_dump(), **required}))
    return quick
