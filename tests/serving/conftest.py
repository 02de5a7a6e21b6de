"""A small chain of published releases with catalogues, and a server on it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from widedeep.artifacts import LIVE, ChampionPointer, Lineage, Manifest, Part
from widedeep.data.catalogue import CATALOGUE_FILE, extend_catalogue
from widedeep.data.contract import Column, Contract, Cross, Gate, Label, Model, SplitRule, Training
from widedeep.data.rows import rows_of
from widedeep.model.bundle import READER_FILES, Bundle, load_bundle, save_bundle
from widedeep.model.delta import difference
from widedeep.model.delta_files import save_delta
from widedeep.model.golden import GOLDEN_FILE, golden_rows
from widedeep.model.scorer import Scorer
from widedeep.publishing import layout
from widedeep.publishing.keys import Trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.releases import download, load_manifest, stage
from widedeep.publishing.transfer import file_ref
from widedeep.serving.answers import Answers, Catalogues
from widedeep.serving.followed import FollowedFile
from widedeep.serving.follower import Follower
from widedeep.serving.metrics import Metrics
from widedeep.serving.reader import ModelReader
from widedeep.serving.server import Limits, application
from widedeep.training.candidate import train_candidate
from widedeep.training.profile import numeric_profile

DEFAULTS = Limits()
START, DIGEST, DAYS, FILMS, NEVER_S = date(2026, 1, 1), "0" * 64, 3, 12, 3600.0
FILM_SHOP = Contract(
    name="films",
    user="who",
    time="at",
    item="film",
    title="name",
    label=Label(column="liked"),
    columns={
        "who": Column(type="string", role="categorical", of="user"),
        "seen": Column(type="list", role="multivalent", of="user"),
        "age": Column(type="integer", role="numeric", of="user", nullable=True),
        "film": Column(type="string", role="categorical", of="item"),
        "genres": Column(type="list", role="multivalent", of="item"),
        "length": Column(type="number", role="numeric", of="item"),
        "name": Column(type="string", of="item"),
        "weekend": Column(type="boolean", role="categorical"),
        "hour": Column(type="integer", role="categorical"),
        "at": Column(type="timestamp"),
        "liked": Column(type="boolean"),
    },
    crosses=(Cross(of=("seen", "film")), Cross(of=("hour", "genres"))),
    split=SplitRule(salt="s"),
    gate=Gate(margin=0.01),
    model=Model(embedding=4, hidden=(16, 8), quantiles=1000),  # boundaries are in no delta, which so is fewer bytes than all
    training=Training(batch_size=16),
)


def film_rows(day: int, count: int = 200) -> pa.Table:
    """Each day has users and films of its own beside those of all days."""
    random = np.random.default_rng(day)
    films = random.integers(FILMS + day, size=count)
    at = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day, minutes=i) for i in range(count)]
    return pa.table(
        {
            "who": [f"u{day * 2 + u}" for u in random.integers(8, size=count)],
            "seen": pa.array([[f"f{f}" for f in random.integers(FILMS, size=n)] for n in random.integers(4, size=count)]),
            "age": pa.array(random.integers(10, 80, count), mask=random.random(count) < 0.1),
            "film": [f"f{f}" for f in films],
            "genres": [["western" if f % 2 else "comedy"] for f in films],
            "length": 60.0 + 10 * films,
            "name": [f"Film {f}" for f in films],
            "weekend": [bool(b) for b in random.integers(2, size=count)],
            "hour": random.integers(24, size=count),
            "at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "liked": [bool(b) for b in random.integers(2, size=count)],
        }
    )


@dataclass(frozen=True)
class Shop:
    """Published releases, oldest first; a test says which of them is the champion."""

    store: MemoryStore
    releases: tuple[Manifest, ...]
    contract: Contract
    rows: Callable[[int], pa.Table]

    def crown(self, number: int) -> str:
        release, key = self.releases[number], layout.champion(LIVE)
        known = self.store.get(key)
        sequence = ChampionPointer.from_bytes(known.data).sequence + 1 if known else 1
        told = {"moved_at": datetime(2026, 1, 1, tzinfo=UTC), "moved_by": "test", "reason": "so", "previous": None}
        named = {"release_id": release.release_id, "span": release.lineage.span, "manifest_sha256": release.content_digest()}
        self.store.swap(key, ChampionPointer(lane=LIVE, sequence=sequence, **named, **told).to_bytes(), known and known.etag)
        return release.release_id

    def bundle(self, number: int, folder: Path) -> Bundle:
        """As the files say, loaded by nobody's server."""
        folder.mkdir()
        download(self.store, self.releases[number], folder, READER_FILES)
        return load_bundle(folder, optimizer=False)


