"""Releases that another one names may have been pruned since: then nothing of them is there. Anything less is damage."""

from collections.abc import Iterator

from widedeep.artifacts import Manifest
from widedeep.publishing import layout, releases
from widedeep.publishing.store import ObjectStore


def named_release(store: ObjectStore, release_id: str) -> Manifest | None:
    """The manifest of a release that another one names, or None if it was pruned.

    Raises:
        IntegrityError, FormatError: some of it is there, but its manifest is not, or can't be read.
    """
    kept = any(True for _ in store.keys(layout.release(release_id)))
    return releases.load_manifest(store, release_id, published=True) if kept else None


def parents(store: ObjectStore, manifest: Manifest) -> Iterator[Manifest]:
    """The line of parents, the nearest first, back to the bootstrap or to what was pruned.

    Raises: as `named_release`.
    """
    while manifest.lineage.parent:
        parent = named_release(store, manifest.lineage.parent)
        if parent is None:
            return
        yield parent
        manifest = parent
