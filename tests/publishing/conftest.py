"""Small, valid values to publish: a candidate takes no training to make here."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

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
