"""Every key in the store, built and read here and nowhere else. `docs/architecture.md` says what stands under each of them.

Files carry the first 16 hex digits of their SHA-256 in their key, so a crashed or racing writer of other
bytes never stands in the way.
"""

import re
from datetime import date
from pathlib import PurePosixPath

from widedeep.artifacts import Digest, FileRef, Snapshot
from widedeep.errors import IntegrityError, UsageError

DIGEST_CHARS = 16
"""Hex digits of a digest in a key: 64 bits, as in a release id."""

LOCAL = "file://"
"""Deliveries whose prefix begins so arrive in a folder on this machine, and not in the store."""

RELEASES, SNAPSHOTS, VALIDATIONS, QUARANTINES, LANES = "releases/", "snapshots/", "validation/", "quarantine/", "lanes/"
EVIDENCES, EXAMINATIONS = "evidence/", "doctor/"
CLAIMS = "claimed/"
CONTRACTS = "contracts/"
INGESTED = "ingested/"


def delivery(prefix: str, span: date) -> str:
    """The folder in the store where the span's files arrive; `prefix` is the contract's.

    Raises:
        UsageError: they arrive elsewhere.
    """
    if prefix.startswith(LOCAL):
        raise UsageError(f"contract: delivery.prefix is {prefix}, a folder; this delivers into the store. Use a key in it.")
    return f"{prefix.format(span=span).rstrip('/')}/"


def contract(contract_sha256: Digest) -> str:
    """A contract as somebody trained or published by it, in canonical JSON, whose digest this is."""
    return f"{CONTRACTS}{contract_sha256}.json"


def versions(span: date) -> str:
    return f"spans/{span}/"


def version(span: date, number: int) -> str:
    return f"{versions(span)}v{number}.json"


def ingestions(span: date) -> str:
    return f"{INGESTED}{span}/"


def ingestion(span: date, listing: Digest) -> str:
    """That files with this listing were taken in for the span, and as which version."""
    return f"{ingestions(span)}{listing[:DIGEST_CHARS]}.json"


def rows(span: date, digest: Digest, sha256: Digest) -> str:
    """`digest` covers the content of the rows, `sha256` the bytes of the Parquet file."""
    return f"{SNAPSHOTS}{span}/{digest}/{sha256[:DIGEST_CHARS]}.rows.parquet"


def validation(snapshot: Snapshot, checks_digest: Digest, baseline_digest: Digest) -> str:
    """Findings of one set of checks on one snapshot, with its drift measured against one baseline; what else the checks left
    stands `beside` them. Findings from before the baseline was in the key are still found by what begins it."""
    return f"{validations_by(snapshot, checks_digest)}-{baseline_digest[:DIGEST_CHARS]}/findings.json"


def validations_by(snapshot: Snapshot, checks_digest: Digest) -> str:
    """How the keys begin of all that one set of checks found in one snapshot, whatever drift was measured against."""
    return f"{reports_on(snapshot)}{checks_digest[:DIGEST_CHARS]}"


def bad_rows(snapshot: Snapshot, checks_digest: Digest, sha256: Digest) -> str:
    """Rows that one set of checks took out of one snapshot; `sha256` covers the bytes of the Parquet file."""
    of = f"{snapshot.digest[:DIGEST_CHARS]}-{checks_digest[:DIGEST_CHARS]}"
    return f"{QUARANTINES}{snapshot.span}/{of}/{sha256[:DIGEST_CHARS]}.bad_rows.parquet"


def validations(span: date) -> str:
    """Everything that checks left on any version of the span, by any contract."""
    return f"{VALIDATIONS}{span}/"


def is_findings(key: str) -> bool:
    return PurePosixPath(key).name == "findings.json"


def reports_on(snapshot: Snapshot) -> str:
    """How the keys of all reports on one snapshot begin, whatever the checks were."""
    return f"{VALIDATIONS}{snapshot.span}/{snapshot.digest[:DIGEST_CHARS]}-"


def unreadable(span: date, delivered: Digest) -> str:
    """Findings on a delivery that never became a snapshot; `delivered` covers its bytes."""
    return f"{VALIDATIONS}{span}/unreadable-{delivered[:DIGEST_CHARS]}/findings.json"


def beside(key: str, name: str) -> str:
    """A key in the same folder."""
    return f"{key.rpartition('/')[0]}/{name}"


def data_report(findings: str) -> str:
    """The first page of the report beside these findings, for a browser."""
    return beside(findings, "docs/index.html")


def is_report(key: str) -> bool:
    """Whether the key is that of a page for a browser."""
    return re.fullmatch(rf"({VALIDATIONS}[\d-]+/[\w-]+/docs|{EVIDENCES}[\w-]+)/[\w-]+\.html", key) is not None


