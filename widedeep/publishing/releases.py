"""Releases: a candidate's files first, its staged manifest next, the published manifest last; nothing is ever overwritten.

- Readers take `manifest.json` for completeness, and its bytes are those that the gate judged as `candidate.json`.
- A release id covers its inputs (`Lineage`). If it exists with other bytes, the first stands, and the difference is reported.
- A signature, if the writer has a key, stands there before what it signs: candidate, published manifest, evidence.
- Where signatures are required, no candidate, report or verdict is taken up without one: whoever can write to the store can
  reckon where the next one is looked for.
- Evidence stands beside a release under the name of what it judged; what stands is never replaced, and replays reuse it.
"""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

from widedeep.artifacts import Candidate, Digest, FileRef, Lineage, Manifest, Part, Release, Value, Verdict, sha256
from widedeep.errors import IntegrityError, UsageError
from widedeep.publishing import layout
from widedeep.publishing.formats import read_manifest
from widedeep.publishing.keys import ANYBODY, Signer, Trust
from widedeep.publishing.signing import check_candidate, check_step, sign, sign_step
from widedeep.publishing.store import ObjectStore
from widedeep.publishing.transfer import file_ref

log = logging.getLogger(__name__)

V = TypeVar("V", bound=Value)

AUDIT, DECISION = "audit-", "decision-"


def stage(
    store: ObjectStore,
    folder: Path,
    lineage: Lineage,
    inherited: tuple[Part, ...],
    signer: Signer | None = None,
    trust: Trust = ANYBODY,
) -> Candidate:
    """Upload everything in a folder as the payload of the candidate that follows from `lineage`.

    If it is staged already, that one is returned; files that differ from it are reported in the log. Files of it that are gone,
    as of old orphans that were pruned before the manifest named them, are uploaded again.

    Raises:
        SignatureError: one is staged that no accepted key signed although that is required, or its signature does not fit.
    """
    release_id = lineage.release_id()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = tuple(file_ref(path.relative_to(folder).as_posix(), path) for path in paths)
    manifest = Manifest(release_id=release_id, lineage=lineage, inherited=inherited, files=files)
    if store.get(layout.candidate(release_id)) is None:
        for file, path in zip(files, paths, strict=True):
            store.upload(layout.release_file(release_id, file), path)
        _create_signed(store, layout.candidate(release_id), manifest.to_bytes(), signer)
    standing = load_candidate(store, release_id, trust)
    _upload_again(store, folder, standing, manifest)
    _report_differences(standing, manifest)
    return as_candidate(standing)


def _upload_again(store: ObjectStore, folder: Path, standing: Manifest, ours: Manifest) -> None:
    there = set(store.keys(layout.release(ours.release_id)))
    for file in ours.files:
        key = layout.release_file(ours.release_id, file)
        if file in standing.files and key not in there:
            store.upload(key, folder / file.name)


def _create_signed(store: ObjectStore, key: str, data: bytes, signer: Signer | None) -> None:
    if signer:
        sign_step(store, key, data, signer)
    store.create(key, data)


def find_candidate(store: ObjectStore, release_id: str, trust: Trust = ANYBODY) -> Candidate | None:
    """The staged candidate with this id, if there is one.

    Raises: as `load_candidate`.
    """
    known = store.get(layout.candidate(release_id))
    return as_candidate(load_candidate(store, release_id, trust)) if known else None


def load_candidate(store: ObjectStore, release_id: str, trust: Trust) -> Manifest:
    """The manifest that is staged under this id.

    Raises:
        SignatureError: no accepted key signed it although that is required, or a signature does not fit.
        IntegrityError, FormatError: as `load_manifest`.
    """
    manifest = load_manifest(store, release_id, published=False)
    check_candidate(store, manifest, trust)
    return manifest


def load_manifest(store: ObjectStore, release_id: str, *, published: bool, expected_sha256: Digest | None = None) -> Manifest:
    """The manifest of a published release, or of a staged one that nobody but the dry run and the gate may read.

    Raises:
        IntegrityError: missing, not a manifest of this release, or other bytes than expected. Nothing was loaded.
        FormatError: written by a newer version, or to be migrated first. Nothing was loaded.
    """
    key = layout.manifest(release_id) if published else layout.candidate(release_id)
    blob = store.get(key)
    if blob is None:
        raise IntegrityError(f"{store.url}/{key}: missing. `widedeep releases` lists what is published.")
    if expected_sha256 and sha256(blob.data) != expected_sha256:
        raise IntegrityError(
            f"{store.url}/{key}: got SHA-256 {sha256(blob.data)}, wanted {expected_sha256}. Restore it from a copy."
        )
    manifest = read_manifest(blob.data, f"{store.url}/{key}")
    if not release_id == manifest.release_id == manifest.lineage.release_id() or manifest.to_bytes() != blob.data:
        raise IntegrityError(
            f"{store.url}/{key}: got a changed manifest of {manifest.release_id}, wanted {release_id}'s. Restore it from a copy."
        )
    return manifest


def download(store: ObjectStore, manifest: Manifest, folder: Path, names: Collection[str] | None = None) -> None:
    """Fetch the files of a release into a folder, each verified: all of them, or those that are called so.

    Raises:
        IntegrityError: a file is missing, has other bytes, or would lie outside the folder.
    """
    for file in manifest.files:
        if names is not None and file.name not in names:
            continue
        stored = file.model_copy(update={"name": layout.release_file(manifest.release_id, file)})
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        store.download(stored, path)


