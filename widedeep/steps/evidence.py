"""Evidence speaks of one manifest, a decision was reached on rows that the model had not seen, and all stands as it was made.

Its digest is in its own name, or in the record of who published the release on it. Records from before that name none.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from widedeep.artifacts import Audit, Digest, DryRunReport, FileRef, Manifest, Verdict, sha256
from widedeep.errors import FormatError, IntegrityError
from widedeep.evaluation.report.values import Report
from widedeep.publishing import layout, releases
from widedeep.publishing.renewals import seen_by
from widedeep.publishing.store import ObjectStore
from widedeep.steps.named import named_release
from widedeep.steps.records import Record

Evidence = Audit | Verdict | DryRunReport | Record | Report

EVIDENCE: dict[str, type[Evidence]] = {
    "audit": Audit,
    "decision": Verdict,
    "dry-run": DryRunReport,
    "published": Record,
    "report": Report,
    "rollback": DryRunReport,
    "trained": Record,
    "verdict": Verdict,
}

UNREADABLE = (IntegrityError, FormatError)

OWN_DIGEST = re.compile(r"(?:decision|published|rollback-.*)-([0-9a-f]{16})")
"""The name of what stands under the digest of its bytes."""


def check_evidence(store: ObjectStore, manifest: Manifest) -> tuple[str, list[str]]:
    """What stands there, in words, and what is wrong with it."""
    folder = layout.evidences(manifest.release_id)
    found = releases.evidence_of(store, manifest.release_id)
    values, problems = _read(store, manifest, found)
    for name, value in values.items():
        problems += _unbound(store, manifest, layout.evidence(manifest.release_id, name), value)
    rests_on = [pair for value in values.values() if isinstance(value, Record) for pair in value.rests_on.items()]
    problems += _changed(f"{store.url}/{folder}", found, rests_on)
    kinds = Counter(map(_kind, found))
    for kind, what in (("decision", "decision"), ("published", "record of who published it")):
        if not kinds[kind]:
            problems.append(f"{manifest.release_id}: no {what} stands below {folder}, wanted one.")
    loose = sum(not OWN_DIGEST.fullmatch(name) for name in found.keys() - dict(rests_on))
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()) if count)
    return (told or "none") + (f"; no digest is kept of {loose}" if loose else ""), problems


def _read(store: ObjectStore, manifest: Manifest, found: Mapping[str, bytes]) -> tuple[dict[str, Evidence], list[str]]:
    """What can be read of the evidence, by name, and why the rest can't."""
    values: dict[str, Evidence] = {}
    problems: list[str] = []
    for name, data in found.items():
        try:
            if _kind(name) in EVIDENCE:
                values[name] = EVIDENCE[_kind(name)].from_bytes(data, f"{store.url}/{layout.evidence(manifest.release_id, name)}")
        except UNREADABLE as error:
            problems.append(str(error))
    return values, problems


def _kind(name: str) -> str:
    return "dry-run" if name.startswith("dry-run-") else name.partition("-")[0]


def _changed(folder: str, found: Mapping[str, bytes], rests_on: Iterable[tuple[str, Digest]]) -> Iterator[str]:
    """What is not as its own name says, nor as whoever published the release on it."""
    for name, data in found.items():
        own = OWN_DIGEST.fullmatch(name)
        if own and not sha256(data).startswith(own[1]):
            yield f"{folder}{name}.json: was changed; its name says that its SHA-256 begins with {own[1]}."
    for name, digest in rests_on:
        got = f"SHA-256 {sha256(found[name])[:16]}…" if name in found else "no object"
        if name not in found or sha256(found[name]) != digest:
            yield f"{folder}{name}.json: got {got}, wanted {digest[:16]}…, on which the release was published."


def _unbound(store: ObjectStore, manifest: Manifest, key: str, value: Evidence) -> Iterator[str]:
    """What ties a piece of evidence to something else than these bytes."""
    wanted = (manifest.release_id, manifest.content_digest())
    if isinstance(value, Verdict):
        yield from _unfair(store, manifest, key, value)
        got = (value.candidate, value.candidate_manifest_sha256)
    else:
        got = (value.release_id, value.manifest_sha256)
    if isinstance(value, Report) and value.page:
        yield from _page_changed(store, value.page)
    if got != wanted:
        yield f"{store.url}/{key}: is about {got[0]} with manifest {got[1][:16]}…, wanted {wanted[0]} with {wanted[1][:16]}…."


def _page_changed(store: ObjectStore, page: FileRef) -> Iterator[str]:
    blob = store.get(page.name)
    if blob is None or sha256(blob.data) != page.sha256:
        got = f"SHA-256 {sha256(blob.data)[:16]}…" if blob else "no object"
        yield f"{store.url}/{page.name}: got {got}, wanted {page.sha256[:16]}…, the page of the report beside it."


def _unfair(store: ObjectStore, manifest: Manifest, key: str, verdict: Verdict) -> Iterator[str]:
    seen = seen_by(store, manifest)
    if any((part.span, part.digest, part.part) in seen for part in verdict.holdout):
        yield f"{store.url}/{key}: was reached on rows that {manifest.release_id} had learnt."
    try:
        champion = named_release(store, verdict.champion) if verdict.champion else None
    except UNREADABLE as error:
        yield f"{store.url}/{key}: compares with a champion that can't be read: {error}"
        return
    if champion and champion.content_digest() != verdict.champion_manifest_sha256:
        yield f"{store.url}/{key}: compares with other bytes of {champion.release_id} than are there."