@pytest.fixture(scope="session")
def published_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    store, folder = MemoryStore(), tmp_path_factory.mktemp("shop")
    line: list[Manifest] = []
    catalogue: pa.Table | None = None
    for day in range(DAYS):
        own, part = folder / str(day), Part(span=START + timedelta(days=day), version=1, digest=DIGEST, part="train")
        own.mkdir()
        parent = load_bundle(folder / str(day - 1), optimizer=True) if line else None
        bundle, _ = train_candidate(parent, [(part, film_rows(day))], FILM_SHOP, 0, lambda _learnt, _total: None)
        save_bundle(bundle, own)
        catalogue = extend_catalogue(catalogue, film_rows(day), FILM_SHOP)
        pq.write_table(catalogue, own / CATALOGUE_FILE)
        pq.write_table(golden_rows(bundle, rows_of(film_rows(day)), FILM_SHOP), own / GOLDEN_FILE)
        if line:
            delta = difference(load_bundle(folder / str(day - 1), optimizer=False), bundle)
            save_delta(delta, line[-1], [file_ref(name, own / name) for name in READER_FILES], own)
        lineage = Lineage(
            span=part.span,
            parent=line[-1].release_id if line else None,
            learnt=(part,),
            seed=0,
            profile=numeric_profile(FILM_SHOP.training),
            **dict.fromkeys(["split_digest", "contract_digest", "source_digest"], DIGEST),
        )
        candidate = stage(store, own, lineage, inherited=())
        store.create(layout.manifest(candidate.release_id), store.get(layout.candidate(candidate.release_id)).data)
        line.append(load_manifest(store, candidate.release_id, published=True))
    return Shop(store, tuple(line), FILM_SHOP, film_rows)


@pytest.fixture
def shop(published_shop: Shop) -> Shop:
    """The same in a store that a test may change; nobody is champion."""
    store = MemoryStore()
    store.objects = dict(published_shop.store.objects)
    return Shop(store, published_shop.releases, FILM_SHOP, film_rows)


@dataclass(frozen=True)
class Service:
    """A server and what tests look at from behind."""

    client: TestClient
    reader: ModelReader
    follower: Follower
    metrics: Metrics


@pytest.fixture
def served(shop: Shop, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """A running server on the shop; it has looked for a champion once, and looks again when its follower is told to."""
    with ExitStack() as stack:
        yield lambda **told: stack.enter_context(_served(shop, tmp_path, **told))


@contextmanager
def _served(
    shop: Shop, scratch: Path, token: str | None = None, limits: Limits = DEFAULTS, threads: int = 2, **told: Any
) -> Iterator[Service]:
    metrics, catalogues = Metrics(), Catalogues(shop.store, shop.contract, scratch)

    def before(manifest: Manifest, *_: object) -> None:
        catalogues.load(manifest)

    reader = ModelReader(shop.store, Trust({}, required=False), LIVE, scratch, before=before, **told)
    follower = Follower(reader, NEVER_S, FollowedFile(None, LIVE))
    with Scorer(shop.contract, 4, threads) as scorer:
        app = application(Answers(shop.contract, reader, scorer, catalogues, metrics), follower, metrics, token, limits)
        follower.follow()
        with TestClient(app, raise_server_exceptions=False) as client:
            yield Service(client, reader, follower, metrics)
