"""Makes the releases of one format that `test_formats.py` loads for ever: a parent and its child, signed, and what stands beside.

Run once for each new format: `python tests/formats/make_release.py`. It never touches a folder that is there: releases
of that format lie in people's stores, and if they can't be read any more, the code is wrong and not the files.
"""

import importlib.util
import shutil
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from widedeep.artifacts import LIVE, Candidate, DryRunReport, Lineage, Manifest, MetricReport, NumericProfile, Outcome, Part
from widedeep.data.catalogue import CATALOGUE_FILE, extend_catalogue
from widedeep.data.contract import Contract, load_contract
from widedeep.data.rows import rows_of
from widedeep.evaluation.gate import Comparison, decide
from widedeep.model.bundle import READER_FILES, load_bundle, save_bundle
from widedeep.model.delta import difference
from widedeep.model.delta_files import save_delta
from widedeep.model.golden import GOLDEN_FILE, golden_rows
from widedeep.publishing import lanes, moves, releases, snapshots
from widedeep.publishing.formats import READERS
from widedeep.publishing.keys import Signer
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.transfer import file_ref
from widedeep.steps.records import Deed, Record
from widedeep.training.candidate import train_candidate

HERE = Path(__file__).parent
SHOP = HERE.parent / "contracts" / "shop.py"
SPANS = date(2026, 3, 2), date(2026, 3, 3)
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
ROWS = 120
VERSIONS = {"torch": "2.13.0", "numpy": "2.4.1", "pandas": "3.1.1", "pyarrow": "26.0.1", "safetensors": "0.8.0"}
PROFILE = NumericProfile(precision="float32", instruction_set="AVX2", threads=1, engine="compiled", **VERSIONS)
METRICS = MetricReport(rows=24, users=5, label_rate=0.5, log_loss=0.6, ne=0.9, auc=0.7, calibration=1.0)


def main() -> None:
    target = HERE / str(max(READERS))
    if target.exists():
        sys.exit(f"{target} is there; it never changes. What is stored otherwise is a new format in publishing/formats.py.")
    target.mkdir()
    shutil.copy(SHOP.with_suffix(".yaml"), target / "contract.yaml")
    contract = load_contract(target / "contract.yaml")
    store, signer = MemoryStore(), Signer(Ed25519PrivateKey.from_private_bytes(b"a key that signs nothing of use."))
    (target / "keys.pub").write_bytes(signer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    parent = None
    for span in SPANS:
        with TemporaryDirectory() as folder:
            parent = publish(store, contract, span, parent, signer, Path(folder))
    for key, data in store.objects.items():
        path = target / "store" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def publish(
    store: MemoryStore, contract: Contract, span: date, parent: Manifest | None, signer: Signer, scratch: Path
) -> Manifest:
    """One span as the steps live it, on so few rows that nothing is measured."""
    rows = shop_span(span, ROWS)
    snapshot = snapshots.save_snapshot(store, span, rows, scratch)
    part = Part(span=span, version=snapshot.version, digest=snapshot.digest, part="train")
    lineage = Lineage(
        span=span,
        parent=parent.release_id if parent else None,
        learnt=(part,),
        split_digest=contract.split_digest,
        contract_digest=contract.training_digest,
        source_digest="0" * 64,
        seed=contract.training.seed,
        profile=PROFILE,
    )
    candidate = stage(store, contract, lineage, parent, rows, scratch)
    dry_run = DryRunReport(release_id=candidate.release_id, manifest_sha256=candidate.manifest_sha256, failures=())
    verdict = decide(candidate, METRICS, dry_run, Comparison.unscored(parent), (), contract.gate)
    verdict = verdict.model_copy(update={"decision": "promote"})
    releases.save_evidence(store, candidate.release_id, f"dry-run-{candidate.manifest_sha256[:16]}-{'0' * 16}", dry_run)
    releases.save_evidence(store, candidate.release_id, f"verdict-{'0' * 16}", verdict)
    for deed in ("trained", "published"):
        releases.save_evidence(store, candidate.release_id, deed, record(deed, candidate, contract))
    release = releases.publish(store, candidate, verdict, signer)
    moves.promote(store, LIVE, release, verdict, moves.Because(NOW, "somebody", "better", signer))
    told = {"result": "promoted", "reasons": ("better",), "settled_at": NOW, "settled_by": "somebody"}
    told |= {"snapshot": snapshot, "release_id": release.release_id, "learnt": lineage.learnt}
    lanes.settle(store, Outcome(lane=LIVE, span=span, **told))
    return releases.load_manifest(store, release.release_id, published=True)


def stage(
    store: MemoryStore, contract: Contract, lineage: Lineage, parent: Manifest | None, rows: pa.Table, scratch: Path
) -> Candidate:
    before, payload = scratch / "before", scratch / "payload"
    before.mkdir()
    payload.mkdir()
    if parent:
        releases.download(store, parent, before)
    bundle, report = train_candidate(
        load_bundle(before, optimizer=True) if parent else None,
        [(lineage.learnt[0], rows)],
        contract,
        lineage.seed,
        lambda _learnt, _rows: None,
    )
    save_bundle(bundle, payload)
    pq.write_table(golden_rows(bundle, rows_of(rows), contract), payload / GOLDEN_FILE)
    pq.write_table(extend_catalogue(None, rows, contract), payload / CATALOGUE_FILE)
    (payload / "training.json").write_bytes(report.to_bytes())
    if parent:
        delta = difference(load_bundle(before, optimizer=False), bundle)
        save_delta(delta, parent, [file_ref(name, payload / name) for name in READER_FILES], payload)
    inherited = (*parent.inherited, *parent.lineage.learnt) if parent else ()
    return releases.stage(store, payload, lineage, inherited)


def record(deed: Deed, candidate: Candidate, contract: Contract) -> Record:
    who = {"release_id": candidate.release_id, "manifest_sha256": candidate.manifest_sha256, "at": NOW, "by": "somebody"}
    return Record(deed=deed, contract=contract.name, contract_digest="0" * 64, python="3.11.0", packages=VERSIONS, **who)


def shop_span(span: date, rows: int) -> pa.Table:
    spec = importlib.util.spec_from_file_location("shop", SHOP)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.shop_span(span, rows)


if __name__ == "__main__":
    main()