def begins_report(key: str) -> bool:
    """Whether the key is that of a report's first page, or its only one."""
    return is_report(key) and (key.startswith(EVIDENCES) or key.endswith("/index.html"))


def release(release_id: str) -> str:
    """The folder of a release: its files, its manifests, its signatures."""
    return f"{RELEASES}{release_id}/"


def release_file(release_id: str, file: FileRef) -> str:
    """The key of a file that a manifest lists.

    Raises:
        IntegrityError: it would lie outside the release, or nowhere.
    """
    path = PurePosixPath(file.name)
    if path.is_absolute() or ".." in path.parts or not path.name or "\0" in file.name:
        raise IntegrityError(
            f"{release_id}: got a file called {file.name!r}, wanted the path of one inside the release. "
            "Nobody's stage made this manifest."
        )
    return str(PurePosixPath(RELEASES, release_id, path.with_name(f"{file.sha256[:DIGEST_CHARS]}.{path.name}")))


def named_digest(key: str) -> str | None:
    """The first digits of its SHA-256 that a file's key carries, if it does."""
    digest, dot, _ = PurePosixPath(key).name.partition(".")
    return digest if dot and re.fullmatch(f"[0-9a-f]{{{DIGEST_CHARS}}}", digest) else None


def candidate(release_id: str) -> str:
    """The manifest while it is staged."""
    return f"{RELEASES}{release_id}/candidate.json"


def manifest(release_id: str) -> str:
    """The same manifest once it is published."""
    return f"{RELEASES}{release_id}/manifest.json"


def going(release_id: str) -> str:
    """The same manifest while `widedeep prune` takes the release away: who was promoted meanwhile gets it back from here."""
    return f"{RELEASES}{release_id}/going.json"


def comings(release_id: str) -> str:
    return f"{release(release_id)}coming/"


def coming(release_id: str, lane: str, sequence: int) -> str:
    """Somebody is about to make the release champion by that move of the lane."""
    return f"{comings(release_id)}{lane}/{sequence:06}.json"


def coming_move(key: str) -> tuple[str, int]:
    """Lane and number of the move by which a release is to be champion, of such a key."""
    return part(key, 3), int(PurePosixPath(key).stem)


def signature(release_id: str, manifest_sha256: Digest, key_id: Digest) -> str:
    """A key's signature over a manifest; those of other bytes or other keys don't stand in its way."""
    return f"{signatures(release_id, manifest_sha256)}-{key_id[:DIGEST_CHARS]}.json"


def signatures(release_id: str, manifest_sha256: Digest = "") -> str:
    """The folder of a release's signatures, or how those over one manifest begin."""
    return f"{release(release_id)}signatures/{manifest_sha256[:DIGEST_CHARS]}"


def step_signature(key: str, sha256: Digest, key_id: Digest) -> str:
    """A key's signature over what a step stores under `key`; those of other bytes or other keys don't stand in its way."""
    name = f"{PurePosixPath(key).stem}-{sha256[:DIGEST_CHARS]}-{key_id[:DIGEST_CHARS]}"
    return beside(key, f"signatures/{name}.json")


def is_signature(key: str) -> bool:
    return PurePosixPath(key).parent.name == "signatures"


def published(key: str) -> str | None:
    """The release id, if this is the key of a published manifest."""
    path = PurePosixPath(key)
    return path.parent.name if key == manifest(path.parent.name) else None


def staged(key: str) -> str | None:
    """The release id, if this is the key of a staged manifest."""
    path = PurePosixPath(key)
    return path.parent.name if key == candidate(path.parent.name) else None


def evidences(release_id: str) -> str:
    return f"{EVIDENCES}{release_id}/"


def evidence(release_id: str, name: str) -> str:
    return f"{evidences(release_id)}{name}.json"


def evidence_name(key: str) -> str:
    """The name of an evidence's key."""
    return PurePosixPath(key).stem


def decision_report(verdict: str) -> str:
    """The page of the report on a verdict, for a browser; its figures stand beside it, as evidence of the same name."""
    return beside(verdict, f"{evidence_name(verdict).replace('verdict-', 'report-', 1)}.html")


def part(key: str, number: int) -> str:
    """One part of a key's path, such as the release id of a key below `RELEASES` (1)."""
    return key.split("/")[number]


def champion(lane: str) -> str:
    return f"{LANES}{lane}/champion.json"


def move(lane: str, sequence: int) -> str:
    """What the pointer said before move `sequence + 1` replaced it."""
    return f"{LANES}{lane}/moves/{sequence:06}.json"


