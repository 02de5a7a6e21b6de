"""A model in memory that follows a lane's champion, by deltas where they lead there, else by loading the release in full.

- Who scores holds one whole release: a delta's rows are written while nobody scores, and nobody scores while they are written.
- What was begun and not finished is never scored with: the reader then holds nothing until it has loaded a release in full.
- It never goes back to a move of the lane's pointer that it has gone past: a rollback is a move of its own, with a later number.
- It goes by deltas only where they are fewer bytes than the release in full.
- A delta is applied only to the exact files that it was made on. One that is missing, repeated, out of order or damaged is
  noticed before anything is written, and the release is loaded in full.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Literal

import pyarrow as pa
import torch

from widedeep.artifacts import ChampionPointer, FileRef, Manifest
from widedeep.errors import IntegrityError, UsageError
from widedeep.features.columns import cross_name
from widedeep.features.encoding import EncodedBatch
from widedeep.features.growth import Vocabularies
from widedeep.features.vocabulary import CROSS_KEY, VALUE_KEY
from widedeep.model.bundle import READER_FILES, Bundle, Tensors, load_bundle
from widedeep.model.delta import Delta, as_read, fill, outline, require_fit, with_room
from widedeep.model.delta_files import FOLDER, DeltaHeader, check_leads, load_delta, reader_files
from widedeep.model.specification import is_table
from widedeep.publishing.keys import Trust
from widedeep.publishing.releases import download, load_manifest
from widedeep.publishing.signing import check_signature
from widedeep.publishing.store import ObjectStore
from widedeep.serving.loading import Target, champion_to_serve
from widedeep.serving.shared_lock import SharedLock

log = logging.getLogger(__name__)

MOST_DELTAS = 7
"""Deltas that a reader goes through before it rather loads the release in full: a week of days."""

ROOM = 1.25
"""By how much a table grows that is full: tables that grow by 1 % a day are copied every few weeks."""

Before = Callable[[Manifest, Bundle, Callable[[EncodedBatch], Bundle]], object]
"""Is given a release, its bundle, whose tables may still lack a delta's rows, and that bundle as given rows will read it."""


@dataclass(frozen=True)
class Held:
    """A release in memory; `tables` are its bundle's, with room behind their rows. They change once the reader goes on."""

    manifest: Manifest
    bundle: Bundle
    tables: Tensors


@dataclass(frozen=True)
class Refreshed:
    """How the reader came to hold the champion; `because` says why it was loaded in full."""

    release_id: str
    how: Literal["unchanged", "deltas", "full"]
    deltas: int = 0
    because: str | None = None


