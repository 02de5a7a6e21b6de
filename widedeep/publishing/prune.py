"""What may go from the store, and how it goes without pulling anything from under a reader or a writer.

- Kept are the champions that the contract keeps, the newest releases, and rows that a candidate may still learn or be judged on.
- Nothing younger than the grace time goes, and nothing that a pointer names.
- A release is unpublished first. After a wait all pointers are read again; what somebody follows by then is published again, and
  only the others' files go. A crash in between leaves files that no manifest names: orphans, which the next time removes.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from widedeep.artifacts import LIVE, Manifest, Snapshot
from widedeep.data.contract import Retention
from widedeep.publishing import lanes, layout
from widedeep.publishing.pending import unlearnt
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.store import Listed, ObjectStore, Unfinished

SETTLING_S = 60.0
"""Between unpublishing and the last look: longer than any promotion takes from its look at the manifest to its swap."""

Kind = Literal["release", "candidate", "snapshot", "report", "orphan"]
MODELS = ("release", "candidate")


@dataclass(frozen=True)
class Item:
    """One thing that may go: a release, the rows of a snapshot, a report or an orphan. `why` in words."""

    kind: Kind
    name: str
    why: str
    objects: tuple[Listed, ...]

    @property
    def size_bytes(self) -> int:
        return sum(listed.size_bytes for listed in self.objects)


@dataclass(frozen=True)
class Plan:
    """What would go: objects, and uploads that a crash left unfinished."""

    items: tuple[Item, ...]
    uploads: tuple[Unfinished, ...]

    @property
    def size_bytes(self) -> int:
        return sum(item.size_bytes for item in self.items) + sum(upload.size_bytes for upload in self.uploads)


def plan(store: ObjectStore, retention: Retention, now: datetime) -> Plan:
    """Look at everything and decide; deletes nothing.

    Raises:
        IntegrityError: a manifest, a pointer or an outcome is damaged: then nothing is known to be free.
    """
    old = now - retention.grace
    followed = _followed(store, retention)
    items = [*_releases(store, retention, now, followed), *_snapshots(store, retention, now), *_reports(store, retention, now)]
    ripe = [item for item in items if item.objects and max(listed.modified_at for listed in item.objects) < old]
    return Plan(tuple(ripe), tuple(upload for upload in store.unfinished("") if upload.started_at < old))


def carry_out(store: ObjectStore, planned: Plan, wait: Callable[[float], None], on_item: Callable[[Item], None]) -> Plan:
    """Delete what was planned, and nothing that somebody follows by now. Returns what went. Done again, it finishes the rest."""
    _heal(store)
    unpublished = {item.name: _unpublish(store, item) for item in planned.items if item.kind in MODELS}
    if unpublished:
        wait(SETTLING_S)
    followed = _champions(store)
    gone = [item for item in planned.items if not _restored(store, item, unpublished, followed)]
    for item in gone:
        for listed in item.objects:
            store.delete(listed.key)
        on_item(item)
    for upload in planned.uploads:
        store.abort(upload)
    return Plan(tuple(gone), planned.uploads)


def _heal(store: ObjectStore) -> None:
    """Publish champions again that an earlier run unpublished at the moment they were promoted, and then died."""
    for release_id in _champions(store):
        staged = store.get(layout.candidate(release_id))
        if staged and store.get(layout.manifest(release_id)) is None:
            store.create(layout.manifest(release_id), staged.data)


def _unpublish(store: ObjectStore, item: Item) -> bytes | None:
    """Take the manifest away; returns what it was, if the release was published."""
    blob = store.get(layout.manifest(item.name))
    store.delete(layout.manifest(item.name))
    return blob.data if blob else None


def _restored(store: ObjectStore, item: Item, unpublished: Mapping[str, bytes | None], followed: Collection[str]) -> bool:
    """Whether somebody follows the release by now; then it is published again."""
    if item.kind not in MODELS or item.name not in followed:
        return False
    manifest = unpublished.get(item.name)
    if manifest:
        store.create(layout.manifest(item.name), manifest)
    return True


def _champions(store: ObjectStore) -> set[str]:
    return {pointer.release_id for lane in _lanes(store) if (pointer := champion(store, lane))}


def _lanes(store: ObjectStore) -> list[str]:
    return list(dict.fromkeys(layout.part(key, 1) for key in store.keys(layout.LANES)))


def _followed(store: ObjectStore, retention: Retention) -> set[str]:
    """Releases that were champion, as many of each lane as are kept, and always the present one."""
    found: set[str] = set()
    for lane in _lanes(store):
        past = list(dict.fromkeys(move.release_id for move in moves(store, lane)))
        found |= set(past[: retention.champions])
    return found


def _releases(store: ObjectStore, retention: Retention, now: datetime, followed: Collection[str]) -> Iterable[Item]:
    """Releases and candidates that are past their time, and files below `releases/` that no manifest names."""
    by_id: dict[str, list[Listed]] = defaultdict(list)
    for listed in store.listed(layout.RELEASES):
        by_id[layout.part(listed.key, 1)].append(listed)
    manifests = {release_id: _manifest(store, release_id, objects) for release_id, objects in by_id.items()}
    newest = _newest(by_id, manifests, retention.releases)
    for release_id, objects in by_id.items():
        manifest = manifests[release_id]
        if manifest is None:
            yield Item("orphan", release_id, "files of an upload that was never finished", tuple(objects))
            continue
        stray = _stray(manifest, objects)
        if stray:
            yield Item("orphan", release_id, "files that its manifest does not name", stray)
        if release_id in followed or release_id in newest:
            continue
        published = layout.manifest(release_id) in {listed.key for listed in objects}
        kind: Kind = "release" if published else "candidate"
        if _older(objects, retention.candidates_days, now):
            why = "not among the champions and releases that are kept" if published else "never published"
            yield Item(kind, release_id, f"{why}, of {manifest.lineage.span}", tuple(objects))


def _manifest(store: ObjectStore, release_id: str, objects: Iterable[Listed]) -> Manifest | None:
    keys = {listed.key for listed in objects}
    if layout.manifest(release_id) in keys:
        return load_manifest(store, release_id, published=True)
    return load_manifest(store, release_id, published=False) if layout.candidate(release_id) in keys else None


def _newest(by_id: Mapping[str, list[Listed]], manifests: Mapping[str, Manifest | None], count: int) -> set[str]:
    published = [m for r, m in manifests.items() if m and layout.manifest(r) in {listed.key for listed in by_id[r]}]
    ranked = sorted(published, key=lambda m: (m.lineage.span, m.release_id), reverse=True)
    return {manifest.release_id for manifest in ranked[:count]}


def _stray(manifest: Manifest, objects: Iterable[Listed]) -> tuple[Listed, ...]:
    named = {layout.release_file(manifest.release_id, file) for file in manifest.files}
    return tuple(listed for listed in objects if layout.is_payload(listed.key) and listed.key not in named)


def _snapshots(store: ObjectStore, retention: Retention, now: datetime) -> Iterable[Item]:
    """Rows of spans past their time that no lane waits for, and rows that no version names."""
    known = {version.file.name for version in _versions(store)}
    waiting = {snapshot.file.name for lane in _lanes(store) for snapshot in _waiting(store, lane)}
    for listed in store.listed(layout.SNAPSHOTS):
        span = date.fromisoformat(layout.part(listed.key, 1))
        if listed.key not in known:
            yield Item("orphan", listed.key, "rows that no version names", (listed,))
        elif listed.key not in waiting and _past(span, retention.snapshots_days, now):
            yield Item("snapshot", listed.key, f"rows of {span}, learnt or given up by every lane", (listed,))


def _versions(store: ObjectStore) -> Iterable[Snapshot]:
    for key in store.keys("spans/"):
        blob = store.get(key)
        if blob:
            yield Snapshot.from_bytes(blob.data, f"{store.url}/{key}")


def _waiting(store: ObjectStore, lane: str) -> Iterable[Snapshot]:
    """What the lane's next candidates may learn or be judged on."""
    pointer = champion(store, lane) or champion(store, LIVE)
    seen = load_manifest(store, pointer.release_id, published=True).seen() if pointer else frozenset()
    past = lanes.history(store, lane, date.max)
    return [*unlearnt(past, seen, "train"), *unlearnt(past, seen, "holdout")]


def _reports(store: ObjectStore, retention: Retention, now: datetime) -> Iterable[Item]:
    by_folder: dict[str, list[Listed]] = defaultdict(list)
    for listed in store.listed(layout.VALIDATIONS):
        by_folder[layout.part(listed.key, 1)].append(listed)
    for span, objects in by_folder.items():
        if _older(objects, retention.quarantine_days, now):
            yield Item("report", f"{layout.VALIDATIONS}{span}/", f"validation of {span}", tuple(objects))


def _older(objects: Iterable[Listed], days: int | None, now: datetime) -> bool:
    return days is not None and all(listed.modified_at < now - timedelta(days=days) for listed in objects)


def _past(span: date, days: int | None, now: datetime) -> bool:
    return days is not None and span < (now - timedelta(days=days)).date()