def move_signature(lane: str, pointer_sha256: Digest, key_id: Digest) -> str:
    """A key's signature over what the pointer says."""
    return f"{LANES}{lane}/signatures/{pointer_sha256[:DIGEST_CHARS]}-{key_id[:DIGEST_CHARS]}.json"


def opening(lane: str) -> str:
    return f"{LANES}{lane}/opening.json"


def outcomes(lane: str) -> str:
    return f"{LANES}{lane}/spans/"


def outcome(lane: str, span: date) -> str:
    return f"{outcomes(lane)}{span}.json"


def promotions(lane: str) -> str:
    return f"{LANES}{lane}/promoted/"


def promotion(lane: str, span: date, release_id: str) -> str:
    """That a release was promoted for a span which another run has settled otherwise."""
    return f"{promotions(lane)}{span}/{release_id}.json"


def promoted(key: str) -> str:
    """The release of a promotion's key."""
    return PurePosixPath(key).stem


def proposals(lane: str) -> str:
    return f"{LANES}{lane}/proposed/"


def proposal(lane: str, head: date, release_id: str) -> str:
    """That a lane with such a head may go on from a champion's twin."""
    return f"{proposals(lane)}{head}/{release_id}.json"


def additions(lane: str) -> str:
    return f"{LANES}{lane}/added/"


def addition(lane: str, span: date, replaces: Digest | None, own: Digest) -> str:
    """Rows that became valid after the span was settled. What would replace the same version shares a key: the first stands."""
    return f"{additions(lane)}{span}/{f'after-{replaces[:DIGEST_CHARS]}' if replaces else f'beside-{own[:DIGEST_CHARS]}'}.json"


def addition_span(key: str) -> date:
    return date.fromisoformat(part(key, 3))


def held_rows(lane: str) -> str:
    return f"{LANES}{lane}/held/"


def held(lane: str, span: date, digest: Digest) -> str:
    """Rows that came after the span was settled, and wait for a person."""
    return f"{held_rows(lane)}{span}/{digest[:DIGEST_CHARS]}.json"


def review(span: date, validation_sha256: Digest) -> str:
    """A person's answer to these findings on a span."""
    return f"decisions/{span}/{validation_sha256[:DIGEST_CHARS]}.json"


def ruling(span: date, verdict_sha256: Digest) -> str:
    """A person's answer to a verdict that holds the span's candidate."""
    return f"decisions/{span}/verdict-{verdict_sha256[:DIGEST_CHARS]}.json"


def outcome_span(key: str) -> date:
    """The span of an outcome's key."""
    return date.fromisoformat(PurePosixPath(key).stem)


def claims(lane: str, span: date) -> str:
    return f"{CLAIMS}{lane}/{span}/"


def claim(lane: str, span: date, run_sha256: Digest) -> str:
    """That a run works on the span; run ids may hold what keys can't."""
    return f"{claims(lane, span)}{run_sha256[:DIGEST_CHARS]}.json"


def claim_span(key: str) -> date:
    """The span of a claim's key."""
    return date.fromisoformat(part(key, 2))


def claims_same_run(key: str, other: str) -> bool:
    """Whether two claims' keys are of one run."""
    return PurePosixPath(key).name == PurePosixPath(other).name


def lanes() -> str:
    return "lanes/"


def lane_of(key: str) -> str | None:
    """The lane, if this is the key of its champion pointer."""
    path = PurePosixPath(key)
    return path.parent.name if key == champion(path.parent.name) else None


def erasures() -> str:
    return "erasures/records/"


def erasure(until: date, user_sha256: Digest) -> str:
    """The record that a user is forgotten in all spans up to a day; the key says it all."""
    return f"{erasures()}{until}/{user_sha256}.json"


def erasure_of(key: str) -> tuple[date, Digest]:
    """The day and the user of an erasure's key."""
    return date.fromisoformat(part(key, 2)), PurePosixPath(key).stem


def erasure_report(until: date, user_sha256: Digest, report_sha256: Digest) -> str:
    """What one run of an erasure did, and what it left."""
    return f"erasures/reports/{until}/{user_sha256}/{report_sha256[:DIGEST_CHARS]}.json"


def renewals() -> str:
    return "erasures/renewals/"


def renewal(span: date, digest: Digest) -> str:
    """Which rows stand for those with this digest since an erasure."""
    return f"{renewals()}{span}/{digest}.json"


def diagnosis(settings_digest: Digest) -> str:
    """The last examination that found the store safe to publish to, when reached with these settings."""
    return f"{EXAMINATIONS}{settings_digest[:DIGEST_CHARS]}.json"


def doctor_scratch(token: str) -> str:
    """What one examination writes, and removes."""
    return f"{EXAMINATIONS}scratch/{token}/"
