"""What `widedeep init` and `widedeep validate` do: from somebody's files to a contract, and a span held against it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import widedeep
from widedeep.artifacts import Progress, Validation, lane_name
from widedeep.config import PREFIX, load_settings
from widedeep.errors import UsageError
from widedeep.publishing import lanes, layout
from widedeep.publishing.s3 import open_store
from widedeep.publishing.store import ObjectStore
from widedeep.steps import arrival
from widedeep.steps.workplace import Workplace, stored

if TYPE_CHECKING:
    from widedeep.data.guess import Listing

S3 = "s3://"
PROJECT = Path(widedeep.__file__).parents[1]
SCHEMA = PROJECT / "dags" / "contracts" / "contract.schema.json"
LARGEST_OBJECT = 2**29  # bytes: an object is fetched whole, into memory
SAYS_NOTHING = re.compile(r"(\w+=)?\d{4}-\d{2}-\d{2}|landing|data|incoming|deliver(y|ies)|lieferung(en)?|")

Judgement = Literal["valid", "held", "quarantined", "no data"]


@dataclass(frozen=True)
class Checked:
    """What the checks found in a span. `validation` is None without data; `pages` are keys of its Data Docs."""

    progress: Progress
    validation: Validation | None
    pages: tuple[str, ...]

    @property
    def judgement(self) -> Judgement:
        if self.validation is None:
            return "no data"
        return "quarantined" if self.validation.critical else "held" if self.progress.drastic else "valid"


def check_span(place: Workplace, span: date, lane: str | None = None) -> Checked:
    """Ingest and validate a span as its run would, settled or not, and settle nothing.

    What these steps leave stays in the store, where the run finds it: the snapshot, and the findings with their evidence.

    Raises:
        OrderError: the span has to wait for its delivery.
    """
    progress = Progress(span=span, lane=lanes.resolve_lane(place.store, span, lane_name(lane) if lane else None))
    progress = arrival.ingest(place, progress)
    if progress.snapshot and not progress.over:
        progress = arrival.validate(place, progress)
    if progress.validation is None:
        return Checked(progress, None, ())
    pages = tuple(place.store.keys(layout.beside(progress.validation, "docs/")))
    where = f"{place.store.url}/{progress.validation}"
    return Checked(progress, Validation.from_bytes(stored(place.store, progress.validation), where), pages)


def save_pages(store: ObjectStore, pages: tuple[str, ...], folder: Path) -> tuple[Path, ...]:
    """The Data Docs as files that a browser opens.

    Raises:
        UsageError: the folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        saved = {folder / PurePosixPath(page).name: stored(store, page) for page in pages}
        for path, data in saved.items():
            path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"--docs {folder}: can't be written ({error}). Name a folder that can.") from error
    return tuple(saved)


def listing_of(source: str, environment: Mapping[str, str]) -> "Listing":
    """The files of a local path or of `s3://bucket/prefix`, which is reached with the environment's settings.

    Raises:
        UsageError: nothing is there.
        SettingsError, StoreAccessError, StoreUnavailableError: the store can't be reached.
    """
    from widedeep.data.guess import folder_listing

    if not source.startswith(S3):
        return folder_listing(Path(source))
    url, own = source.rstrip("/"), environment.get(f"{PREFIX}STORE")
    found = bucket_listing(_store_at(url, environment), own)
    if not found.sizes and "/" in url.removeprefix(S3):
        above, _, name = url.rpartition("/")  # it may be the key of one object
        found = bucket_listing(_store_at(above, environment), own, name)
    if not found.sizes:
        raise UsageError(f"--from {source}: no object is there. Name a prefix below which some of your data lie.")
    return found


def bucket_listing(store: ObjectStore, own: str | None, only: str = "") -> "Listing":
    """All objects below a store's prefix, or one of them. `own` is the chain's store: `delivery.prefix` counts from there."""
    from widedeep.data.guess import Listing

    bucket = "/".join(store.url.split("/")[:3])
    below = f"{store.url}/".removeprefix(f"{(own or bucket).rstrip('/')}/")
    prefix = None if below == f"{store.url}/" else below.rstrip("/")
    found = {item.key: item.size_bytes for item in store.listed(only) if item.size_bytes <= LARGEST_OBJECT}
    return Listing(
        store.url, {only: found[only]} if only in found else found if not only else {}, lambda key: stored(store, key), prefix
    )


def _store_at(url: str, environment: Mapping[str, str]) -> ObjectStore:
    return open_store(load_settings({f"{PREFIX}CONTRACT": "", **environment, f"{PREFIX}STORE": url}), environment)


def name_of(source: str) -> str:
    """A name for the chain: the last part of the path that says something."""
    parts = [part.split(".")[0] for part in source.removeprefix(S3).split("/")]
    telling = [slug for part in parts if not SAYS_NOTHING.fullmatch(part) and (slug := _slug(part))]
    return telling[-1] if telling else "contract"


def _slug(text: str) -> str:
    return "-".join(re.findall("[a-z0-9]+", text.casefold()))


def require_writable(path: Path, overwrite: bool) -> None:
    """Look before the sample is read.

    Raises:
        UsageError: the contract can't be written there.
    """
    if path.is_dir():
        raise UsageError(f"--out {path}: is a folder. Name a file, such as {path / 'contract.yaml'}.")
    if path.exists() and not overwrite:
        raise UsageError(f"--out {path}: is there already. Name another file, or give --force to overwrite it.")
    if not path.parent.is_dir():
        raise UsageError(f"--out {path}: there is no folder {path.parent}. Make it, or name another one.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"--out {path}: can't be written. Name a folder that you may write to.")


def write_contract(path: Path, text: str) -> None:
    """Raises UsageError if the disk refuses; a file that stood there is as it was."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"--out {path}: can't be written ({error}). Name another place.") from error


def schema_for(path: Path) -> str:
    """Where an editor finds the JSON Schema from a contract file: as a relative path within the project."""
    if not SCHEMA.exists():
        return SCHEMA.name  # installed without the project: `widedeep schema` writes it
    folder = path.resolve().parent
    return Path(os.path.relpath(SCHEMA, folder)).as_posix() if folder.is_relative_to(PROJECT) else SCHEMA.as_posix()
