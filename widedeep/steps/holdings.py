"""Where a user's key is still held: rows, releases, delivered files. It looks, and changes nothing.

What can't be looked into is named, with why: nobody is told that there is nothing where nobody has looked.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar

import pyarrow as pa

from widedeep.artifacts import Digest, FileRef, Manifest, Snapshot, Validation, Value
from widedeep.data.erased import digest_of, rows_of_users
from widedeep.data.problems import OWN_FOLDERS
from widedeep.errors import IntegrityError, OrderError
from widedeep.publishing import layout, snapshots
from widedeep.publishing.removal import standing
from widedeep.publishing.renewals import PartName
from widedeep.publishing.store import Listed
from widedeep.steps.workplace import Workplace, stored

P = ParamSpec("P")
T = TypeVar("T")

OnLook = Callable[[int, int], None]


class HeldRows(Value):
    """A rows file that holds rows of the user; without a `snapshot` no version of the span names it (a crash left it).

    `part`: on which side of the split the user is in these rows. `size_bytes` counts what was reported of them, too: it may quote
    them, and goes with them.
    """

    span: date
    key: str
    snapshot: Snapshot | None
    rows: int
    part: PartName
    size_bytes: int


class HeldFile(Value):
    """A file of a release that names the user. `named`: its manifest lists it; else a crashed upload left it there."""

    release_id: str
    key: str
    named: bool


class Delivered(Value):
    """A delivered file with rows of the user. It is the source's, and stays."""

    key: str
    rows: int


class Holdings(Value):
    """All that holds a user's key. `unsearched` are what could not be looked into, each with why."""

    user_sha256: Digest
    rows: tuple[HeldRows, ...]
    files: tuple[HeldFile, ...]
    delivered: tuple[Delivered, ...]
    unsearched: tuple[str, ...]


def look(place: Workplace, user: str, on_look: OnLook) -> Holdings:
    """Read all that may hold the user's key; `on_look(objects read, objects in all)` hears of each."""
    store = place.store
    rows, tables, landed = list(store.listed(layout.SNAPSHOTS)), [*_tables(store.listed(layout.RELEASES))], [*_landed(place)]
    objects = tuple(each.key for each in (*rows, *tables)) + tuple(landed)
    versions = {snapshot.file.name: snapshot for snapshot in _versions(place)}
    manifests = {r: standing(store, r) for r in {layout.part(each.key, 1) for each in tables}}
    done = count()

    def told(found: T) -> T:
        on_look(next(done) + 1, len(objects))
        return found

    in_rows = [told(_tried(_in_rows, place, user, each, versions.get(each.key))) for each in rows]
    in_files = [told(_tried(_in_file, place, user, each.key, manifests[layout.part(each.key, 1)])) for each in tables]
    in_landing = [told(_tried(_in_delivery, place, user, key)) for key in landed]
    looked = zip(objects, (*in_rows, *in_files, *in_landing), strict=True)
    return Holdings(
        user_sha256=digest_of(user),
        rows=tuple(held for held in in_rows if isinstance(held, HeldRows)),
        files=tuple(held for held in in_files if isinstance(held, HeldFile)),
        delivered=tuple(held for held in in_landing if isinstance(held, Delivered)),
        unsearched=tuple(f"{store.url}/{key}: {found}" for key, found in looked if isinstance(found, str)),
    )


