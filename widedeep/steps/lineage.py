"""What data, code, parents and decision made a release, and who did what with it: all of it read from the store.

A score names the release that gave it (`widedeep rank`), and the id of a release leads here.
"""

from collections.abc import Iterator
from datetime import date
from typing import TypeVar

from widedeep.artifacts import (
    ChampionPointer,
    Digest,
    DryRunReport,
    Lineage,
    Outcome,
    Part,
    ReleaseId,
    Value,
    Verdict,
)
from widedeep.publishing import lanes, layout, releases
from widedeep.publishing.pointer import moves
from widedeep.publishing.store import ObjectStore
from widedeep.steps.named import parents
from widedeep.steps.records import Record

V = TypeVar("V", bound=Value)


class Ancestor(Value):
    """An earlier release in the line of parents; `parent` is its own."""

    release_id: ReleaseId
    span: date
    parent: ReleaseId | None


class History(Value):
    """Where a release comes from and what became of it.

    `pending` are the parts that it learnt beside its own span's rows: training rows that were left over, and held-out rows whose
    time in the gate's pool had passed. `parents` go back to the bootstrap, or to where
    they were pruned. `moves` are those of any lane that led to this release
    or away from it, each lane's oldest first.
    """

    release_id: ReleaseId
    span: date
    published: bool
    format: int
    manifest_sha256: Digest
    lineage: Lineage
    pending: tuple[Part, ...]
    inherited: tuple[Part, ...]
    parents: tuple[Ancestor, ...]
    records: tuple[Record, ...]
    dry_runs: tuple[DryRunReport, ...]
    verdicts: tuple[Verdict, ...]
    outcomes: tuple[Outcome, ...]
    moves: tuple[ChampionPointer, ...]


def trace(store: ObjectStore, release_id: str) -> History:
    """The history of a release, or of a candidate that never became one.

    Raises:
        IntegrityError, FormatError: the release, a parent of it, its evidence or a move of a lane can't be read.
    """
    published = store.get(layout.manifest(release_id)) is not None
    manifest = releases.load_manifest(store, release_id, published=published)
    line = [*parents(store, manifest)]
    known = [lane for key in store.keys(layout.lanes()) if (lane := layout.lane_of(key))]
    outcomes = [outcome for lane in known if (outcome := lanes.outcome(store, lane, manifest.lineage.span))]
    verdicts = [*_evidence(store, release_id, "verdict-", Verdict), *_evidence(store, release_id, releases.DECISION, Verdict)]
    return History(
        release_id=release_id,
        span=manifest.lineage.span,
        published=published,
        format=manifest.format,
        manifest_sha256=manifest.content_digest(),
        lineage=manifest.lineage,
        pending=tuple(p for p in manifest.lineage.learnt if p.span != manifest.lineage.span),
        inherited=manifest.inherited,
        parents=tuple(Ancestor(release_id=m.release_id, span=m.lineage.span, parent=m.lineage.parent) for m in line),
        records=tuple(sorted(_records(store, release_id), key=lambda record: record.at)),
        dry_runs=tuple(_evidence(store, release_id, "dry-run-", DryRunReport)),
        verdicts=tuple({verdict.content_digest(): verdict for verdict in verdicts}.values()),
        outcomes=tuple(outcome for outcome in outcomes if outcome.release_id == release_id),
        moves=tuple(move for lane in known for move in _moves(store, lane, release_id)),
    )


def _evidence(store: ObjectStore, release_id: str, start: str, kind: type[V]) -> Iterator[V]:
    for key in store.keys(layout.evidence(release_id, start).removesuffix(".json")):
        value = releases.load_evidence(store, release_id, layout.evidence_name(key), kind)
        if value:
            yield value


def _records(store: ObjectStore, release_id: str) -> Iterator[Record]:
    yield from _evidence(store, release_id, "trained", Record)
    yield from _evidence(store, release_id, "published", Record)


def _moves(store: ObjectStore, lane: str, release_id: str) -> list[ChampionPointer]:
    """Those that changed whether readers of the lane follow this release; a freeze or a thaw does not."""
    past = [move for move in moves(store, lane) if move.kind not in {"freeze", "thaw"}]
    return [move for move in reversed(past) if release_id in {move.release_id, move.previous}]
