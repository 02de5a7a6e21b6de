"""What the contract's checks find in a snapshot: found once for the same rows, checks and baseline, stored for who asks again.

The baseline, which drift is measured against, is what the lane has learnt before the span. So who looks before anything is
learnt, or from another lane, neither switches drift off for the span's own run nor lends it findings that are not its own.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING

from widedeep.artifacts import Finding, Snapshot, Validation, canonical_json, sha256
from widedeep.publishing import layout, quarantine, snapshots
from widedeep.publishing.renewals import renewals_told
from widedeep.steps.past import PROFILE, learnt_before, past_profiles
from widedeep.steps.redelivery import redelivered
from widedeep.steps.workplace import Workplace

if TYPE_CHECKING:
    from widedeep.data.profiles import Profile


def judged(place: Workplace, lane: str, snapshot: Snapshot) -> tuple[str, Validation]:
    """What the contract's checks find in a snapshot as the lane stands before its span, stored, and its key."""
    past = past_profiles(place, lane, snapshot.span)
    unmeasured = () if past else tuple(_unmeasured(place, lane, snapshot.span))
    baseline = sha256(canonical_json([*(p.content_digest() for p in past), *(f.message for f in unmeasured)]))
    key = layout.validation(snapshot, place.contract.checks_digest, baseline)
    known = place.store.get(key)
    if known:
        return key, Validation.from_bytes(known.data, f"{place.store.url}/{key}")
    return key, _assess(place, lane, snapshot, past, unmeasured, key)


def _unmeasured(place: Workplace, lane: str, span: date) -> Iterator[Finding]:
    """Where spans were learnt whose profiles are no more, nobody should take the silence for likeness."""
    if learnt := learnt_before(place, lane, span):
        said = f"drift is not measured: none of {len(learnt)} learnt spans has a profile left (see retention.quarantine_days)"
        yield Finding(check="drift", severity="warning", message=said)


def _assess(
    place: Workplace, lane: str, snapshot: Snapshot, past: list["Profile"], unmeasured: tuple[Finding, ...], key: str
) -> Validation:
    """Run the checks and store what they found; the findings go last: their presence says that the rest is there."""
    from widedeep.data.validation import assess

    with renewals_told(place.store, snapshot):
        rows = snapshots.load_rows(place.store, snapshot, place.folder())
    found = assess(rows, place.contract, snapshot.span, past)
    validation = Validation(span=snapshot.span, snapshot=snapshot, findings=(*found.findings, *unmeasured))
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
