"""What was delivered for a span, and whether that is all of it: nothing is read before the contract's `delivery` says so.

Files and folders whose names start with `_` or `.` are somebody's work in progress and not delivered. Files of a kind that
nothing here reads are delivered all the same: reading them tells so, and leaving them out would lose rows in silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from widedeep.data.limits import Delivery
from widedeep.data.sources import shown
from widedeep.publishing.landing import Landing
from widedeep.publishing.store import Listed

MANIFEST_BYTES = 2**24  # some 100,000 files
TOLD_NAMES = 5


@dataclass(frozen=True)
class Delivered:
    """files: those with rows, by name. rows: how many each must have, where a manifest says so.

    missing: what it waits for, in words; None: it is complete. malformed: why the manifest can't be followed, if that is it.
    unnamed: files that the manifest does not name, which are not read.
    """

    files: tuple[Listed, ...]
    missing: str | None = None
    malformed: str | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    unnamed: tuple[str, ...] = ()


def delivered(landing: Landing, delivery: Delivery, now: datetime) -> Delivered:
    """What lies in the folder now, held against the rule of completeness."""
    everything = {item.key: item for item in landing.listed()}
    told_by = {delivery.marker, delivery.manifest}
    files = tuple(item for name, item in everything.items() if name not in told_by and not _hidden(name))
    if not everything or (not files and not delivery.marker and not delivery.manifest):
        return Delivered(files, f"nothing is delivered below {landing.url} yet")
    if delivery.marker and delivery.marker not in everything:
        return Delivered(files, f"the marker {delivery.marker} is missing below {landing.url}")
    manifest = everything.get(delivery.manifest) if delivery.manifest else None
    if delivery.manifest and not manifest:
        return Delivered(files, f"the manifest {delivery.manifest} is missing below {landing.url}")
    named = _by_manifest(landing, manifest, files) if manifest else Delivered(files)
    changed_at = max(item.modified_at for item in everything.values())
    if named.missing is None and delivery.quiet and now < (quiet_at := changed_at + delivery.quiet):
        said = f"files below {landing.url} changed at {changed_at:%H:%M:%S} UTC; they count as complete if none does until "
        return Delivered(files, f"{said}{quiet_at:%Y-%m-%d %H:%M:%S}")
    return named


def told(names: list[str]) -> str:
    """A few of the names, and how many there are."""
    more = f" and {len(names) - TOLD_NAMES:,} more" if len(names) > TOLD_NAMES else ""
    return f"{', '.join(shown(name) for name in names[:TOLD_NAMES])}{more}"


def _hidden(name: str) -> bool:
    """Also of an empty object that stands for a folder, as S3 consoles make them."""
    return not name or name.endswith("/") or any(part.startswith(("_", ".")) for part in PurePosixPath(name).parts)


def _plain_name(name: str) -> str:
    if name != str(PurePosixPath(name)) or name.startswith("/") or _hidden(name) or not name.isprintable():
        raise ValueError(f"{name!a} is no name of a delivered file: wanted one below the folder, without a leading _ or .")
    return name


class _File(BaseModel):
    """What else a manifest tells of a file, such as a checksum of its own kind, is not looked at."""

    model_config = ConfigDict(strict=True)

    name: Annotated[str, AfterValidator(_plain_name)]
    rows: int = Field(ge=0)


class _Manifest(BaseModel):
    model_config = ConfigDict(strict=True)

    files: list[_File]


def _by_manifest(landing: Landing, manifest: Listed, files: tuple[Listed, ...]) -> Delivered:
    """The files that the manifest names, all of them there."""
    try:
        rows = _read(landing, manifest)
    except ValueError as error:
        said = f"the manifest {landing.url}{manifest.key} can't be followed: {error}"
        return Delivered(files, said, malformed=said)
    there = {item.key: item for item in files}
    if absent := [name for name in rows if name not in there]:
        said = f"{len(absent)} of the manifest's {len(rows)} files are missing below {landing.url}: {told(absent)}"
        return Delivered(files, said)
    unnamed = tuple(name for name in there if name not in rows)
    return Delivered(tuple(there[name] for name in sorted(rows)), rows=rows, unnamed=unnamed)


def _read(landing: Landing, manifest: Listed) -> dict[str, int]:
    """Rows by name of file. Raises ValueError, with what is wrong."""
    if manifest.size_bytes > MANIFEST_BYTES:
        raise ValueError(f"has {manifest.size_bytes:,} bytes, wanted at most {MANIFEST_BYTES:,}")
    with TemporaryDirectory(prefix="widedeep-") as scratch:
        path = Path(scratch, "manifest")
        data = path.read_bytes() if landing.fetch(manifest.key, path) else b""
    try:
        files = _Manifest.model_validate_json(data).files
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place + ': ' if place else ''}{shown(first['msg'])}") from error
    names = [file.name for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names {twice[0]} twice")
    return {file.name: file.rows for file in files}
