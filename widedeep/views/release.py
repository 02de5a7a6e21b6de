"""One release: what made it, what is in it, what was decided of it, and what became of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from widedeep.artifacts import ChampionPointer, DryRunReport, FileRef, Lineage, Outcome, Part, Ruling, sha256
from widedeep.publishing import layout
from widedeep.publishing.formats import read_manifest
from widedeep.views.chain import Judged, Learnt, Owed, View, audited, evidence_keys, judged, learnt_by, release_keys
from widedeep.views.found import lane_keys, outcome_of, pointer_of
from widedeep.views.shelf import Shelf, Unreadable

ANCESTORS = 8
"""Parents that are drawn; each is one more read, after the other."""

MOVES = 400
"""The newest moves of a lane that are looked through for those that led to a release or away from it."""


class File(View):
    """One file of a release's payload; `there` says whether its object stands in the store."""

    name: str
    size_bytes: int
    sha256: str
    there: bool


class Piece(View):
    """Rows that were learnt: of which span, which version, which side of the split."""

    span: date
    version: int
    digest: str
    part: str


class Ancestor(View):
    """An earlier release in the line of parents."""

    release_id: str
    span: date
    parent: str | None


class Deed(View):
    """Who trained or published it, when, and with what."""

    deed: str
    at: datetime
    by: str
    contract: str
    contract_digest: str
    python: str


class Rehearsed(View):
    """A dry run. Times in milliseconds, one for each timed request."""

    failures: tuple[str, ...]
    score_ms: tuple[float, ...]
    champion_ms: tuple[float, ...]
    score_p50_ms: float | None
    score_p99_ms: float | None
    champion_p50_ms: float | None
    champion_p99_ms: float | None
    peak_rss_mb: float | None
    load_s: float | None
    rows_scored: int
    largest_score_error: float | None
    rank_agreement: float | None


class Settled(View):
    """A lane settled its span with it."""

    lane: str
    span: date
    result: str
    reasons: tuple[str, ...]
    at: datetime
    by: str


class Move(View):
    """A pointer moved to this release or away from it."""

    lane: str
    sequence: int
    kind: str
    release_id: str
    at: datetime
    by: str
    reason: str


class Said(View):
    """A person's answer to the verdict that held it."""

    answer: str
    by: str
    at: datetime
    reason: str


class Code(View):
    """What decides the payload's bytes beside the data."""

    source_digest: str
    contract_digest: str
    split_digest: str
    seed: int
    profile: dict[str, Any]


class Release(View):
    """`inherited` counts the parts that its ancestors learnt, of the spans `inherited_from` to `inherited_until`."""

    release_id: str
    span: date
    published: bool
    format: int
    manifest_sha256: str
    parent: str | None
    code: Code
    learnt: tuple[Piece, ...]
    inherited: int
    inherited_from: date | None
    inherited_until: date | None
    ancestors: tuple[Ancestor, ...]
    files: tuple[File, ...]
    training: Learnt | None
    deeds: tuple[Deed, ...]
    verdicts: tuple[Judged, ...]
    reports: tuple[str, ...]
    dry_runs: tuple[Rehearsed, ...]
    settled: tuple[Settled, ...]
    moves: tuple[Move, ...]
    answers: tuple[Said, ...]
    audits: tuple[Owed, ...]
    data_docs: dict[str, str]
    problems: tuple[str, ...]


class Broken(View):
    """A release whose manifest can't be read, or that is only half there: what stands in its folder."""

    release_id: str
    state: str
    told: str
    keys: tuple[str, ...]


def release(shelf: Shelf, release_id: str) -> Release | Broken | None:
    """What is known of a release or a candidate; None: nothing of that name stands in the store."""
    there = release_keys(shelf, release_id)
    manifest = manifest_of(shelf, release_id, there)
    if manifest is None:
        evidence = evidence_keys(shelf, release_id)
        told = (
            "Files of it stand there, and no manifest: an upload that is under way, or that a crash left behind."
            if there
            else "Its files are gone: `widedeep prune` took them. What was decided stands below."
        )
        return (
            Broken(release_id=release_id, state="half there", told=told, keys=(*there, *evidence)) if there or evidence else None
        )
    if isinstance(manifest, Unreadable):
        told = "Its manifest is not as it was written. Restore it from a copy; `widedeep verify` names all that is wrong."
        return Broken(release_id=release_id, state="damaged", told=told, keys=there)
    return _whole(shelf, manifest, there)


@dataclass(frozen=True)
class Made:
    """What is kept of a manifest: that of a long chain names thousands of inherited parts, and only their days are shown."""

    release_id: str
    format: int
    sha256: str
    lineage: Lineage
    files: tuple[FileRef, ...]
    inherited: int
    inherited_from: date | None
    inherited_until: date | None


def manifest_of(shelf: Shelf, release_id: str, there: tuple[str, ...]) -> Made | Unreadable | None:
    """The published manifest, else the staged one."""
    key = next((k for k in (layout.manifest(release_id), layout.candidate(release_id)) if k in there), None)
    found = shelf.value(key, _made) if key else None
    if isinstance(found, Made) and not release_id == found.release_id == found.lineage.release_id():
        return Unreadable(str(key))
    return found


def _made(data: bytes) -> Made:
    manifest = read_manifest(data, "manifest")
    spans = [part.span for part in manifest.inherited]
    return Made(
        release_id=manifest.release_id,
        format=manifest.format,
        sha256=sha256(data),
        lineage=manifest.lineage,
        files=manifest.files,
        inherited=len(spans),
        inherited_from=min(spans, default=None),
        inherited_until=max(spans, default=None),
    )


