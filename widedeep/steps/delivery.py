"""From what lies in a span's folder to a table of rows, or to the words that say why there is none."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep.artifacts import Digest, Finding, canonical_json, sha256
from widedeep.errors import UnknownOutcomeError
from widedeep.publishing.deliveries import Delivered, delivered, told
from widedeep.publishing.landing import Landing, NotAFileError, landing
from widedeep.publishing.store import Listed
from widedeep.steps.workplace import Workplace

if TYPE_CHECKING:
    import pyarrow as pa

    from widedeep.data.sources import Unreadable

log = logging.getLogger(__name__)

MAX_FILES = 10_000  # each costs a request and some milliseconds, however small it is


@dataclass(frozen=True)
class Refused:
    """Why a delivery is no table. `digest` covers what was delivered and what was found."""

    findings: tuple[Finding, ...]
    digest: Digest


def folder_of(place: Workplace, span: date) -> Landing:
    """Where the span's files arrive."""
    return landing(place.store, place.contract.delivery.prefix, span)


def look(place: Workplace, span: date) -> Delivered:
    """What was delivered until now, and what is missing."""
    return delivered(folder_of(place, span), place.contract.delivery, place.clock())


def wait_until(place: Workplace, span: date, not_before: datetime | None) -> datetime:
    """When a run gives up. What arrives at `not_before`, when nothing counts as missing yet, still gets its quiet period."""
    deadline = place.deadline(span)
    return max(deadline, not_before + (place.contract.delivery.quiet or timedelta(0))) if not_before else deadline


def given_up(place: Workplace, span: date, seen: Delivered) -> str:
    """Why there are no data: what was there at the deadline, and what was not."""
    deadline = f"{place.deadline(span):%Y-%m-%d %H:%M} UTC"
    if seen.missing is None:
        return f"the delivery is complete and has no file; {folder_of(place, span).url} says so"
    if not seen.files:
        return f"nothing was delivered until {deadline}: {seen.missing}"
    names = told([file.key for file in seen.files])
    return f"the delivery was incomplete at {deadline}: {seen.missing}; there are {len(seen.files)} file(s), not read: {names}"


def read(place: Workplace, span: date, seen: Delivered) -> "pa.Table | Refused":
    """The rows of a complete delivery, read apart from this process.

    Raises:
        UnknownOutcomeError: a file changed since it was listed.
    """
    from widedeep.data.apart import read_apart
    from widedeep.data.sources import Unreadable, unreadable

    if problem := seen.malformed or _too_much(seen.files):
        return _refused(unreadable(problem), {})
    if seen.unnamed:
        log.warning("%s: not read, since the manifest does not name them: %s", span, told(list(seen.unnamed)))
    folder, source = place.folder(), folder_of(place, span)
    paths = {file.key: folder / str(i) for i, file in enumerate(seen.files)}
    try:
        digests = {file.key: _fetched(source, file, paths[file.key]) for file in seen.files}
    except NotAFileError as error:
        return _refused(unreadable(str(error)), {})
    types = {name: column.type for name, column in place.contract.columns.items()}
    table = read_apart(list(paths.items()), types, folder, rows=seen.rows)
    for path in paths.values():
        path.unlink()
    return _refused(table, digests) if isinstance(table, Unreadable) else table


def _fetched(source: Landing, file: Listed, path: Path) -> Digest:
    try:
        got = source.fetch(file.key, path)
    except NotAFileError as error:
        raise NotAFileError(f"file {told([file.key])}: {error}") from error
    if got is None or got.size_bytes != file.size_bytes:
        now = f"{got.size_bytes:,} bytes" if got else "gone"
        raise UnknownOutcomeError(
            f"{source.url}{told([file.key])}: had {file.size_bytes:,} bytes when it was listed, now {now}: is it still written? "
            "Run again when all is there; a marker, a manifest or a quiet period in the contract would tell."
        )
    return got.sha256


def _too_much(files: tuple[Listed, ...]) -> str | None:
    """Why so much is not even fetched."""
    from widedeep.data.sources import MAX_DECODED_BYTES

    if len(files) > MAX_FILES:
        return f"{len(files):,} files were delivered, wanted at most {MAX_FILES:,}: put more rows into each"
    if (size := sum(file.size_bytes for file in files)) > MAX_DECODED_BYTES:
        return f"the files have {size:,} bytes, wanted at most {MAX_DECODED_BYTES:,}: deliver less, or in more spans"
    return None


def _refused(why: "Unreadable", digests: Mapping[str, Digest]) -> Refused:
    files = {told([name]): digest for name, digest in digests.items()}
    return Refused(why.findings, sha256(canonical_json([files, [finding.message for finding in why.findings]])))
