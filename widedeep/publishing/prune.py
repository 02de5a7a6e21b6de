"""What may go from the store, and how it goes without pulling anything from under a reader or a writer.

- Kept are the champions that the contract keeps, the newest releases, the base of each one's delta, which is its parent, and rows
  that a candidate may still learn or be judged on.
- Nothing younger than the grace time goes, and nothing that a pointer names.
- What was planned goes by `widedeep.publishing.removal`, which looks again.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from widedeep.artifacts import LIVE, Manifest, Outcome, Snapshot
from widedeep.data.contract import Pending, Retention
from widedeep.publishing import lanes, layout
from widedeep.publishing.pending import awaited
from widedeep.publishing.pointer import moves
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.removal import Item, Kind, Plan, champions, known_lanes, payload_keys, restore, standing
from widedeep.publishing.renewals import seen_by
from widedeep.publishing.store import Listed, ObjectStore

UPLOADED = (layout.RELEASES, layout.SNAPSHOTS, layout.EXAMINATIONS)
"""Below these the chain uploads files in parts. What others upload, as a delivery that takes days, is theirs."""


def plan(store: ObjectStore, retention: Retention, now: datetime, pending: Pending, pool_spans: int) -> Plan:
    """Look at everything and decide; deletes nothing. First it publishes champions again that a run which died has put aside.

    Raises:
        IntegrityError: a manifest, a pointer or an outcome is damaged: then nothing is known to be free.
    """
    for release_id in champions(store):
        restore(store, release_id)
    old = now - retention.grace
    waiting = _waiting(store, retention, now, pending, pool_spans)
    items = [
        *_releases(store, retention, now, _followed(store, retention)),
        *_snapshots(store, retention, now, waiting),
        *_reports(store, retention, now),
    ]
    ripe = [item for item in items if item.objects and max(listed.modified_at for listed in item.objects) < old]
    uploads = [upload for prefix in UPLOADED for upload in store.unfinished(prefix) if upload.started_at < old]
    return Plan(tuple(ripe), tuple(uploads))


def _followed(store: ObjectStore, retention: Retention) -> set[str]:
    """Releases that were champion, as many of each lane as are kept, and always the present one."""
    found: set[str] = set()
    for lane in known_lanes(store):
        past = list(dict.fromkeys(move.release_id for move in moves(store, lane)))
        found |= set(past[: retention.champions])
    return found


def _releases(store: ObjectStore, retention: Retention, now: datetime, followed: Collection[str]) -> Iterable[Item]:
    """Releases and candidates that are past their time, and files below `releases/` that no manifest names."""
    by_id: dict[str, list[Listed]] = defaultdict(list)
    for listed in store.listed(layout.RELEASES):
        by_id[layout.part(listed.key, 1)].append(listed)
    manifests = {release_id: standing(store, release_id) for release_id in by_id}
    kept = {*followed, *_newest(by_id, manifests, retention.releases)}
    kept |= {m.lineage.parent for release_id in kept if (m := manifests.get(release_id)) and m.lineage.parent}
    for release_id, objects in by_id.items():
        manifest = manifests[release_id]
        if manifest is None:
            yield Item("orphan", release_id, "files that no manifest names", tuple(objects))
            continue
        for listed in _stray(manifest, objects):
            yield Item("stray", listed.key, "a file that its manifest does not name", (listed,))
        if release_id in kept:
            continue
        published = layout.manifest(release_id) in {listed.key for listed in objects}
        kind: Kind = "release" if published else "candidate"
        if _older(objects, retention.candidates_days, now):
            why = "not among the champions and releases that are kept" if published else "never published"
            yield Item(kind, release_id, f"{why}, of {manifest.lineage.span}", tuple(objects))


def _newest(by_id: Mapping[str, list[Listed]], manifests: Mapping[str, Manifest | None], count: int) -> set[str]:
    published = [m for r, m in manifests.items() if m and layout.manifest(r) in {listed.key for listed in by_id[r]}]
    ranked = sorted(published, key=lambda m: (m.lineage.span, m.release_id), reverse=True)
    return {manifest.release_id for manifest in ranked[:count]}


def _stray(manifest: Manifest, objects: Iterable[Listed]) -> tuple[Listed, ...]:
    named = payload_keys(manifest)
    return tuple(listed for listed in objects if layout.named_digest(listed.key) and listed.key not in named)


def _snapshots(store: ObjectStore, retention: Retention, now: datetime, waiting: "Waiting") -> Iterable[Item]:
    """Rows of spans past their time that no lane waits for, and rows that no version names."""
    known = {version.file.name for version in _versions(store)}
    for listed in store.listed(layout.SNAPSHOTS):
        span = date.fromisoformat(layout.part(listed.key, 1))
        if listed.key not in known:
            yield Item("stray", listed.key, "rows that no version names", (listed,))
        elif not (listed.key in waiting.files or span >= waiting.since) and _past(span, retention.snapshots_days, now):
            yield Item("snapshot", listed.key, f"rows of {span}, learnt or given up by every lane", (listed,))


def _versions(store: ObjectStore) -> Iterable[Snapshot]:
    for key in store.keys("spans/"):
        blob = store.get(key)
        if blob:
            yield Snapshot.from_bytes(blob.data, f"{store.url}/{key}")


@dataclass(frozen=True)
class Waiting:
    """Rows that must stay: these files, and all of the spans from a day on."""

    files: frozenset[str]
    since: date


def _waiting(store: ObjectStore, retention: Retention, now: datetime, pending: Pending, pool_spans: int) -> Waiting:
    """What the next candidates of all lanes may learn or be judged on, and what runs that are under way may have just stored."""
    histories = {lane: lanes.history(store, lane, date.max) for lane in [*known_lanes(store), LIVE]}
    wanted = [s for lane, past in histories.items() for s in _awaited(store, lane, past, pending, pool_spans)]
    lasts = [max(past, key=lambda o: (o.span, o.settled_at)) for past in histories.values() if past]
    heads = [o.span for o in lasts if not _past(o.settled_at.date(), retention.snapshots_days, now)]
    return Waiting(frozenset(snapshot.file.name for snapshot in wanted), min(heads, default=date.max))


def _awaited(store: ObjectStore, lane: str, past: tuple[Outcome, ...], pending: Pending, pool_spans: int) -> list[Snapshot]:
    """None where the parent was pruned: no candidate can follow from it."""
    parent = lanes.parent(store, lane, past, date.max)
    if parent and parent not in champions(store) and standing(store, parent) is None:
        return []
    seen = seen_by(store, load_manifest(store, parent, published=True) if parent else None)
    return awaited(past, seen, pool_spans, pending)


def _reports(store: ObjectStore, retention: Retention, now: datetime) -> Iterable[Item]:
    """Reports of a span's validation, and the rows that it took out."""
    for prefix, what in ((layout.VALIDATIONS, "validation of"), (layout.QUARANTINES, "rows taken out of")):
        by_span: dict[str, list[Listed]] = defaultdict(list)
        for listed in store.listed(prefix):
            by_span[layout.part(listed.key, 1)].append(listed)
        for span, objects in by_span.items():
            if _older(objects, retention.quarantine_days, now):
                yield Item("report", f"{prefix}{span}/", f"{what} {span}", tuple(objects))


def _older(objects: Iterable[Listed], days: int | None, now: datetime) -> bool:
    return days is not None and all(listed.modified_at < now - timedelta(days=days) for listed in objects)


def _past(span: date, days: int | None, now: datetime) -> bool:
    return days is not None and span < (now - timedelta(days=days)).date()
