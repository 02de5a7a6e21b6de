"""What a span's drift is measured against: profiles of the earlier spans that the champion, as of that day, has learnt.

A profile is evidence, made when its span was validated. One that is missing, or of a form that is no longer read, makes less
history and stops nothing.
"""

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

from widedeep.artifacts import Snapshot
from widedeep.errors import IntegrityError
from widedeep.publishing import lanes, layout, releases
from widedeep.publishing.findings import stored_findings
from widedeep.publishing.renewals import seen_by
from widedeep.steps.workplace import Workplace

if TYPE_CHECKING:
    from widedeep.data.profiles import Profile

log = logging.getLogger(__name__)

PROFILE = "profile.json"


def past_profiles(place: Workplace, lane: str, span: date) -> list["Profile"]:
    """In span order, of twice the days that the contract looks back: the older half shows how far the younger had moved.

    The days count from the newest span that was learnt: a lane may have been frozen for longer. Of a span to which rows were
    added later it is that of the version with most rows.
    """
    learnt = learnt_before(place, lane, span)
    newest = max((s.span for s in learnt), default=span)
    oldest = newest + timedelta(days=1) - timedelta(days=2 * place.contract.drift.look_back)
    largest = {s.span: s for s in sorted(learnt, key=lambda s: s.rows) if s.span >= oldest}
    return [profile for _, snapshot in sorted(largest.items()) if (profile := _profile(place, snapshot))]


def learnt_before(place: Workplace, lane: str, span: date) -> list[Snapshot]:
    """The versions of earlier spans whose training rows the parent as of the day, or an ancestor of it, has learnt."""
    history = lanes.history(place.store, lane, span)
    parent = lanes.parent(place.store, lane, history, span)
    seen = seen_by(place.store, releases.load_manifest(place.store, parent, published=True) if parent else None)
    return [o.snapshot for o in history if o.snapshot and o.span < span and (o.span, o.snapshot.digest, "train") in seen]


def _profile(place: Workplace, snapshot: Snapshot) -> "Profile | None":
    from widedeep.data.profiles import Profile

    for findings in _findings(place, snapshot):
        key = layout.beside(findings, PROFILE)
        blob = place.store.get(key)
        try:
            if blob:
                return Profile.from_bytes(blob.data, f"{place.store.url}/{key}")
        except IntegrityError as error:
            log.info("%s: left out of what drift is measured against: %s", snapshot.span, error)
    return None


def _findings(place: Workplace, snapshot: Snapshot) -> Iterator[str]:
    """Keys of the findings on a version: by the contract as it is, by earlier ones, and where it is what was left of another."""
    own = layout.validations_by(snapshot, place.contract.checks_digest)
    yield from filter(layout.is_findings, place.store.keys(own))
    for key, found in stored_findings(place.store, snapshot.span):
        if snapshot.digest in {s.digest for s in (found.snapshot, found.clean) if s}:
            yield key
