"""What one version has stored, every later version reads: a small release of each format is kept here, and loaded for ever.

If one of these fails, releases that lie in people's stores can't be read any more. Mend the reader, not the files. What is stored
otherwise from now on is a new number in `publishing/formats.py`, with a folder made by `make_release.py`. (Until the first
version of widedeep is released, nobody has a release of format 1: its folder may be removed and made again.)
"""

import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from widedeep.artifacts import LIVE, DryRunReport, Manifest, Verdict, canonical_json, sha256
from widedeep.config import Settings
from widedeep.data.contract import load_contract
from widedeep.errors import FormatError
from widedeep.model.bundle import load_bundle
from widedeep.model.delta import applied
from widedeep.model.delta_files import FOLDER, check_leads, load_delta
from widedeep.model.golden import GOLDEN_FILE, GOLDEN_SCORE
from widedeep.model.scoring import score_rows
from widedeep.publishing import lanes, layout, releases
from widedeep.publishing.formats import READERS
from widedeep.publishing.keys import load_trust
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pointer import moves
from widedeep.publishing.signing import check_signature
from widedeep.publishing.snapshots import load_rows, version
from widedeep.steps.records import Record

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/store"))
SPANS = date(2026, 3, 2), date(2026, 3, 3)
SMALL_BYTES = 200_000


@pytest.fixture(params=FOLDERS, ids=lambda folder: f"format {folder.name}")
def kept(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def store(kept: Path) -> MemoryStore:
    """The store as that version left it."""
    store = MemoryStore()
    root = kept / "store"
    store.objects = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return store


def manifests(store: MemoryStore) -> tuple[Manifest, ...]:
    """The parent and its child."""
    published = releases.releases(store)
    return tuple(releases.load_manifest(store, each.release_id, published=True) for each in published)


def test_a_release_of_every_format_that_is_read_is_kept_here() -> None:
    assert [int(folder.name) for folder in FOLDERS] == sorted(READERS)
    sizes = {folder.name: sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) for folder in FOLDERS}
    assert max(sizes.values()) < SMALL_BYTES


def test_its_manifests_say_what_they_said(kept: Path, store: MemoryStore) -> None:
    parent, child = manifests(store)
    assert {parent.format, child.format} == {int(kept.name)}
    assert child.lineage.parent == parent.release_id
    assert child.inherited == parent.lineage.learnt
    for manifest in (parent, child):
        assert manifest.content_digest() == sha256(store.objects[layout.manifest(manifest.release_id)])


def test_its_signatures_fit(kept: Path, store: MemoryStore) -> None:
    settings = Settings(store="s3://kept", contract="", verify_keys=kept / "keys.pub", require_signature=True)
    for manifest in manifests(store):
        assert check_signature(store, manifest, load_trust(settings))


def test_its_model_gives_the_scores_that_it_gave(kept: Path, store: MemoryStore, tmp_path: Path) -> None:
    contract = load_contract(kept / "contract.yaml")
    for manifest in manifests(store):
        folder = tmp_path / manifest.release_id
        releases.download(store, manifest, folder)
        golden = pq.read_table(folder / GOLDEN_FILE)
        scores = score_rows(load_bundle(folder, optimizer=False), golden, contract)
        assert np.abs(scores - golden[GOLDEN_SCORE].to_numpy()).max() <= contract.dry_run.max_score_error
        assert load_bundle(folder, optimizer=True).optimizer


def test_its_delta_leads_from_the_parent_to_the_child_bit_for_bit(kept: Path, store: MemoryStore, tmp_path: Path) -> None:
    parent, child = manifests(store)
    if child.format == 1:
        assert not any(file.name.startswith(FOLDER) for file in child.files)
        return
    for manifest in (parent, child):
        releases.download(store, manifest, tmp_path / manifest.release_id)
    header, delta = load_delta(tmp_path / child.release_id)
    check_leads(header, parent, child)
    target = applied(load_bundle(tmp_path / parent.release_id, optimizer=False), delta)
    wanted = load_bundle(tmp_path / child.release_id, optimizer=False)
    assert target.vocabularies == wanted.vocabularies
    assert (target.specification, target.quantiles) == (wanted.specification, wanted.quantiles)
    assert all(torch.equal(target.weights[name], tensor) for name, tensor in wanted.weights.items())


def test_its_evidence_can_be_read(store: MemoryStore) -> None:
    kinds = {"dry-run": DryRunReport, "verdict": Verdict, "decision": Verdict, "trained": Record, "published": Record}
    for manifest in manifests(store):
        names = [layout.evidence_name(key) for key in store.keys(layout.evidences(manifest.release_id))]
        of = {name: re.sub(r"(-[0-9a-f]{16})+$", "", name) for name in names}
        assert set(of.values()) == kinds.keys()
        assert all(releases.load_evidence(store, manifest.release_id, name, kinds[kind]) for name, kind in of.items())


def test_its_lane_and_its_spans_can_be_read(store: MemoryStore, tmp_path: Path) -> None:
    parent, child = manifests(store)
    assert [move.release_id for move in moves(store, LIVE)] == [child.release_id, parent.release_id]
    assert [outcome.span for outcome in lanes.outcomes(store, LIVE)] == list(SPANS)
    assert all(load_rows(store, version(store, span, 1), tmp_path).num_rows for span in SPANS)


def test_a_format_that_is_newer_than_the_code_is_refused_in_words(store: MemoryStore) -> None:
    release_id = manifests(store)[1].release_id
    key = layout.manifest(release_id)
    newer = max(READERS) + 2
    store.objects[key] = canonical_json({**json.loads(store.objects[key]), "format": newer, "deltas": []})
    read = ", ".join(map(str, READERS))
    told = f"{key}: got format {newer}, wanted one that this version of widedeep reads: {read}. A newer one wrote it: upgrade"
    with pytest.raises(FormatError, match=told):
        releases.load_manifest(store, release_id, published=True)
