"""What the contract's checks find in a snapshot: found once for the same rows, checks and baseline, stored for who asks again.

The baseline, which drift is measured against, is what the lane has learnt before the span. So who looks before anything is
learnt, or from another lane, neither switches drift off for the span's own run nor lends it findings that are not its own.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from widedeep.artifacts import Digest, Finding, Snapshot, Validation, canonical_json, sha256
from widedeep.publishing import lanes, layout, quarantine, snapshots
from widedeep.publishing.renewals import renewals_told
from widedeep.steps.past import PROFILE, learnt_before, past_profiles
from widedeep.steps.redelivery import redelivered
from widedeep.steps.workplace import Workplace

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from widedeep.data.profiles import Profile


@dataclass(frozen=True)
class Baseline:
    """What the lane knows of earlier spans. `brought`: rows of theirs that may come again, where late ones are kept.

    `unmeasured` says so where spans were learnt whose profiles are no more: nobody should take the silence for likeness.
    """

    past: list["Profile"]
    unmeasured: tuple[Finding, ...]
    brought: tuple[Snapshot, ...]

    def digest(self) -> Digest:
        known = [profile.content_digest() for profile in self.past]
        return sha256(canonical_json([*known, *(f.message for f in self.unmeasured), *(s.digest for s in self.brought)]))


def judged(place: Workplace, lane: str, snapshot: Snapshot) -> tuple[str, Validation]:
    """What the contract's checks find in a snapshot as the lane stands before its span, stored, and its key."""
    baseline = _baseline(place, lane, snapshot.span)
    key = layout.validation(snapshot, place.contract.checks_digest, baseline.digest())
    known = place.store.get(key)
    if known:
        return key, Validation.from_bytes(known.data, f"{place.store.url}/{key}")
    return key, _assess(place, lane, snapshot, baseline, key)


def _baseline(place: Workplace, lane: str, span: date) -> Baseline:
    past, unmeasured, brought = past_profiles(place, lane, span), [], []
    if not past and (learnt := learnt_before(place, lane, span)):
        said = f"drift is not measured: none of {len(learnt)} learnt spans has a profile left (see retention.quarantine_days)"
        unmeasured.append(Finding(check="drift", severity="warning", message=said))
    if place.contract.late.rows == "keep":
        since = span - timedelta(days=place.contract.late.days)
        known = [o.snapshot for o in lanes.history(place.store, lane, span) if o.snapshot and since <= o.span < span]
        brought = [s for s in known if snapshots.rows_stand(place.store, s)]
    return Baseline(past, tuple(unmeasured), tuple(brought))


def _brought(place: Workplace, baseline: Baseline, rows: "pa.Table", span: date) -> "NDArray[np.bool_]":
    """(B,) which late rows earlier spans have brought, in the same form: nothing is learnt twice."""
    import numpy as np
    import pyarrow as pa

    from widedeep.data.facts import sound_columns
    from widedeep.data.late import late
    from widedeep.data.tables import among

    again = np.zeros(rows.num_rows, bool)
    if not baseline.brought or place.contract.time not in sound_columns(rows, place.contract):
        return again
    places = np.flatnonzero(late(rows[place.contract.time], place.contract, span))
    for snapshot in baseline.brought if len(places) else ():
        with suppress(pa.ArrowException):  # columns of other types hold no equal rows
            again[places] |= among(rows.take(places), snapshots.load_rows(place.store, snapshot, place.folder()))
    return again


def _assess(place: Workplace, lane: str, snapshot: Snapshot, baseline: Baseline, key: str) -> Validation:
    """Run the checks and store what they found; the findings go last: their presence says that the rest is there."""
    from widedeep.data.validation import assess

    with renewals_told(place.store, snapshot):
        rows = snapshots.load_rows(place.store, snapshot, place.folder())
    again = _brought(place, baseline, rows, snapshot.span)
    found = assess(rows, place.contract, snapshot.span, baseline.past, again)
    findings = (*found.findings, *baseline.unmeasured)
    validation = Validation(span=snapshot.span, snapshot=snapshot, findings=findings, effects=found.effects)
    profile = {PROFILE: found.profile.to_bytes()} if found.profile else {}
    evidence = {**profile, "result.json": found.result, **found.docs}
    for name, data in evidence.items():
        place.store.create(layout.beside(key, name), data)
    save_overview(place, key, validation, ("span", "rows") if found.docs else (), redelivered(place, lane, snapshot.span))
    if found.bad is not None:
        bad_rows = quarantine.save_bad_rows(place.store, snapshot, place.contract.checks_digest, found.bad)
        clean = snapshots.save_snapshot(place.store, snapshot.span, found.clean, place.folder())
        validation = validation.model_copy(update={"clean": clean, "bad_rows": bad_rows})
    place.store.create(key, validation.to_bytes())
    return validation


def save_overview(place: Workplace, key: str, validation: Validation, pages: tuple[str, ...], notes: Iterable[str] = ()) -> None:
    from widedeep.data.page import overview

    place.store.create(layout.data_report(key), overview(validation, pages, notes))
