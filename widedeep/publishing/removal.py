"""How a release leaves the store without being pulled from under a reader or a writer.

- Its manifests, staged and published, are put aside first: nobody finds it any more. Right before its files go it is looked
  again. What somebody follows by then, or is about to make champion, is published again, and what somebody staged again stays.
- Who moves a pointer says so beside the release, then looks for the manifest again, then moves. So either that is seen here,
  however slow the mover is, or the mover sees that the manifest is gone, and moves nothing.
- A crash in between leaves files that no manifest names. A champion that was put aside is whole again once it is `restore`d.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from widedeep.artifacts import Manifest
from widedeep.publishing import layout
from widedeep.publishing.pointer import champion
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.snapshots import versions
from widedeep.publishing.store import Listed, ObjectStore, Unfinished

Kind = Literal["release", "candidate", "orphan", "stray", "snapshot", "report"]
FOLDERS = ("release", "candidate", "orphan")
"""Kinds that are all of a release's folder; an orphan is one without a manifest."""


@dataclass(frozen=True)
class Item:
    """One thing that may go: a release, a stray file that nothing names, the rows of a snapshot, a report. `why` in words."""

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


def carry_out(store: ObjectStore, planned: Plan, on_item: Callable[[Item], None]) -> Plan:
    """Delete what was planned, and nothing that somebody follows by now. Returns what went. Done again, it finishes the rest."""
    for item in planned.items:
        if item.kind in FOLDERS:
            _put_aside(store, item.name)
    gone = [item for item in planned.items if _went(store, item, on_item)]
    for upload in planned.uploads:
        store.abort(upload)
    return Plan(tuple(gone), planned.uploads)


def _put_aside(store: ObjectStore, release_id: str) -> None:
    """Take the manifests to where no reader, trainer or publisher looks."""
    blob = store.get(layout.manifest(release_id)) or store.get(layout.candidate(release_id))
    if blob:
        store.delete(layout.going(release_id))  # of an earlier run that died: it may be of other bytes
        store.create(layout.going(release_id), blob.data)
    store.delete(layout.candidate(release_id))
    store.delete(layout.manifest(release_id))


def restore(store: ObjectStore, release_id: str) -> None:
    """Publish again what was put aside, if it was."""
    aside = store.get(layout.going(release_id))
    if aside:
        store.create(layout.candidate(release_id), aside.data)
        store.create(layout.manifest(release_id), aside.data)
        store.delete(layout.going(release_id))


def _went(store: ObjectStore, item: Item, on_item: Callable[[Item], None]) -> bool:
    """Delete the item, unless it is wanted by now."""
    if (item.kind in FOLDERS and _wanted(store, item.name)) or (item.kind == "stray" and _named(store, item.name)):
        return False
    keys = [listed.key for listed in item.objects]
    if item.kind in FOLDERS:  # last: who stages it again while its files go finds nothing, not half of it
        keys += [layout.candidate(item.name), layout.manifest(item.name), layout.going(item.name)]
    for key in sorted(dict.fromkeys(keys), key=lambda key: layout.named_digest(key) is None):
        store.delete(key)
    on_item(item)
    return True


def _wanted(store: ObjectStore, release_id: str) -> bool:
    """Whether somebody follows the release, is about to, or has published or staged it again by now."""
    # In this order: who is not about to any more, since the lane has come to that move, is followed or was too late.
    if _coming(store, release_id) or release_id in champions(store) or store.get(layout.manifest(release_id)):
        restore(store, release_id)
        return True
    return store.get(layout.candidate(release_id)) is not None


def _coming(store: ObjectStore, release_id: str) -> bool:
    """Whether a lane has not yet come to a move that was to make the release champion."""
    said = [layout.coming_move(key) for key in store.keys(layout.comings(release_id))]
    return any((pointer.sequence if (pointer := champion(store, lane)) else 0) < sequence for lane, sequence in said)


def standing(store: ObjectStore, release_id: str) -> Manifest | None:
    """The manifest of a release, published or staged."""
    for key, published in ((layout.manifest(release_id), True), (layout.candidate(release_id), False)):
        if store.get(key):
            return load_manifest(store, release_id, published=published)
    return None


def _named(store: ObjectStore, key: str) -> bool:
    """Whether a manifest, or a version of a span, names a file by now."""
    folder = layout.part(key, 1)
    if key.startswith(layout.SNAPSHOTS):
        return any(version.file.name == key for version in versions(store, date.fromisoformat(folder)))
    manifest = standing(store, folder)
    return manifest is not None and key in payload_keys(manifest)


def champions(store: ObjectStore) -> set[str]:
    return {pointer.release_id for lane in known_lanes(store) if (pointer := champion(store, lane))}


def known_lanes(store: ObjectStore) -> list[str]:
    return list(dict.fromkeys(layout.part(key, 1) for key in store.keys(layout.LANES)))


def payload_keys(manifest: Manifest) -> set[str]:
    return {layout.release_file(manifest.release_id, file) for file in manifest.files}
