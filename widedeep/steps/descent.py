"""Which releases learnt which version of a span's rows: exactly those whose lineage names its digest."""

from dataclasses import dataclass
from datetime import date

from widedeep.artifacts import LIVE, Manifest, Part, Snapshot
from widedeep.errors import UsageError
from widedeep.publishing import layout
from widedeep.publishing.pointer import champion
from widedeep.publishing.removal import known_lanes, standing
from widedeep.publishing.snapshots import versions
from widedeep.publishing.store import ObjectStore


@dataclass(frozen=True)
class Descendant:
    """A release that learnt rows of a span. `own`: itself, not only an ancestor. `champion_of`: the lanes that follow it."""

    release_id: str
    span: date
    versions: tuple[int, ...]
    own: bool
    published: bool
    champion_of: tuple[str, ...]


def descendants(store: ObjectStore, span: date, version: int | None = None) -> tuple[Descendant, ...]:
    """Releases and staged candidates that learnt a version of the span, or any without a `version`; in span order.

    Raises:
        UsageError: the span, or that version of it, does not exist.
    """
    asked = {s.digest: s.version for s in _asked(store, span, version)}
    lanes_of: dict[str, list[str]] = {}
    for lane in known_lanes(store):
        if pointer := champion(store, lane):
            lanes_of.setdefault(pointer.release_id, []).append(lane)
    found = [_descendant(store, manifest, span, asked, lanes_of) for manifest in _manifests(store)]
    return tuple(sorted((d for d in found if d), key=lambda d: (d.span, d.release_id)))


def _asked(store: ObjectStore, span: date, version: int | None) -> list[Snapshot]:
    known = versions(store, span)
    if not known:
        raise UsageError(
            f"span {span}: {store.url} has no version of it, wanted one that was ingested. `widedeep spans` lists them."
        )
    if version is None:
        return list(known)
    if not (chosen := [s for s in known if s.version == version]):
        raise UsageError(f"span {span}: got version {version}, wanted one of {', '.join(str(s.version) for s in known)}.")
    return chosen


def _manifests(store: ObjectStore) -> list[Manifest]:
    ids = dict.fromkeys(layout.part(key, 1) for key in store.keys(layout.RELEASES))
    return [manifest for release_id in ids if (manifest := standing(store, release_id))]


def _descendant(
    store: ObjectStore, manifest: Manifest, span: date, asked: dict[str, int], lanes_of: dict[str, list[str]]
) -> Descendant | None:
    def of_span(parts: tuple[Part, ...]) -> list[Part]:
        return [part for part in parts if part.span == span and part.digest in asked]

    learnt = of_span((*manifest.inherited, *manifest.lineage.learnt))
    if not learnt:
        return None
    return Descendant(
        release_id=manifest.release_id,
        span=manifest.lineage.span,
        versions=tuple(sorted({asked[part.digest] for part in learnt})),
        own=bool(of_span(manifest.lineage.learnt)),
        published=store.get(layout.manifest(manifest.release_id)) is not None,
        champion_of=tuple(lanes_of.get(manifest.release_id, ())),
    )


def how_to_replay(span: date, newest: int, found: tuple[Descendant, ...]) -> str | None:
    """What to run so that a lane learns the newest version of the span and all days after it; None: nobody learnt an older."""
    older = [d for d in found if newest not in d.versions]
    if not older:
        return None
    last = max(d.span for d in older)
    return (
        f"{len(older)} release(s) of {older[0].span} to {last} learnt an older version of {span} than v{newest}; nothing "
        f"trained changes. To learn v{newest} beside {LIVE}: `widedeep run --span {span} --lane replay-{span}`, and so each day "
        f"until {last}."
    )
