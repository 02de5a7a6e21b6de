"""A user is forgotten: recorded first, then taken out of everything that is kept; what has to wait is told, with why.

- The record goes first: from then on, runs neither store nor learn that user's rows.
- Rows are replaced before they go, and a release goes only if no lane follows it. What a lane follows stays until the next
  promotion replaces it: then the same command finishes.
- Done again, at any time and after any crash, it goes on from what is left.

The user's key is in no record, report, log or error; the SHA-256 of its text stands for it.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from itertools import groupby

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.artifacts import LIVE, Digest, Snapshot
from widedeep.data.erased import rows_of_users
from widedeep.errors import UsageError
from widedeep.publishing import layout, snapshots
from widedeep.publishing.erasures import Erased, Erasure, erasures, forgotten_in, record
from widedeep.publishing.removal import Item, Kind, Plan, carry_out, champions, restore, standing
from widedeep.publishing.renewals import PartName, Renewal, load_renewals, renew
from widedeep.steps.erasure_report import ErasureReport, report_on
from widedeep.steps.findings import judged
from widedeep.steps.holdings import HeldFile, HeldRows, Holdings, OnLook, look, reports_on
from widedeep.steps.workplace import Workplace

log = logging.getLogger(__name__)


def plan_erasure(place: Workplace, user: str, on_look: OnLook = lambda _done, _total: None) -> tuple[Holdings, ErasureReport]:
    """All that holds the user's key, and what erasing it would do. Deletes nothing.

    Raises:
        UsageError: the key is empty.
        IntegrityError: a manifest, a pointer or a renewal is damaged.
    """
    if not user:
        raise UsageError("erase: got an empty user, wanted the key as it stands in the contract's user column.")
    for release_id in champions(place.store):
        restore(place.store, release_id)
    found = look(place, user, on_look)
    return found, report_on(place, found, _erased(place, found).until, _items(place, found))


def erase(place: Workplace, found: Holdings, reason: str, on_item: Callable[[Item], None] = lambda _: None) -> ErasureReport:
    """Record the erasure, and take out what was found. Returns what went and what is left, which is kept beside the record.

    Raises:
        UsageError: the reason is blank.
    """
    because, erased = place.because(reason), _erased(place, found)
    made = Erasure(user_sha256=found.user_sha256, until=erased.until, by=because.by, reason=because.reason, at=because.now)
    record(place.store, made)
    log.info("erasure %s: user %s… is forgotten up to %s", erased.erasure_id, found.user_sha256[:12], erased.until)
    items = _items(place, found)
    for held in found.rows:
        _renewed(place, held)
        log.info("erasure %s: %d rows of %s went", erased.erasure_id, held.rows, held.span)
    gone = carry_out(place.store, Plan(items, ()), on_item)
    report = report_on(place, found, erased.until, gone.items, made)
    place.store.create(layout.erasure_report(erased.until, found.user_sha256, report.content_digest()), report.to_bytes())
    return report


def _erased(place: Workplace, found: Holdings) -> Erased:
    """The erasure that stands for the user, or one up to today if there is none, or if the user has come back since."""
    known = [erased for erased in erasures(place.store) if erased.user_sha256 == found.user_sha256]
    manifests = [standing(place.store, release_id) for release_id in {file.release_id for file in found.files}]
    spans = [held.span for held in found.rows]
    if known:
        newest = max(known)
        back = any(manifest and newest.erasure_id in manifest.lineage.erasures for manifest in manifests)
        if not back and all(span <= newest.until for span in spans):
            return newest
    return Erased(max([place.clock().date(), *spans]), found.user_sha256)


def _items(place: Workplace, found: Holdings) -> tuple[Item, ...]:
    """Releases that name the user and that no lane follows, and files that name the user and that no manifest names."""
    followed = champions(place.store)
    by_release = groupby(sorted(found.files, key=lambda file: file.release_id), key=lambda file: file.release_id)
    items = (item for release_id, files in by_release for item in _of_release(place, release_id, list(files), followed))
    return tuple(items)


def _of_release(place: Workplace, release_id: str, files: list[HeldFile], followed: set[str]) -> Iterator[Item]:
    objects = {listed.key: listed for listed in place.store.listed(layout.release(release_id))}
    whole = standing(place.store, release_id) is not None
    for file in files:
        if whole and not file.named and file.key in objects:
            yield Item("stray", file.key, "names the user, and no manifest names it", (objects[file.key],))
    if whole and (release_id in followed or not any(file.named for file in files)):
        return
    kind: Kind = "release" if layout.manifest(release_id) in objects else "candidate" if whole else "orphan"
    naming = {file.key for file in files}
    # What names the user goes last: as long as anything of the release is there, the same command finds it again.
    last = tuple(sorted(objects.values(), key=lambda listed: listed.key in naming))
    yield Item(kind, release_id, "names the user, and no lane follows it", last)


def _renewed(place: Workplace, held: HeldRows) -> None:
    """Let rows without the user stand for these; then these go."""
    if held.snapshot:
        stands = snapshots.rows_stand(place.store, held.snapshot)  # else another erasure has just renewed them
        _renew(place, held.snapshot if stands else load_renewals(place.store).current(held.snapshot))
    place.store.delete(held.key)


def _renew(place: Workplace, old: Snapshot) -> None:
    """Store the rows without anybody who is forgotten, write that they stand for the old ones, and take those away.

    The old file goes last: as long as it is there, the same command does all this again. Where another erasure was faster, its
    rows are renewed: there may still be rows of this one's user among them.
    """
    rows = snapshots.load_rows(place.store, old, place.folder())
    forgotten = forgotten_in(erasures(place.store), old.span)
    gone = rows_of_users(rows[place.contract.user], forgotten)
    if not gone.any():
        return
    new = snapshots.save_snapshot(place.store, old.span, rows.filter(pa.array(~gone)), place.folder())
    reports = [listed.key for listed in reports_on(place, old)]
    if reports:  # before the renewal, which makes it the baseline of later days
        judged(place, LIVE, new)
    standing_for = renew(place.store, _renewal(place, old, rows, forgotten, new)).snapshot
    for key in (*reports, old.file.name):
        place.store.delete(key)
    if standing_for.digest != new.digest:
        _renew(place, load_renewals(place.store).current(standing_for))


def _renewal(place: Workplace, old: Snapshot, rows: pa.Table, forgotten: Collection[Digest], new: Snapshot) -> Renewal:
    from widedeep.data.split import is_held_out

    users = rows[place.contract.user]
    gone, held_out = rows_of_users(users, forgotten), is_held_out(users, place.contract, old.span).to_numpy()
    now = is_held_out(users.filter(pa.array(~gone)), place.contract, old.span).to_numpy()
    return Renewal(
        span=old.span,
        digest=old.digest,
        snapshot=new,
        left_out={user: _side(held_out[rows_of_users(users, {user})]) for user in sorted(_present(users, forgotten))},
        resplit=bool((held_out[~gone] != now).any()),
        at=place.clock(),
    )


def _present(users: pa.ChunkedArray, digests: Collection[Digest]) -> set[Digest]:
    return {digest for digest in digests if rows_of_users(users, {digest}).any()}


def _side(held_out: NDArray[np.bool_]) -> PartName:
    """A user's rows of a span are all on one side."""
    return "holdout" if held_out.all() else "train"
