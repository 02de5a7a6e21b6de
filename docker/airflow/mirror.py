"""The chain's bucket as a tar archive, and back: `mirror.py save > FILE`, `mirror.py load < FILE`.

A copy of a running chain is whole: lanes and their pointers go first, so that all that they name was there before, and is copied
after them. Back in they come last: readers take a pointer for all that it names. What is there already stays, so a load that was
cut off is run again; only into an empty bucket is it the saved one.
"""

import io
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from prepare import await_, bucket_is_there

from widedeep.config import load_settings
from widedeep.publishing.s3 import open_store
from widedeep.publishing.store import ObjectStore

POINTERS = "lanes/"


def save(store: ObjectStore, sink: IO[bytes]) -> int:
    """Write every object into an archive. Returns how many."""
    written = 0
    with TemporaryDirectory() as folder, tarfile.open(fileobj=sink, mode="w|") as archive:
        file = Path(folder) / "object"
        for key in _keys(store):
            # One that `prune` has removed since it was listed is in nobody's way.
            if store.fetch(key, file):
                archive.add(file, arcname=key)
                file.unlink()
                written += 1
    return written


def _keys(store: ObjectStore) -> Iterator[str]:
    yield from store.keys(POINTERS)
    yield from (key for key in store.keys("") if not key.startswith(POINTERS))


def load(store: ObjectStore, source: IO[bytes]) -> int:
    """Write an archive's objects into the store, those of lanes last. Returns how many.

    Raises:
        IntegrityError: a key is taken by other bytes: the bucket was in use. What was loaded stays; load into an empty one.
    """
    with TemporaryDirectory() as folder, tarfile.open(fileobj=source, mode="r|") as archive:
        file, pointers, loaded = Path(folder) / "object", {}, 0
        for member in archive:
            content = archive.extractfile(member) or io.BytesIO()
            if member.name.startswith(POINTERS):
                pointers[member.name] = content.read()  # small, all of them
                continue
            with file.open("wb") as copy:
                shutil.copyfileobj(content, copy)
            store.upload(member.name, file)
            loaded += 1
        for key, data in pointers.items():
            file.write_bytes(data)
            store.upload(key, file)
    return loaded + len(pointers)


if __name__ == "__main__":
    with_store = open_store(load_settings(os.environ))
    if sys.argv[1:] == ["save"]:
        print(save(with_store, sys.stdout.buffer), "objects saved", file=sys.stderr)
    elif sys.argv[1:] == ["load"]:
        await_(bucket_is_there, "the object store")
        print(load(with_store, sys.stdin.buffer), "objects loaded", file=sys.stderr)
    else:
        sys.exit(__doc__)