def _tried(search: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | str:
    """What a search finds, or what is wrong with what it reads."""
    try:
        return search(*args, **kwargs)
    except (IntegrityError, OrderError, pa.ArrowException) as error:
        return " ".join(str(error).split())


def _versions(place: Workplace) -> Iterator[Snapshot]:
    for span in {layout.part(key, 1) for key in place.store.keys(layout.SNAPSHOTS)}:
        yield from snapshots.versions(place.store, date.fromisoformat(span))


def _tables(objects: Iterable[Listed]) -> Iterator[Listed]:
    """The tables of releases: values, values that wait, golden rows, the catalogue. Crosses name rows of values, no value."""
    return (each for each in objects if each.key.endswith(".parquet") and "crosses" not in each.key.rpartition("/")[2])


def _landed(place: Workplace) -> Iterator[str]:
    """Keys of delivered files, or their paths on this machine: also hidden ones, and those of another way of delivery."""
    top = place.contract.delivery.prefix.partition("{")[0]
    if top.startswith(layout.LOCAL):
        paths = sorted(Path(top.removeprefix(layout.LOCAL)).rglob("*"))
        found = [f"{layout.LOCAL}{path}" for path in paths if path.is_file()]
    else:
        found = [key for key in place.store.keys(top) if key.split("/", maxsplit=1)[0] not in OWN_FOLDERS]
    told_by = {place.contract.delivery.marker, place.contract.delivery.manifest}
    yield from (key for key in found if not key.endswith("/") and key.rpartition("/")[2] not in told_by)


def _in_rows(place: Workplace, user: str, listed: Listed, snapshot: Snapshot | None) -> HeldRows | str | None:
    """The user's rows in a rows file, or why nobody can tell."""
    import pyarrow.parquet as pq

    from widedeep.data.split import is_held_out

    span, column = date.fromisoformat(layout.part(listed.key, 1)), place.contract.user
    with _fetched(place, listed.key, snapshot.file if snapshot else None) as path, pq.ParquetFile(path) as file:
        if column not in file.schema_arrow.names:
            return f"has no column {column!r}"
        users = file.read(columns=[column])[column]
    theirs = rows_of_users(users, {digest_of(user)})
    if not theirs.any():
        return None
    held_out = is_held_out(users, place.contract, span).to_numpy()
    reports = [*reports_on(place, snapshot)] if snapshot else []
    return HeldRows(
        span=span,
        key=listed.key,
        snapshot=snapshot,
        rows=int(theirs.sum()),
        part="holdout" if held_out[theirs].any() else "train",
        size_bytes=sum(each.size_bytes for each in (listed, *reports)),
    )


def reports_on(place: Workplace, snapshot: Snapshot) -> Iterator[Listed]:
    """What validation wrote of a snapshot, and the table of the rows that it took out."""
    for listed in place.store.listed(layout.reports_on(snapshot)):
        yield listed
        if listed.key.endswith("/findings.json"):
            bad_rows = Validation.from_bytes(stored(place.store, listed.key), listed.key).bad_rows
            yield from place.store.listed(bad_rows.name) if bad_rows else ()


def _in_file(place: Workplace, user: str, key: str, manifest: Manifest | None) -> HeldFile | None:
    """Whether a table of a release names the user."""
    release_id = layout.part(key, 1)
    refs = {layout.release_file(release_id, file): file for file in manifest.files} if manifest else {}
    stored_ref = refs[key].model_copy(update={"name": key}) if key in refs else None
    with _fetched(place, key, stored_ref) as path:
        return HeldFile(release_id=release_id, key=key, named=key in refs) if _names(path, place.contract.user, user) else None


def _names(path: Path, column: str, user: str) -> bool:
    """Whether rows, or entries of a vocabulary, name the user."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        there = set(file.schema_arrow.names)
        found = file.read(columns=[column])[column] if column in there else None
        entries = file.read(columns=["feature", "key"]) if {"feature", "key"} <= there else None
    theirs = entries.filter(pc.equal(entries["feature"], column))["key"] if entries else found
    return theirs is not None and bool(rows_of_users(theirs, {digest_of(user)}).any())


def _in_delivery(place: Workplace, user: str, key: str) -> Delivered | str | None:
    """The user's rows in a delivered file, or why nobody can tell."""
    from widedeep.data.apart import read_apart
    from widedeep.data.sources import Unreadable

    column = place.contract.user
    with TemporaryDirectory(dir=place.scratch) as folder:
        path = Path(folder) / "delivered"
        if key.startswith(layout.LOCAL):
            path = Path(key.removeprefix(layout.LOCAL))
        else:
            path.write_bytes(stored(place.store, key))
        table = read_apart([(key, path)], {column: place.contract.columns[column].type}, Path(folder))
        if isinstance(table, Unreadable):
            return table.findings[0].message
        if column not in table.column_names:
            return f"has no column {column!r}"
        rows = int(rows_of_users(table[column], {digest_of(user)}).sum())
    return Delivered(key=key, rows=rows) if rows else None


@contextmanager
def _fetched(place: Workplace, key: str, ref: FileRef | None) -> Iterator[Path]:
    """An object in a scratch file: verified, if somebody recorded what it is."""
    with TemporaryDirectory(dir=place.scratch) as folder:
        path = Path(folder) / "table.parquet"
        if ref:
            place.store.download(ref, path)
        else:
            path.write_bytes(stored(place.store, key))
        yield path
