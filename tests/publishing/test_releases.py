"""Releases: files first, manifest last, nothing overwritten, every byte verified."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from widedeep.artifacts import Candidate, FileRef, Lineage, Release, Verdict, canonical_json
from widedeep.errors import IntegrityError, UsageError
from widedeep.publishing import layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.releases import (
    download,
    find_candidate,
    load_evidence,
    load_manifest,
    publish,
    releases,
    save_evidence,
    stage,
)
from widedeep.publishing.s3 import S3Store

SPAN = date(2026, 1, 5)

Staged = Callable[..., Candidate]
VerdictOn = Callable[..., Verdict]


def test_a_published_release_comes_down_the_same(
    s3_store: S3Store, staged: Staged, verdict_on: VerdictOn, payload: Path, tmp_path: Path
) -> None:
    candidate = staged(s3_store, SPAN)
    publish(s3_store, candidate, verdict_on(candidate))
    manifest = load_manifest(s3_store, candidate.release_id, published=True, expected_sha256=candidate.manifest_sha256)
    download(s3_store, manifest, tmp_path / "fetched")
    names = ["tables/vocabulary.parquet", "weights.safetensors"]
    assert [file.name for file in manifest.files] == names
    assert all((tmp_path / "fetched" / name).read_bytes() == (payload / name).read_bytes() for name in names)


def test_a_candidate_is_found_once_it_is_staged(store: MemoryStore, staged: Staged, lineage_of: Callable[..., Lineage]) -> None:
    assert find_candidate(store, lineage_of(SPAN).release_id()) is None
    candidate = staged(store, SPAN)
    assert find_candidate(store, candidate.release_id) == candidate
    assert (candidate.span, candidate.parent) == (SPAN, None)


def test_a_staged_candidate_is_not_a_release(store: MemoryStore, staged: Staged) -> None:
    candidate = staged(store, SPAN)
    assert releases(store) == ()
    with pytest.raises(IntegrityError, match="missing"):
        load_manifest(store, candidate.release_id, published=True)


def test_staging_again_changes_nothing(
    store: MemoryStore, staged: Staged, lineage_of: Callable[..., Lineage], payload: Path, caplog: pytest.LogCaptureFixture
) -> None:
    candidate = staged(store, SPAN)
    objects = dict(store.objects)
    with caplog.at_level(logging.WARNING):
        assert stage(store, payload, lineage_of(SPAN), ()) == candidate
    assert store.objects == objects
    assert not caplog.records


def test_of_two_payloads_for_equal_inputs_the_first_stands_and_the_difference_is_reported(
    store: MemoryStore, staged: Staged, lineage_of: Callable[..., Lineage], payload: Path, caplog: pytest.LogCaptureFixture
) -> None:
    candidate = staged(store, SPAN)
    objects = dict(store.objects)
    (payload / "weights.safetensors").write_bytes(b"other weights")
    with caplog.at_level(logging.WARNING):
        assert stage(store, payload, lineage_of(SPAN), ()) == candidate
    assert store.objects == objects
    assert "weights.safetensors" in caplog.text
    assert "vocabulary.parquet" not in caplog.text


def test_leftovers_of_a_crashed_stage_with_other_bytes_do_not_stand_in_the_way(
    store: MemoryStore, staged: Staged, lineage_of: Callable[..., Lineage], payload: Path, tmp_path: Path
) -> None:
    staged(store, SPAN)
    del store.objects[layout.candidate(lineage_of(SPAN).release_id())]
    (payload / "weights.safetensors").write_bytes(b"other weights")
    candidate = stage(store, payload, lineage_of(SPAN), ())
    download(store, load_manifest(store, candidate.release_id, published=False), tmp_path / "fetched")
    assert (tmp_path / "fetched" / "weights.safetensors").read_bytes() == b"other weights"


def test_files_that_are_pruned_before_the_manifest_names_them_are_uploaded_again(
    staged: Staged, lineage_of: Callable[..., Lineage], tmp_path: Path
) -> None:
    class Pruned(MemoryStore):
        def create(self, key: str, data: bytes) -> bool:
            if layout.staged(key):
                for file in list(self.keys(layout.RELEASES)):
                    self.delete(file)
            return super().create(key, data)

    store = Pruned()
    staged(store, SPAN)
    download(store, load_manifest(store, lineage_of(SPAN).release_id(), published=False), tmp_path / "fetched")


def test_racing_stages_and_publications_of_one_release_give_one_result(
    store: MemoryStore, staged: Staged, verdict_on: VerdictOn
) -> None:
    def run(_: int) -> Release:
        candidate = staged(store, SPAN)
        return publish(store, candidate, verdict_on(candidate))

    with ThreadPoolExecutor(10) as pool:
        made = set(pool.map(run, range(10)))
    assert len(made) == 1
    assert releases(store) == tuple(made)


def test_the_published_manifest_has_the_bytes_of_the_judged_one(
    store: MemoryStore, staged: Staged, verdict_on: VerdictOn
) -> None:
    candidate = staged(store, SPAN)
    publish(store, candidate, verdict_on(candidate))
    assert store.objects[layout.manifest(candidate.release_id)] == store.objects[layout.candidate(candidate.release_id)]


def test_a_verdict_about_other_bytes_publishes_nothing(store: MemoryStore, staged: Staged, verdict_on: VerdictOn) -> None:
    candidate, other = staged(store, SPAN), staged(store, SPAN, seed=1)
    objects = dict(store.objects)
    changed = verdict_on(candidate).model_copy(update={"candidate_manifest_sha256": "1" * 64})
    for verdict in (verdict_on(other), changed):
        with pytest.raises(UsageError, match="Run the gate"):
            publish(store, candidate, verdict)
    assert store.objects == objects


def test_a_rejected_candidate_is_never_published(store: MemoryStore, staged: Staged, verdict_on: VerdictOn) -> None:
    candidate = staged(store, SPAN)
    objects = dict(store.objects)
    with pytest.raises(UsageError, match="reject"):
        publish(store, candidate, verdict_on(candidate, decision="reject"))
    assert store.objects == objects


def test_a_held_candidate_is_published_with_its_decision(store: MemoryStore, staged: Staged, verdict_on: VerdictOn) -> None:
    candidate = staged(store, SPAN)
    assert publish(store, candidate, verdict_on(candidate, decision="hold")).decision == "hold"


def test_a_release_that_was_held_first_and_promoted_later_is_listed_as_promoted(
    store: MemoryStore, staged: Staged, verdict_on: VerdictOn
) -> None:
    candidate = staged(store, SPAN)
    for decision in ("hold", "promote", "hold"):
        publish(store, candidate, verdict_on(candidate, decision=decision))
        assert [r.decision for r in releases(store)] == ["hold" if decision == "hold" and len(kept(store)) == 1 else "promote"]
    assert sorted(Verdict.from_bytes(data).decision for data in kept(store)) == ["hold", "promote"]


def kept(store: MemoryStore) -> list[bytes]:
    return [data for key, data in store.objects.items() if key.startswith("evidence/")]


def test_only_the_files_that_are_asked_for_come_down(store: MemoryStore, staged: Staged, tmp_path: Path) -> None:
    manifest = load_manifest(store, staged(store, SPAN).release_id, published=False)
    download(store, manifest, tmp_path / "fetched", {"weights.safetensors"})
    assert [path.name for path in (tmp_path / "fetched").rglob("*")] == ["weights.safetensors"]


def test_releases_are_listed_by_span(store: MemoryStore, staged: Staged, verdict_on: VerdictOn) -> None:
    for day in (7, 5, 6):
        candidate = staged(store, date(2026, 1, day))
        publish(store, candidate, verdict_on(candidate))
    assert [r.span.day for r in releases(store)] == [5, 6, 7]


def test_a_manifest_of_another_digest_is_refused(store: MemoryStore, staged: Staged) -> None:
    candidate = staged(store, SPAN)
    with pytest.raises(IntegrityError, match="wanted 1111"):
        load_manifest(store, candidate.release_id, published=False, expected_sha256="1" * 64)


@pytest.mark.parametrize(
    "change", [{"seed": 9}, {"format": 0}, {"format": "1"}, {"release_id": "r-0123456789abcdef"}, {"spaces": True}, {"cut": True}]
)
def test_a_tampered_manifest_is_refused_even_where_no_digest_is_known(
    store: MemoryStore, staged: Staged, change: dict[str, object]
) -> None:
    candidate = staged(store, SPAN)
    key = layout.candidate(candidate.release_id)
    manifest = json.loads(store.objects[key])
    store.objects[key] = tampered(manifest, change)
    with pytest.raises(IntegrityError, match=candidate.release_id):
        load_manifest(store, candidate.release_id, published=False)


def tampered(manifest: dict[str, object], change: dict[str, object]) -> bytes:
    if "spaces" in change:
        return json.dumps(manifest, indent=1).encode()
    if "cut" in change:
        return canonical_json(manifest)[:-9]
    if "seed" in change:
        return canonical_json({**manifest, "lineage": {**manifest["lineage"], **change}})
    return canonical_json({**manifest, **change})


def test_a_tampered_file_is_refused(store: MemoryStore, staged: Staged, tmp_path: Path) -> None:
    manifest = load_manifest(store, staged(store, SPAN).release_id, published=False)
    store.objects[layout.release_file(manifest.release_id, manifest.files[1])] = b"weighty"
    with pytest.raises(IntegrityError):
        download(store, manifest, tmp_path / "fetched")
    assert not (tmp_path / "fetched" / "weights.safetensors").exists()


@pytest.mark.parametrize("name", ["../outside", "/outside", "in/../../outside", "", ".", "out\0side"])
def test_a_manifest_can_not_write_outside_its_folder(store: MemoryStore, staged: Staged, tmp_path: Path, name: str) -> None:
    manifest = load_manifest(store, staged(store, SPAN).release_id, published=False)
    wicked = manifest.model_copy(update={"files": (FileRef(name=name, size_bytes=0, sha256="0" * 64),)})
    with pytest.raises(IntegrityError, match="wanted the path of one inside the release"):
        download(store, wicked, tmp_path / "fetched")


def test_damaged_evidence_is_told_with_its_key_and_kind(store: MemoryStore, staged: Staged, verdict_on: VerdictOn) -> None:
    candidate = staged(store, SPAN)
    key = save_evidence(store, candidate.release_id, "verdict", verdict_on(candidate))
    for damaged in (b"", b"\xff", b"[]", store.objects[key][:-9]):
        store.objects[key] = damaged
        with pytest.raises(IntegrityError, match=rf"{key}: got no Verdict .* Restore it from a copy"):
            load_evidence(store, candidate.release_id, "verdict", Verdict)


def test_evidence_once_stored_stands(store: MemoryStore, staged: Staged, verdict_on: VerdictOn) -> None:
    candidate = staged(store, SPAN)
    first, second = verdict_on(candidate), verdict_on(candidate, decision="hold")
    keys = {save_evidence(store, candidate.release_id, "verdict", each) for each in (first, second)}
    assert keys == {layout.evidence(candidate.release_id, "verdict")}
    assert load_evidence(store, candidate.release_id, "verdict", Verdict) == first
    assert load_evidence(store, candidate.release_id, "none", Verdict) is None
