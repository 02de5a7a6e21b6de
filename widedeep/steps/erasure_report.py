"""What an erasure took out, what it left and why, and what would have to be trained again: true of the store as it was read."""

from collections.abc import Collection, Iterable, Iterator
from datetime import date

from widedeep.artifacts import Digest, Manifest, ReleaseId, Value
from widedeep.publishing import layout
from widedeep.publishing.erasures import Erasure
from widedeep.publishing.pending import Seen
from widedeep.publishing.pointer import champion
from widedeep.publishing.removal import Item, known_lanes, standing
from widedeep.publishing.renewals import Renewals, load_renewals
from widedeep.publishing.store import ObjectStore
from widedeep.steps.holdings import Delivered, HeldRows, Holdings
from widedeep.steps.named import parents
from widedeep.steps.workplace import Workplace


class Gone(Value):
    """A release, or a file of one, that goes."""

    kind: str
    name: str
    why: str
    size_bytes: int


class Followed(Value):
    """A release that names the user and stays, since these lanes follow it."""

    release_id: ReleaseId
    lanes: tuple[str, ...]


class Relearn(Value):
    """A lane whose champion has learnt rows of the user.

    since: the earliest span of which it has. untouched: the newest release in its line that has not, if one is kept.
    """

    lane: str
    champion: ReleaseId
    since: date
    untouched: ReleaseId | None


class ErasureReport(Value):
    """`made` is None where nothing was done. `rows` and `gone` are what went, or would go; all else is left.

    learnt: the releases that are kept and whose weights have learnt rows of the user. delivered: files of the source. unsearched:
    what could not be looked into. size_bytes: of everything that goes.
    """

    user_sha256: Digest
    until: date
    made: Erasure | None
    rows: tuple[HeldRows, ...]
    gone: tuple[Gone, ...]
    size_bytes: int
    followed: tuple[Followed, ...]
    learnt: tuple[ReleaseId, ...]
    relearn: tuple[Relearn, ...]
    delivered: tuple[Delivered, ...]
    unsearched: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Nothing that was found holds the user's key, and no release has learnt from its rows."""
        return not (self.rows or self.gone or self.followed or self.learnt or self.delivered)

    def told(self) -> Iterator[str]:
        """In words, a line each."""
        went = "went" if self.made else "would go"
        if self.nothing:
            yield f"nothing that is kept holds this user's key ({self.user_sha256[:12]}…)"
        for held in self.rows:
            version = f"v{held.snapshot.version}" if held.snapshot else "a file that no version names"
            yield f"rows {went}: {held.rows:,} of span {held.span}, {version}; the span's other rows stay, as a new version"
        for each in self.gone:
            yield f"{each.kind} {went}: {each.name}, which {each.why}"
        for each_followed in self.followed:
            yield (
                f"left: {each_followed.release_id}, champion of {', '.join(each_followed.lanes)}, names the user until the next "
                "promotion replaces it; run the same command again then"
            )
        yield from self._learnt_told()
        for file in self.delivered:
            yield f"out of reach: {file.key} holds {file.rows:,} rows of the user; it is the source's to change"
        for one in self.unsearched:
            yield f"not searched: {one}"
        if self.made:
            yield f"no rows of this user in spans up to {self.until} will be stored or learnt again"

    def _learnt_told(self) -> Iterator[str]:
        if self.learnt:
            yield f"learnt: the weights of {', '.join(self.learnt)} were trained on rows of the user, too"
        for lane in self.relearn:
            start = (
                f"from {lane.untouched}, the newest of its line that was not: `widedeep run --span {lane.since} --lane "
                f"relearnt-{lane.since}`, and so each day up to the head"
                if lane.untouched
                else f"from nothing, since no earlier release is kept: a new chain has to learn the spans from {lane.since} on"
            )
            yield f"to be trained again for weights without them, lane {lane.lane}: {start}"


def report_on(
    place: Workplace, found: Holdings, until: date, items: Iterable[Item], made: Erasure | None = None
) -> ErasureReport:
    """What was found, told as what goes and what is left; `made` once it is done."""
    store, gone = place.store, tuple(items)
    names = {item.name for item in gone}
    renewals, manifests = load_renewals(store), _manifests(store, names)
    theirs = frozenset(_theirs(found, renewals))
    learnt = {m.release_id: seen for m in manifests if (seen := renewals.seen(m.seen()) & theirs)}
    followed = _followers(store)
    naming = sorted({file.release_id for file in found.files if file.named and file.release_id in followed})
    return ErasureReport(
        user_sha256=found.user_sha256,
        until=until,
        made=made,
        rows=found.rows,
        gone=tuple(Gone(kind=i.kind, name=i.name, why=i.why, size_bytes=i.size_bytes) for i in gone),
        size_bytes=sum(item.size_bytes for item in gone) + sum(held.size_bytes for held in found.rows),
        followed=tuple(Followed(release_id=release_id, lanes=followed[release_id]) for release_id in naming),
        learnt=tuple(sorted(learnt)),
        relearn=tuple(
            Relearn(
                lane=lane,
                champion=manifest.release_id,
                since=min(span for span, _, _ in learnt[manifest.release_id]),
                untouched=_untouched(store, manifest, renewals, theirs, names),
            )
            for manifest in manifests
            if manifest.release_id in learnt
            for lane in followed.get(manifest.release_id, ())
        ),
        delivered=found.delivered,
        unsearched=found.unsearched,
    )


def _manifests(store: ObjectStore, gone: Collection[str]) -> list[Manifest]:
    """Of all releases and candidates that are kept."""
    ids = dict.fromkeys(layout.part(key, 1) for key in store.keys(layout.RELEASES))
    return [manifest for release_id in ids if release_id not in gone and (manifest := standing(store, release_id))]


def _followers(store: ObjectStore) -> dict[ReleaseId, tuple[str, ...]]:
    """The lanes of each release that is champion."""
    pointers = [pointer for lane in known_lanes(store) if (pointer := champion(store, lane))]
    return {p.release_id: tuple(other.lane for other in pointers if other.release_id == p.release_id) for p in pointers}


def _theirs(found: Holdings, renewals: Renewals) -> Iterator[tuple[date, str, str]]:
    """The parts of spans in which the user's rows are, or were."""
    for held in found.rows:
        if held.snapshot:
            yield held.span, held.snapshot.digest, held.part
    for renewal in renewals.by_rows.values():
        if part := renewal.left_out.get(found.user_sha256):
            yield renewal.span, renewal.digest, part


def _untouched(
    store: ObjectStore, manifest: Manifest, renewals: Renewals, theirs: Seen, gone: Collection[str]
) -> ReleaseId | None:
    line = (each for each in parents(store, manifest) if each.release_id not in gone)
    return next((each.release_id for each in line if not renewals.seen(each.seen()) & theirs), None)
