"""Releases by their names: as a person gives them, in full or how they begin, and as another release names them.

What another one names may have been pruned since: then neither of its manifests is there, whatever files still go. A staged
manifest without the published one is damage.
"""

from collections.abc import Iterator
from difflib import get_close_matches

from widedeep.artifacts import Manifest
from widedeep.errors import IntegrityError, UsageError
from widedeep.publishing import layout, releases
from widedeep.publishing.store import ObjectStore


def find_release(store: ObjectStore, text: str) -> str:
    """The id of the one release, or candidate, whose id starts with this text.

    Raises:
        UsageError: there is none, or more than one.
    """
    keys = store.keys(layout.RELEASES)
    known = sorted({release_id for key in keys if (release_id := layout.published(key) or layout.staged(key))})
    fitting = [release_id for release_id in known if release_id.startswith(text)]
    if len(fitting) == 1:
        return fitting[0]
    nearest = fitting or get_close_matches(text, known, n=3, cutoff=0)
    told = "there is none yet" if not known else f"{'it may be' if fitting else 'the nearest are'} {', '.join(nearest[:3])}"
    raise UsageError(
        f"release {text!r}: got {len(fitting)} releases whose ids start so, wanted one: {told}. `widedeep releases` lists them."
    )


def find_manifest(store: ObjectStore, text: str) -> Manifest:
    """The manifest of the one release, or candidate, whose id starts with this text.

    Raises:
        UsageError: there is none, or more than one.
        IntegrityError, FormatError: it can't be read.
    """
    release_id = find_release(store, text)
    return releases.load_manifest(store, release_id, published=store.get(layout.manifest(release_id)) is not None)


def published_ids(store: ObjectStore) -> tuple[str, ...]:
    """All that are published, also those whose manifest can't be read."""
    return tuple(release_id for key in store.keys(layout.RELEASES) if (release_id := layout.published(key)))


def named_release(store: ObjectStore, release_id: str) -> Manifest | None:
    """The manifest of a release that another one names, or None if it was pruned.

    Raises:
        IntegrityError, FormatError: it is staged, but not published; or its manifest can't be read.
    """
    try:
        return releases.load_manifest(store, release_id, published=True)
    except IntegrityError:
        if store.get(layout.manifest(release_id)) or store.get(layout.candidate(release_id)):
            raise
        return None


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
