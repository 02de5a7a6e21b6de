"""Evidence speaks of one manifest; a decision was reached on rows that the model had not seen, and stands as it was made."""

import re
from collections.abc import Iterator

from widedeep.artifacts import DryRunReport, Manifest, Verdict, sha256
from widedeep.errors import FormatError, IntegrityError
from widedeep.publishing import layout, releases
from widedeep.publishing.store import ObjectStore
from widedeep.steps.named import named_release
from widedeep.steps.records import Record

EVIDENCE: dict[str, type[Verdict | DryRunReport | Record]] = {
    "decision": Verdict,
    "dry-run": DryRunReport,
    "published": Record,
    "trained": Record,
    "verdict": Verdict,
}

UNREADABLE = (IntegrityError, FormatError)


def check_evidence(store: ObjectStore, manifest: Manifest) -> tuple[str, list[str]]:
    """What stands there, in words, and what is wrong with it."""
    problems: list[str] = []
    kinds: list[str] = []
    for key in store.keys(layout.evidences(manifest.release_id)):
        kinds.append(re.sub(r"(-[0-9a-f]{16})+$", "", layout.evidence_name(key)))
        blob = store.get(key)
        if blob and kinds[-1] in EVIDENCE:
            problems += _changed(f"{store.url}/{key}", blob.data)
            try:
                problems += _unbound(store, manifest, key, EVIDENCE[kinds[-1]].from_bytes(blob.data, f"{store.url}/{key}"))
            except UNREADABLE as error:
                problems.append(str(error))
    if "decision" not in kinds:
        problems.append(f"{manifest.release_id}: no decision stands below {layout.evidences(manifest.release_id)}, wanted one.")
    told = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    return told or "none", problems


def _changed(where: str, data: bytes) -> Iterator[str]:
    """A decision is stored under the digest of its bytes."""
    name = layout.evidence_name(where)
    if name.startswith(releases.DECISION) and not sha256(data).startswith(name.removeprefix(releases.DECISION)):
        yield f"{where}: was changed; its name says that its SHA-256 begins with {name.removeprefix(releases.DECISION)}."


def _unbound(store: ObjectStore, manifest: Manifest, key: str, value: Verdict | DryRunReport | Record) -> Iterator[str]:
    """What ties a piece of evidence to something else than these bytes."""
    wanted = (manifest.release_id, manifest.content_digest())
    if isinstance(value, Verdict):
        yield from _unfair(store, manifest, key, value)
        got = (value.candidate, value.candidate_manifest_sha256)
    else:
        got = (value.release_id, value.manifest_sha256)
    if got != wanted:
        yield f"{store.url}/{key}: is about {got[0]} with manifest {got[1][:16]}…, wanted {wanted[0]} with {wanted[1][:16]}…."


def _unfair(store: ObjectStore, manifest: Manifest, key: str, verdict: Verdict) -> Iterator[str]:
    if any((part.span, part.digest, part.part) in manifest.seen() for part in verdict.holdout):
        yield f"{store.url}/{key}: was reached on rows that {manifest.release_id} had learnt."
    try:
        champion = named_release(store, verdict.champion) if verdict.champion else None
    except UNREADABLE as error:
        yield f"{store.url}/{key}: compares with a champion that can't be read: {error}"
        return
    if champion and champion.content_digest() != verdict.champion_manifest_sha256:
        yield f"{store.url}/{key}: compares with other bytes of {champion.release_id} than are there."
