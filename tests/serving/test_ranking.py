"""Ranking: the champion's own catalogue for a known and for an unknown user, by what is stored and nothing else."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from math import exp
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from widedeep.artifacts import Lineage, Manifest, Part
from widedeep.data.catalogue import CATALOGUE_FILE, extend_catalogue
from widedeep.data.contract import AdaGrad, Column, Contract, Cross, Gate, Label, Model, SplitRule, Training
from widedeep.errors import UsageError
from widedeep.model.bundle import OPTIMIZER, save_bundle
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.releases import load_manifest, stage
from widedeep.publishing.snapshots import save_snapshot
from widedeep.serving.explaining import lists, moved
from widedeep.serving.ranking import rank
from widedeep.training.candidate import train_candidate
from widedeep.training.profile import numeric_profile

SPAN = date(2026, 1, 5)
START = datetime(2026, 1, 5, tzinfo=UTC)
SETTINGS = {
    "name": "films",
    "user": "who",
    "time": "at",
    "label": Label(column="liked"),
    "columns": {
        "who": Column(type="string", role="categorical", of="user"),
        "seen": Column(type="list", role="multivalent", of="user"),
        "age": Column(type="integer", role="numeric", of="user"),
        "film": Column(type="string", role="categorical", of="item"),
        "genres": Column(type="list", role="multivalent", of="item"),
        "name": Column(type="string", of="item"),
        "at": Column(type="timestamp"),
        "liked": Column(type="boolean"),
    },
    "crosses": (Cross(of=("who", "film")),),
    "split": SplitRule(salt="s"),
    "gate": Gate(margin=0.01),
    "model": Model(embedding=4, hidden=(8,), quantiles=4),
    "training": Training(batch_size=8, adagrad=AdaGrad(learning_rate=0.1)),
}
WITH_ITEMS, WITHOUT = Contract(**SETTINGS, item="film", title="name"), Contract(**SETTINGS)
Publish = Callable[[Contract], Manifest]


def rows() -> pa.Table:
    """Ann likes comedies (f0, f2, f4) and no westerns (f1, f3), Bob the other way round."""
    logged = [(who, n % 5, (n % 2 == 0) == (who == "ann")) for who in ("ann", "bob") for n in [i % 5 for i in range(60)]]
    return pa.table(
        {
            "who": [who for who, _, _ in logged],
            "seen": pa.array([["f0"] if who == "ann" else [] for who, _, _ in logged], pa.list_(pa.string())),
            "age": [30 if who == "ann" else 50 for who, _, _ in logged],
            "film": [f"f{n}" for _, n, _ in logged],
            "genres": [["western" if n % 2 else "comedy"] for _, n, _ in logged],
            "name": [f"Film {n}" for _, n, _ in logged],
            "at": pa.array([START + timedelta(minutes=i) for i in range(len(logged))], pa.timestamp("us", tz="UTC")),
            "liked": [liked for _, _, liked in logged],
        }
    )


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def publish(store: MemoryStore, tmp_path: Path) -> Publish:
    """Train on the rows and stage the result, as the step does."""

    def publish(contract: Contract) -> Manifest:
        snapshot = save_snapshot(store, SPAN, rows(), tmp_path)
        part = Part(span=SPAN, version=snapshot.version, digest=snapshot.digest, part="train")
        bundle, _ = train_candidate(None, [(part, rows())], contract, 0, lambda _learnt, _total: None)
        folder = tmp_path / "payload"
        folder.mkdir()
        save_bundle(bundle, folder)
        catalogue = extend_catalogue(None, rows(), contract)
        if catalogue:
            pq.write_table(catalogue, folder / CATALOGUE_FILE)
        digests = dict.fromkeys(("split_digest", "contract_digest", "source_digest"), "0" * 64)
        lineage = Lineage(span=SPAN, parent=None, learnt=(part,), seed=0, profile=numeric_profile(Training()), **digests)
        return load_manifest(store, stage(store, folder, lineage, ()).release_id, published=False)

    return publish


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "reader").mkdir()
    return tmp_path / "reader"


@pytest.mark.parametrize(("user", "liked"), [("ann", {"f0", "f2", "f4"}), ("bob", {"f1", "f3"})])
def test_a_known_user_gets_first_what_they_like(
    store: MemoryStore, publish: Publish, folder: Path, user: str, liked: set[str]
) -> None:
    ranking = rank(store, WITH_ITEMS, publish(WITH_ITEMS), user, 5, folder)
    assert ranking.known
    assert {item.item for item in ranking.items[: len(liked)]} == liked
    assert [item.score for item in ranking.items] == sorted((item.score for item in ranking.items), reverse=True)
    assert all(item.title == f"Film {item.item[1:]}" for item in ranking.items)


def test_an_unknown_user_gets_a_ranking_too(store: MemoryStore, publish: Publish, folder: Path) -> None:
    ranking = rank(store, WITH_ITEMS, publish(WITH_ITEMS), "zoe", 3, folder)
    assert not ranking.known
    assert len(ranking.items) == 3


def test_what_only_training_needs_is_not_downloaded(store: MemoryStore, publish: Publish, folder: Path) -> None:
    manifest = publish(WITH_ITEMS)
    rank(store, WITH_ITEMS, manifest, "ann", 1, folder)
    assert OPTIMIZER in {file.name for file in manifest.files}
    assert not (folder / OPTIMIZER).exists()


def test_without_items_there_is_nothing_to_rank(store: MemoryStore, publish: Publish, folder: Path) -> None:
    manifest = publish(WITHOUT)
    with pytest.raises(UsageError, match="names no item column"):
        rank(store, WITHOUT, manifest, "ann", 1, folder)
    with pytest.raises(UsageError, match="has no catalogue, since the contract named no item column"):
        rank(store, WITH_ITEMS, manifest, "ann", 1, folder)


def test_bias_wide_and_deep_add_up_to_the_score_that_ranks(store: MemoryStore, publish: Publish, folder: Path) -> None:
    manifest = publish(WITH_ITEMS)
    ranked = rank(store, WITH_ITEMS, manifest, "ann", 5, folder)
    found = lists(store, WITH_ITEMS, (manifest, manifest), "ann", 5, folder)
    assert found.known
    assert found.lists[0] == found.lists[1]
    assert [item.item for item in found.lists[0].items] == [item.item for item in ranked.items]
    for item, plain in zip(found.lists[0].items, ranked.items, strict=True):
        assert item.score == pytest.approx(plain.score, abs=1e-6)
        assert 1 / (1 + exp(-(item.bias + item.wide + item.deep))) == pytest.approx(item.score, abs=1e-9)
        assert item.wide != 0
        assert item.deep != 0


def test_between_a_release_and_itself_nothing_moves(store: MemoryStore, publish: Publish, folder: Path) -> None:
    manifest = publish(WITH_ITEMS)
    found = moved(store, WITH_ITEMS, manifest, manifest, 3, folder)
    assert (found.users, found.kept, found.unchanged, found.items) == (2, 1.0, 2, ())
