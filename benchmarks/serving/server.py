"""A server process to be measured: `python -m benchmarks.serving.server FOLDER BATCH THREADS PRECISION`.

FOLDER has the store's objects (`save`). It prints its address. A number that comes in on a line is that of the release to crown;
the answer is the process's memory in MiB before that.
"""

import sys
from pathlib import Path
from threading import Thread
from urllib.parse import quote, unquote

import psutil

from benchmarks.delta import crown
from benchmarks.serving.model import contract
from widedeep.artifacts import LIVE, Manifest
from widedeep.config import Settings
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.releases import load_manifest
from widedeep.serving.listening import Serving, serve

POLL_S = 0.02


def save(store: MemoryStore, line: list[Manifest], folder: Path) -> None:
    for key, data in store.objects.items():
        (folder / quote(key, safe="")).write_bytes(data)
    (folder / "line").write_text("\n".join(manifest.release_id for manifest in line))


def main(folder: str, batch: str, threads: str, precision: str) -> None:
    store = MemoryStore()
    store.objects = {unquote(path.name): path.read_bytes() for path in Path(folder).iterdir() if path.name != "line"}
    line = [load_manifest(store, release, published=True) for release in Path(folder, "line").read_text().split()]
    crown(store, line[0])
    Thread(target=_obey, args=(store, line), daemon=True).start()
    settings = Settings(store="s3://memory", contract=Path("unread"))
    serving = Serving(
        LIVE, "127.0.0.1", 0, POLL_S, int(batch), int(threads), "bfloat16" if precision == "bfloat16" else "float32"
    )
    serve(store, contract(), settings, serving, _told)


def _told(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _obey(store: MemoryStore, line: list[Manifest]) -> None:
    for number in sys.stdin:
        _told(round(psutil.Process().memory_info().rss / 2**20, 1))
        crown(store, line[int(number)])


if __name__ == "__main__":
    main(*sys.argv[1:])
