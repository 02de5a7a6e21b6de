"""The folder where a span's files arrive, in the store or on a disk. It is only read: what was delivered stays as it is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import NoReturn, Protocol

from widedeep.artifacts import FileRef
from widedeep.errors import ContractError, StoreAccessError, StoreUnavailableError
from widedeep.publishing import layout
from widedeep.publishing.store import Listed, ObjectStore
from widedeep.publishing.transfer import CHUNK_BYTES, copied, save


class NotAFileError(ValueError):
    """What lies there under a file's name is none, or lies elsewhere."""


class Landing(Protocol):
    """Names of files are relative to the folder, with `/` between folders."""

    @property
    def url(self) -> str:
        """For messages; ends with `/`."""
        ...

    def listed(self) -> tuple[Listed, ...]:
        """All files, hidden ones too, in order of name; `modified_at` by their keeper's clock. A missing folder has none."""
        ...

    def fetch(self, name: str, path: Path) -> FileRef | None:
        """Stream a file to `path`; None, and no file there, if it is gone.

        Raises:
            NotAFileError: it is something else, or leads out of the landing area.
            DiskFullError: no space at `path`. No file is left behind.
        """
        ...


def landing(store: ObjectStore, prefix: str, span: date) -> Landing:
    """The span's folder under the contract's `delivery.prefix`."""
    if not prefix.startswith(layout.LOCAL):
        return InStore(store, layout.delivery(prefix, span))
    path = PurePosixPath(prefix.removeprefix(layout.LOCAL))
    above = next(i for i, part in enumerate(path.parts) if "{span}" in part)
    return OnDisk(Path(*path.parts[:above]), Path(str(path).format(span=span)))


@dataclass(frozen=True)
class InStore:
    """Below a prefix of the object store, whose keys are opaque: `..` leads nowhere."""

    store: ObjectStore
    prefix: str

    @property
    def url(self) -> str:
        return f"{self.store.url}/{self.prefix}"

    def listed(self) -> tuple[Listed, ...]:
        found = self.store.listed(self.prefix)
        return tuple(Listed(item.key.removeprefix(self.prefix), item.size_bytes, item.modified_at) for item in found)

    def fetch(self, name: str, path: Path) -> FileRef | None:
        return self.store.fetch(self.prefix + name, path)


@dataclass(frozen=True)
class OnDisk:
    """A folder on this machine; `root` is that of all spans.

    A file's time is that of its last change of any kind, which, unlike the time of its content, no copying program sets back.
    """

    root: Path
    path: Path

    @property
    def url(self) -> str:
        return f"{layout.LOCAL}{self.path}/"

    def listed(self) -> tuple[Listed, ...]:
        with self._explained():
            if not self.root.is_dir():
                raise ContractError(
                    f"contract: delivery.prefix wants files in {layout.LOCAL}{self.root}/, but this machine has no such folder. "
                    "Wanted one that every worker and the triggerer can read: mount it there, or name another in the contract."
                )
            return tuple(sorted(self._found(), key=lambda item: item.key)) if self.path.is_dir() else ()

    def fetch(self, name: str, path: Path) -> FileRef | None:
        with self._explained():
            real = (self.path / name).resolve()
            if not real.is_relative_to(self.root.resolve()):
                raise NotAFileError(f"leads out of {self.root}, wanted a file in it")
            if not real.exists():
                return None
            if not real.is_file():  # a pipe without a writer would be waited for
                raise NotAFileError("is no regular file, wanted one")
            file = real.open("rb")
        with file:
            return save(name, copied(iter(lambda: file.read(CHUNK_BYTES), b"")), path)

    def _found(self) -> Iterator[Listed]:
        """Links to folders are listed as files, so that reading tells of them: who walks them may never end."""
        for folder, folders, files in os.walk(self.path, onerror=_raised):
            here = Path(folder)
            for item in [*files, *(name for name in folders if (here / name).is_symlink())]:
                path = here / item
                status = path.stat() if path.exists() else path.lstat()
                name = path.relative_to(self.path).as_posix()
                yield Listed(name, status.st_size, datetime.fromtimestamp(status.st_ctime, UTC))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise StoreAccessError(
                f"{self.url}: this process may not read it ({error}). Let the user that runs workers and triggerer read it."
            ) from error
        except FileNotFoundError as error:
            raise StoreUnavailableError(f"{self.url}: {error}: it went away while it was read. Run it again.") from error
        except OSError as error:
            raise StoreUnavailableError(f"{self.url}: {error}. Run it again once the disk answers.") from error


def _raised(error: OSError) -> NoReturn:
    raise error
