"""Which releases learnt which version of a span: exactly those whose lineage names its digest; and what was trained from one."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from functools import partial

from widedeep.artifacts import LIVE, Lane, Manifest, Part, ReleaseId, Snapshot, Value
from widedeep.errors import UsageError
from widedeep.publishing import lanes, layout
from widedeep.publishing.pointer import champion
from widedeep.publishing.removal import known_lanes, standing
from widedeep.publishing.snapshots import versions
from widedeep.publishing.store import ObjectStore
from widedeep.publishing.transfer import ahead

READERS = 16
"""Manifests that are read at once: each is a small object."""


class Heir(Value):
    """A published release that was trained from another, or from an heir of it. `lanes` settled its span with it."""

    release_id: ReleaseId
    span: date
    lanes: tuple[Lane, ...]


def heirs(store: ObjectStore, of: Collection[str]) -> tuple[Heir, ...]:
    """The published releases that were trained from these or from their heirs, and are none of them; in span order."""
    published = [release_id for key in store.keys(layout.RELEASES) if (release_id := layout.published(key))]
    line, found = set(of), []
    for manifest in sorted(_standing(store, published), key=lambda m: m.lineage.span):  # parents are of earlier spans
        if manifest.lineage.parent in line and manifest.release_id not in line:
            line.add(manifest.release_id)
            found.append(manifest)
    return tuple(Heir(release_id=m.release_id, span=m.lineage.span, lanes=_lanes_of(store, m)) for m in found)


def _lanes_of(store: ObjectStore, manifest: Manifest) -> tuple[str, ...]:
    settled = {lane: lanes.outcome(store, lane, manifest.lineage.span) for lane in known_lanes(store)}
    return tuple(lane for lane, outcome in settled.items() if outcome and outcome.release_id == manifest.release_id)


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
    return _standing(store, dict.fromkeys(layout.part(key, 1) for key in store.keys(layout.RELEASES)))


def _standing(store: ObjectStore, release_ids: Iterable[str]) -> list[Manifest]:
    return [found for found in ahead((partial(standing, store, each) for each in release_ids), READERS) if found]


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


def how_to_replay(span: date, newest: int, found: tuple[Descendant, ...], lane: str = LIVE) -> str | None:
    """Who learnt an older version of the span, and what to run so that a lane learns the newest one and all days after it.

    None: nobody did, or the lane's champion does not descend from it, as after another lane took its place.
    """
    older = [d for d in found if newest not in d.versions]
    if not any(lane in d.champion_of for d in older):
        return None
    named = ", ".join(f"{d.release_id} of {d.span}" for d in older)
    return (
        f"{len(older)} release(s) learnt an older version of {span} than v{newest}: {named}. Nothing trained changes. To "
        f"rebuild the days from {span} on with v{newest} in a lane of their own: {replay_told(span)}. `widedeep promote-lane` or "
        f"the DAG widedeep_promote_lane then compares that lane with {LIVE}."
    )


def replay_told(first: date, lane: str | None = None) -> str:
    """The DAG with its Params, and the line in a shell, that rebuild the days from one on."""
    params, option = (f', "lane": "{lane}"', f" --lane {lane}") if lane else ("", "")
    return f'the DAG widedeep_replay with {{"from": "{first}"{params}}}, or `widedeep replay --from {first}{option}`'