def publish(store: ObjectStore, candidate: Candidate, verdict: Verdict, signer: Signer | None = None) -> Release:
    """Let readers see a candidate that passed or is held. Done again, or by two at once, it is the same release.

    A later verdict on the same candidate is kept beside the first. With a `signer`, its signature stands beside the manifest.

    Raises:
        UsageError: the verdict is about other bytes, or rejects them. Nothing was published.
        IntegrityError: the staged manifest is not the judged one. Nothing was published.
        SignatureError: a signature that does not fit stands in the place of ours. Nothing was published.
    """
    check_bound(verdict, candidate.release_id, candidate.manifest_sha256)
    if verdict.decision == "reject":
        raise UsageError(
            f"{candidate.release_id}: got a verdict 'reject', wanted 'promote' or 'hold': rejected candidates stay staged."
        )
    staged = load_manifest(store, candidate.release_id, published=False, expected_sha256=candidate.manifest_sha256)
    save_evidence(store, candidate.release_id, decision_name(verdict), verdict, signer)
    if signer:
        sign(store, staged, signer)
    # The manifest goes last: readers take its presence for completeness.
    store.create(layout.manifest(candidate.release_id), staged.to_bytes())
    load_manifest(store, candidate.release_id, published=True, expected_sha256=candidate.manifest_sha256)
    return _release(store, staged)


def decision_name(verdict: Verdict) -> str:
    """The name of a verdict that was acted on, as evidence."""
    return f"{DECISION}{verdict.content_digest()[:16]}"


def check_bound(verdict: Verdict, release_id: str, manifest_sha256: Digest) -> None:
    """Raise UsageError unless the verdict is about exactly these bytes."""
    judged = (verdict.candidate, verdict.candidate_manifest_sha256)
    if judged != (release_id, manifest_sha256):
        raise UsageError(
            f"verdict: judges {judged[0]} with manifest {judged[1][:16]}…, wanted {release_id} with {manifest_sha256[:16]}…. "
            "Run the gate on this candidate."
        )


def releases(store: ObjectStore) -> tuple[Release, ...]:
    """All published releases, by span."""
    ids = [layout.published(key) for key in store.keys(layout.RELEASES)]
    found = [_release(store, load_manifest(store, release_id, published=True)) for release_id in ids if release_id]
    return tuple(sorted(found, key=lambda r: (r.span, r.release_id)))


def save_evidence(store: ObjectStore, release_id: str, name: str, value: Value, signer: Signer | None = None) -> str:
    """Store a report or a decision, unless one of this name stands already. Returns its key."""
    key = layout.evidence(release_id, name)
    _create_signed(store, key, value.to_bytes(), signer)
    return key


def signed_name(name: str, signer: Signer | None) -> str:
    """The name of evidence that is found again by it: each key's own, so that what was made before there was one is made anew."""
    return f"{name}-{signer.key_id[: layout.DIGEST_CHARS]}" if signer else name


def load_evidence(store: ObjectStore, release_id: str, name: str, kind: type[V], trust: Trust = ANYBODY) -> V | None:
    """A report or a decision, if it stands there.

    Raises:
        SignatureError: no accepted key signed it although that is required, or a signature does not fit.
        IntegrityError: it can't be read.
    """
    key = layout.evidence(release_id, name)
    blob = store.get(key)
    if blob is None:
        return None
    check_step(store, key, blob.data, trust)
    return kind.from_bytes(blob.data, f"{store.url}/{key}")


def evidence_of(store: ObjectStore, release_id: str) -> dict[str, bytes]:
    """All evidence on a release as it stands there, by name, without signatures and pages for a browser."""
    found = store.keys(layout.evidences(release_id))
    keys = [key for key in found if not layout.is_report(key) and not layout.is_signature(key)]
    blobs = {layout.evidence_name(key): store.get(key) for key in keys}
    return {name: blob.data for name, blob in blobs.items() if blob}


def _release(store: ObjectStore, manifest: Manifest) -> Release:
    names = [layout.evidence_name(key) for key in store.keys(layout.evidences(manifest.release_id))]
    verdicts = [load_evidence(store, manifest.release_id, n, Verdict) for n in names if n.startswith(DECISION)]
    return Release(
        release_id=manifest.release_id,
        span=manifest.lineage.span,
        manifest_sha256=manifest.content_digest(),
        decision="promote" if any(v.decision == "promote" for v in verdicts if v) else "hold",
    )


def as_candidate(manifest: Manifest) -> Candidate:
    """What the steps hand on of a release."""
    return Candidate(
        release_id=manifest.release_id,
        span=manifest.lineage.span,
        parent=manifest.lineage.parent,
        manifest_sha256=manifest.content_digest(),
    )


def _report_differences(standing: Manifest, ours: Manifest) -> None:
    def named(files: tuple[FileRef, ...]) -> set[tuple[str, str]]:
        return {(file.name, file.sha256) for file in files}

    differing = sorted({name for name, _ in named(standing.files) ^ named(ours.files)})
    if standing != ours:
        log.warning(
            "%s: staged before with other bytes in %s: equal inputs should give equal bytes. The first stands.",
            ours.release_id,
            ", ".join(differing) or "its manifest",
        )
