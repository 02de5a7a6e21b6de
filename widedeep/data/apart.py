"""A delivery is decoded in a process of its own: whatever hostile bytes do to the decoder, this one goes on and names the file.

The other process may take so much memory and processor time and no more, knows no credentials, and leaves no dump of its memory.
"""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from widedeep.artifacts import Finding
from widedeep.data.sources import LESS, MAX_DECODED_BYTES, Unreadable, read_delivery, shown, unreadable
from widedeep.errors import DiskFullError, UnknownOutcomeError

ROWS, FINDINGS, AT = "rows.arrow", "findings.json", "at.json"
NO_SPACE = 3  # exit code
KEPT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG")  # of the environment; the rest is none of its business
# 1M rows × 40 of CSV take 0.7 GB so, 1.3 GB with memory that is kept for later.
FREED_AT_ONCE = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_MMAP_THRESHOLD_": "65536"}
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}
TOLD_CHARS = 2_000


@dataclass(frozen=True)
class Bounds:
    """What reading one delivery may take.

    memory_bytes: address space. 4 GiB of rows, once more for the columns that change their type, and 1 GiB for the program.
    cpu_s: five times what 4 GiB of gzipped CSV take on one core at 2.1 GHz.
    """

    decoded_bytes: int = MAX_DECODED_BYTES
    memory_bytes: int = 2 * MAX_DECODED_BYTES + 2**30
    cpu_s: int = 300


def read_apart(
    files: Sequence[tuple[str, Path]],
    types: Mapping[str, str],
    folder: Path,
    rows: Mapping[str, int] | None = None,
    bounds: Bounds = Bounds(),
) -> pa.Table | Unreadable:
    """What `read_delivery` says of these files; the rows lie in a file in `folder`, which is mapped and not held in memory.

    Raises:
        DiskFullError: the rows don't fit into `folder`.
        UnknownOutcomeError: somebody killed the process, such as a machine without memory.
    """
    told = [[name, str(path)] for name, path in files]
    order = {"files": told, "types": dict(types), "rows": dict(rows or {}), "folder": str(folder), "bounds": asdict(bounds)}
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(order),
        env={name: os.environ[name] for name in KEPT if name in os.environ}
        | {"PYTHONPATH": os.pathsep.join(sys.path), **FREED_AT_ONCE},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        return _broken_off(done, folder, bounds)
    if (folder / FINDINGS).exists():
        return Unreadable(tuple(Finding.model_validate(found) for found in json.loads((folder / FINDINGS).read_bytes())))
    return pa.ipc.open_file(pa.memory_map(str(folder / ROWS))).read_all()


def _broken_off(done: "subprocess.CompletedProcess[str]", folder: Path, bounds: Bounds) -> Unreadable:
    """What a process that did not end well says of the file that it was reading, if it is the file's fault."""
    if done.returncode == NO_SPACE:
        raise DiskFullError(f"disk full: the rows don't fit into {folder}. Free some space or set TMPDIR, then run again.")
    if done.returncode > 0:
        raise RuntimeError(f"reading a delivery failed with {done.returncode}: {done.stderr[-TOLD_CHARS:]}")
    name = shown(json.loads((folder / AT).read_bytes())) if (folder / AT).exists() else "(none yet)"
    ended = signal.Signals(-done.returncode)
    if ended == signal.SIGXCPU:
        return unreadable(f"file {name}: reading took more than {bounds.cpu_s} s of processor time{LESS}")
    if ended in CRASHES:
        return unreadable(f"file {name}: crashes its decoder ({ended.name}), so it is damaged, or made to. Deliver it anew")
    raise UnknownOutcomeError(
        f"file {name}: the process that read it was killed ({ended.name}), perhaps for want of memory. Run again with more of it."
    )


def main() -> None:
    """The other process: an order on standard input, an answer in the folder."""
    order = json.load(sys.stdin)
    folder, bounds = Path(order["folder"]), Bounds(**order["bounds"])
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_AS, bounds.memory_bytes)
    _bound(resource.RLIMIT_CPU, bounds.cpu_s)
    try:
        _answer(folder, _read(order, folder, bounds))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        sys.exit(NO_SPACE)


def _bound(kind: int, wanted: int) -> None:
    """Lower a limit, if it is not lower already. The hard one stays: at that, the kernel kills without a word."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _read(order: dict[str, Any], folder: Path, bounds: Bounds) -> pa.Table | Unreadable:
    files = [(name, Path(path)) for name, path in order["files"]]

    def on_file(name: str) -> None:
        (folder / AT).write_text(json.dumps(name))

    try:
        return read_delivery(files, bounds.decoded_bytes, types=order["types"], rows=order["rows"], on_file=on_file)
    except MemoryError:
        return unreadable(f"{len(files)} files: together they take more memory than reading a span may{LESS}")


def _answer(folder: Path, rows: pa.Table | Unreadable) -> None:
    if isinstance(rows, Unreadable):
        (folder / FINDINGS).write_text(json.dumps([finding.model_dump() for finding in rows.findings]))
        return
    with pa.ipc.new_file(str(folder / ROWS), rows.schema) as file:
        file.write_table(rows)


if __name__ == "__main__":
    main()