def _whole(shelf: Shelf, manifest: Made, there: tuple[str, ...]) -> Release:
    release_id, lineage = manifest.release_id, manifest.lineage
    verdicts, damaged = judged(shelf, release_id)
    audits, unread = audited(shelf, release_id)
    training = learnt_by(shelf, there)
    evidence = evidence_keys(shelf, release_id)
    pages = [key for key in shelf.keys(layout.evidences(release_id)) if layout.is_report(key)]
    return Release(
        release_id=release_id,
        span=lineage.span,
        published=layout.manifest(release_id) in there,
        format=manifest.format,
        manifest_sha256=manifest.sha256,
        parent=lineage.parent,
        code=Code.model_validate({**dict(lineage), "profile": lineage.profile.model_dump(exclude_none=True)}),
        learnt=tuple(map(_piece, lineage.learnt)),
        inherited=manifest.inherited,
        inherited_from=manifest.inherited_from,
        inherited_until=manifest.inherited_until,
        ancestors=tuple(_ancestors(shelf, manifest)),
        files=tuple(_files(manifest, {*there})),
        training=training if isinstance(training, Learnt) else None,
        deeds=tuple(_deeds(shelf, evidence)),
        verdicts=verdicts,
        reports=tuple(page for page in pages if any(page == each.report for each in verdicts)),
        dry_runs=tuple(_dry_runs(shelf, evidence)),
        settled=tuple(_settled(shelf, release_id, lineage.span)),
        moves=tuple(_moves(shelf, release_id)),
        answers=tuple(_answers(shelf, release_id, lineage.span)),
        audits=audits,
        data_docs=_data_docs(shelf, lineage.learnt),
        problems=(*damaged, *unread, *([training.key] if isinstance(training, Unreadable) else [])),
    )


def _piece(part: Part) -> Piece:
    return Piece.model_validate(part, from_attributes=True)


def _ancestors(shelf: Shelf, manifest: Made) -> Iterator[Ancestor]:
    for _ in range(ANCESTORS):
        parent = manifest.lineage.parent
        found = shelf.value(layout.manifest(parent), _made) if parent else None
        if not isinstance(found, Made):
            return
        yield Ancestor(release_id=found.release_id, span=found.lineage.span, parent=found.lineage.parent)
        manifest = found


def _files(manifest: Made, there: set[str]) -> Iterator[File]:
    for file in manifest.files:
        stands = layout.release_file(manifest.release_id, file) in there
        yield File(name=file.name, size_bytes=file.size_bytes, sha256=file.sha256, there=stands)


def _deeds(shelf: Shelf, evidence: tuple[str, ...]) -> Iterator[Deed]:
    for key in evidence:
        if layout.evidence_name(key).startswith(("trained", "published")):
            found = shelf.value(key, _deed)
            if isinstance(found, Deed):
                yield found


def _deed(data: bytes) -> Deed:
    """Read as plain JSON: it holds a list of all packages, which nobody looks at here."""
    return Deed.model_validate(json.loads(data))


def _dry_runs(shelf: Shelf, evidence: tuple[str, ...]) -> Iterator[Rehearsed]:
    for key in evidence:
        if layout.evidence_name(key).startswith("dry-run-"):
            found = shelf.value(key, DryRunReport.from_bytes)
            if isinstance(found, DryRunReport):
                yield Rehearsed.model_validate(found, from_attributes=True)


def _settled(shelf: Shelf, release_id: str, span: date) -> Iterator[Settled]:
    for lane, keys in lane_keys(shelf).items():
        pointer = pointer_of(shelf, lane)
        found = outcome_of(shelf, keys, span, pointer if isinstance(pointer, ChampionPointer) else None)
        if isinstance(found, Outcome) and found.release_id == release_id:
            told = {"at": found.settled_at, "by": found.settled_by, "reasons": found.reasons}
            yield Settled(lane=lane, span=span, result=found.result, **told)


def _moves(shelf: Shelf, release_id: str) -> Iterator[Move]:
    """Those that changed whether readers of a lane follow this release, the oldest first."""
    for lane, keys in lane_keys(shelf).items():
        past = shelf.each(partial(_moved, shelf), keys.moves[-MOVES:])
        pointer = pointer_of(shelf, lane)
        every = [move for move in (*past, pointer) if isinstance(move, ChampionPointer)]
        for move in every:
            if move.kind not in {"freeze", "thaw"} and release_id in {move.release_id, move.previous}:
                told = {"at": move.moved_at, "by": move.moved_by, "reason": move.reason}
                yield Move(lane=lane, sequence=move.sequence, kind=move.kind, release_id=move.release_id, **told)


def _moved(shelf: Shelf, key: str) -> ChampionPointer | Unreadable | None:
    return shelf.value(key, ChampionPointer.from_bytes)


def _answers(shelf: Shelf, release_id: str, span: date) -> Iterator[Said]:
    for key in shelf.keys(f"decisions/{span}/verdict-"):
        found = shelf.value(key, Ruling.from_bytes)
        if isinstance(found, Ruling) and found.release_id == release_id:
            yield Said(answer=found.answer, by=found.reviewed_by, at=found.reviewed_at, reason=found.reason)


def _data_docs(shelf: Shelf, learnt: tuple[Part, ...]) -> dict[str, str]:
    """The first page of the newest report on each span that it learnt."""
    found = {}
    for span in sorted({part.span for part in learnt}):
        pages = [key for key in shelf.keys(layout.validations(span)) if key.endswith("/docs/index.html")]
        if pages:
            found[str(span)] = pages[-1]
    return found
