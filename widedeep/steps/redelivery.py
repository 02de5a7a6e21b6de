"""Whether a settled day was delivered again: its files' names, sizes and times are kept with the version that was made of them.

Another listing with equal rows is no other version, and nothing is said of it.
"""

from collections.abc import Iterator
from datetime import date, timedelta

from widedeep.artifacts import Snapshot, Value, canonical_json, sha256
from widedeep.publishing import lanes, layout
from widedeep.publishing.deliveries import Delivered
from widedeep.publishing.findings import stored_findings
from widedeep.publishing.snapshots import version
from widedeep.steps.descent import descendants, how_to_replay
from widedeep.steps.workplace import Workplace, stored


class Ingestion(Value):
    """Files as they were listed when they were taken in. `version`: of the span, made of them; None: they could not be read."""

    span: date
    files: tuple[tuple[str, int, str], ...]
    version: int | None


def remember(place: Workplace, span: date, seen: Delivered, snapshot: Snapshot | None) -> None:
    """Keep of which files, as `seen` before they were read, a version was made, or that none could be. Without files, nothing."""
    if not seen.files or seen.missing:
        return
    made = Ingestion(span=span, files=_files(seen), version=snapshot.version if snapshot else None)
    place.store.create(_key(span, seen), made.to_bytes())


def is_other(place: Workplace, span: date, seen: Delivered) -> bool:
    """Whether other files lie there than were ever taken in; not if nobody knows what was."""
    return was_taken_in(place, span) and place.store.get(_key(span, seen)) is None


def was_taken_in(place: Workplace, span: date) -> bool:
    """Whether any files were, in the live lane."""
    return any(True for _ in place.store.keys(layout.ingestions(span)))


def days_before(place: Workplace, lane: str, span: date) -> list[date]:
    """The lane's settled days to which rows may still come."""
    since = span - timedelta(days=place.contract.late.days)
    return [day for day in lanes.settled_spans(place.store, lane) if since <= day < span]


def redelivered(place: Workplace, lane: str, span: date) -> Iterator[str]:
    """What a run of the span says of earlier days that were delivered again with other rows."""
    yield from filter(None, (redelivered_told(place, lane, day) for day in days_before(place, lane, span)))


def redelivered_told(place: Workplace, lane: str, day: date) -> str | None:
    """That a day was delivered again with other rows, who learnt an older version, and how to replay it; or None."""
    keys = [*place.store.keys(layout.ingestions(day))]
    taken = [Ingestion.from_bytes(stored(place.store, key), key).version for key in keys] if len(keys) > 1 else []
    made = {number for number in taken if number}
    if not made or max(made) == min(made):
        return None
    newest = _learnable(place, version(place.store, day, max(made)))
    replay = how_to_replay(day, newest.version, descendants(place.store, day), lane)
    return f"Span {day} was delivered again: its newest version is v{newest.version}. {replay or ''}".rstrip()


def _learnable(place: Workplace, snapshot: Snapshot) -> Snapshot:
    """The version without the rows that were taken out, if some were."""
    clean = (found.clean for _, found in stored_findings(place.store, snapshot.span) if found.snapshot == snapshot)
    return next((rows for rows in clean if rows), snapshot)


def _key(span: date, seen: Delivered) -> str:
    return layout.ingestion(span, sha256(canonical_json(_files(seen))))


def _files(seen: Delivered) -> tuple[tuple[str, int, str], ...]:
    return tuple((file.key, file.size_bytes, file.modified_at.isoformat()) for file in seen.files)