class ModelReader:
    """Many threads may score with it while one refreshes it. `scratch` is a folder for files on their way.

    `followed` is the last move of the lane that it has seen: it goes on to later ones only. A process that starts again hands on
    what it had. `target` says what it goes to, if not the lane's champion. `before` is called with each release before anybody
    can score with it, and stops it by raising.
    """

    def __init__(
        self,
        store: ObjectStore,
        trust: Trust,
        lane: str,
        scratch: Path,
        most_deltas: int = MOST_DELTAS,
        followed: ChampionPointer | None = None,
        before: Before = lambda _manifest, _bundle, _as_read: None,
        target: Target | None = None,
    ) -> None:
        self.followed, self._before = followed, before
        self._store, self._trust, self._lane = store, trust, lane
        self._target = target or partial(champion_to_serve, store, trust, lane)
        self._scratch, self._most_deltas = scratch, most_deltas
        self._refreshing, self._lock = Lock(), SharedLock()
        self._held: Held | None = None

    @contextmanager
    def model(self) -> Iterator[Held]:
        """The release that it holds, which stays as it is until the block is left.

        Raises:
            UsageError: it holds none: nothing was loaded yet, or a delta broke off and the release could not be loaded either.
        """
        with self._lock.shared():
            if self._held is None:
                raise UsageError(f"reader of lane {self._lane}: holds no model; refresh it, which loads the champion.")
            yield self._held

    def refresh(self) -> Refreshed:
        """Follow the lane's champion. When this fails, the reader holds what it held, unless a delta broke off.

        Raises:
            OrderError: the lane has no champion yet.
            IntegrityError, FormatError, SignatureError: the champion may not be served or is damaged, or the pointer lies before
                a move that was followed already.
            UnknownOutcomeError: the store or the disk is at fault.
        """
        with self._refreshing:
            self.followed, target = self._target(self.followed)
            if self._held and self._held.manifest == target:
                return Refreshed(target.release_id, "unchanged")
            found = self._by_deltas(target)
            if isinstance(found, int):
                return Refreshed(target.release_id, "deltas", found)
            self._load(target)
            return Refreshed(target.release_id, "full", because=found)

    def _by_deltas(self, target: Manifest) -> int | str:
        """How many deltas led to the target, or why none did."""
        if self._held is None:
            return "nothing was held"
        try:
            line = self._line(self._held.manifest, target)
            self._follow(line)
        except Exception as error:  # whatever it is, the whole release does without it
            log.warning("lane %s: deltas don't lead to %s: %s: %s", self._lane, target.release_id, type(error).__name__, error)
            return f"{type(error).__name__}: {error}"
        return len(line) or f"from what was held no line of at most {self._most_deltas} deltas of fewer bytes leads to it"

    def _line(self, held: Manifest, target: Manifest) -> list[Manifest]:
        """The releases on the way from what is held to the target, oldest first.

        Empty if there is none with deltas all along, or they are too many, or together no fewer bytes than the target in full.
        """
        line: list[Manifest] = []
        step, saved = target, _bytes(reader_files(target))
        while deltas := _delta_files(step):
            line.insert(0, step)
            saved -= _bytes(deltas)
            if step.lineage.parent == held.release_id and saved > 0:
                return line
            if len(line) == self._most_deltas or saved <= 0 or step.lineage.span <= held.lineage.span:
                return []
            # Its digest is not promised, but the delta behind it names the files that it leads on from.
            step = load_manifest(self._store, str(step.lineage.parent), published=True)
            check_signature(self._store, step, self._trust)
        return []

    def _follow(self, line: list[Manifest]) -> None:
        """Apply these releases' deltas, in order, once all have come whole."""
        with TemporaryDirectory(dir=self._scratch, prefix="widedeep-deltas-") as scratch:
            folders = [Path(scratch, manifest.release_id) for manifest in line]
            for manifest, folder in zip(line, folders, strict=True):
                folder.mkdir()
                download(self._store, manifest, folder, {file.name for file in _delta_files(manifest)})
            for manifest, folder in zip(line, folders, strict=True):
                self._apply(manifest, *load_delta(folder))

    def _apply(self, manifest: Manifest, header: DeltaHeader, delta: Delta) -> None:
        held = self._held
        if held is None:
            raise IntegrityError(f"delta of {manifest.release_id}: nothing is held that it could lead on from.")
        check_leads(header, held.manifest, manifest)
        require_fit(held.bundle, delta)
        tables = {name: _roomy(table, held.bundle.weights[name], delta.rows_of(name)) for name, table in held.tables.items()}
        bundle = outline(held.bundle, delta, tables)
        _index(bundle.vocabularies)
        self._before(manifest, bundle, partial(as_read, bundle, delta))
        with self._lock.alone():
            self._held = None
            fill(bundle, delta)
            self._held = Held(manifest, bundle, tables)

    def _load(self, manifest: Manifest) -> None:
        with TemporaryDirectory(dir=self._scratch, prefix="widedeep-reader-") as scratch:
            download(self._store, manifest, Path(scratch), READER_FILES)
            bundle = load_bundle(Path(scratch), optimizer=False)
        _index(bundle.vocabularies)
        self._before(manifest, bundle, lambda _rows: bundle)
        with self._lock.alone():
            self._held = Held(manifest, bundle, {n: table for n, table in bundle.weights.items() if is_table(n)})


def _delta_files(manifest: Manifest) -> tuple[FileRef, ...]:
    return tuple(file for file in manifest.files if file.name.startswith(FOLDER))


def _bytes(files: Iterable[FileRef]) -> int:
    return sum(file.size_bytes for file in files)


def _roomy(table: torch.Tensor, used: torch.Tensor, rows: int) -> torch.Tensor:
    """The table, if it has so many rows; else a larger one that begins with those that are used."""
    return table if len(table) >= rows else with_room(used, int(rows * ROOM))


def _index(vocabularies: Vocabularies) -> None:
    """Build the hash tables now, which the first requests would have to wait for."""
    for name in vocabularies.features.keyed:
        vocabularies.values.lookup(name, pa.array([], VALUE_KEY))
    for sides in vocabularies.features.crosses:
        vocabularies.crosses.lookup(cross_name(sides), pa.array([], CROSS_KEY))
