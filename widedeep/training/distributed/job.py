"""The folder by which coordinator and ranks hear of each other. What stands there is whole: it was renamed last."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from widedeep.artifacts import Digest, NumericProfile, Value
from widedeep.data.contract import Training
from widedeep.features.bags import Bag
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import write_tensors

POLL_S, ALIVE_S = 0.02, 0.5
"""How often one looks for what the other side has written, and how often for whether it is alive."""
TABLE_OF = "embedding.table"
"""Beside a bundle's tensors, (V,) int32: the number of the table that a row of the embedding matrix belongs to; -1: to none."""

LOCK = "coordinator.lock"
TABLE, ACCUMULATOR, SHARD = "table", "table.accumulator", "wide.shard"
"""In what a rank owns: a feature's embedding table and its accumulator, behind a slash its name; its rows of the wide part."""


class Plan(Value):
    """What ranks are to do.

    tables: the features that have an embedding table, in the order of a batch.
    machines: on how many the ranks run.
    profile, sources: what the coordinator computes with; a rank that differs would make other bytes under the same id.
    checkpoint_s: seconds from one checkpoint to the next. restarts: how often ranks that have died are started again.
    """

    training: Training
    tables: tuple[str, ...]
    machines: int
    profile: NumericProfile
    sources: Digest
    checkpoint_s: float = 60.0
    restarts: int = 3


@dataclass(frozen=True)
class Job:
    folder: Path

    # What the coordinator writes.

    def begin(self, plan: Plan, tensors: Mapping[str, torch.Tensor]) -> None:
        """`tensors` are what the ranks start from."""
        write_tensors(tensors, self.folder / "start.safetensors")
        self._put("job.json", plan.model_dump(mode="json"))

    def put_chunk(self, number: int, encoded: EncodedBatch) -> None:
        """Rows in the order in which they are to be learnt."""
        coming = self.folder / f"coming-{number:06d}"
        coming.mkdir()
        for name, array in _arrays(encoded).items():
            np.save(coming / name, array, allow_pickle=False)
        coming.rename(self._chunk(number))

    def end(self, chunks: int) -> None:
        self._put("end.json", chunks)

    def heard(self) -> Iterator[dict[str, Any] | None]:
        """What the ranks report, in order; None while there is nothing new. It never ends."""
        path, rest = self.folder / "heard.jsonl", b""
        while not path.exists():
            yield None
        with path.open("rb") as file:
            while True:
                rest += file.read()
                *lines, rest = rest.split(b"\n")
                yield from map(json.loads, lines)
                yield None

    def checkpoint(self) -> int:
        """How many chunks the last whole checkpoint has learnt; 0 where there is none."""
        path = self.folder / "checkpoint.json"
        return int(json.loads(path.read_text())) if path.exists() else 0

    def shard(self, chunks: int, rank: int) -> dict[str, torch.Tensor]:
        """What a rank owned when it had learnt so many chunks."""
        shard: dict[str, torch.Tensor] = load_file(self._checkpoint(chunks) / f"rank-{rank}.safetensors")
        return shard

    @contextmanager
    def coordinated(self) -> Iterator[None]:
        """While this is open, `abandoned` is false, in whatever process; a process that dies lets go by itself."""
        with (self.folder / LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    # What the ranks do.

    def plan(self) -> Plan:
        return Plan.model_validate_json((self.folder / "job.json").read_bytes())

    def start(self) -> dict[str, torch.Tensor]:
        """The tensors that training starts from, as views of the file: only what is read takes memory."""
        start: dict[str, torch.Tensor] = load_file(self.folder / "start.safetensors")
        return start

    def chunk(self, number: int, stop: Callable[[], bool]) -> EncodedBatch | None:
        """Wait for a chunk; None: there is none, it was the last one before. Its arrays are views of files.

        Raises:
            InterruptedError: `stop()` holds.
        """
        looks = 0
        while not self._chunk(number).exists():
            if (end := self.folder / "end.json").exists() and number >= json.loads(end.read_text()):
                return None
            looks += 1
            if looks % round(ALIVE_S / POLL_S) == 0 and stop():
                raise InterruptedError
            time.sleep(POLL_S)
        return _encoded(self._chunk(number))

    def report(self, told: Mapping[str, Any]) -> None:
        with (self.folder / "heard.jsonl").open("a") as file:
            file.write(json.dumps(told) + "\n")

    def save_shard(self, chunks: int, rank: int, tensors: Mapping[str, torch.Tensor]) -> None:
        folder = self._checkpoint(chunks)
        folder.mkdir(exist_ok=True)
        write_tensors({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / f"coming-{rank}")
        (folder / f"coming-{rank}").rename(folder / f"rank-{rank}.safetensors")

    def commit(self, chunks: int) -> None:
        """Every rank has saved its shard: from now on this is the checkpoint. What came before it isn't needed any more."""
        self._put("checkpoint.json", chunks)
        for path in self.folder.iterdir():
            kind, _, number = path.name.partition("-")
            if kind in {"chunk", "checkpoint"} and number and int(number) < chunks:
                rmtree(path, ignore_errors=True)  # tidying only; and NFS keeps names of files that somebody still reads

    def abandoned(self) -> bool:
        """Whether the coordinator has died, or is done and has removed the folder."""
        try:
            with (self.folder / LOCK).open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except FileNotFoundError:
            pass
        return True

    def _put(self, name: str, told: Any) -> None:
        coming = self.folder / f"coming-{name}-{os.getpid()}"
        coming.write_text(json.dumps(told))
        coming.rename(self.folder / name)

    def _chunk(self, number: int) -> Path:
        return self.folder / f"chunk-{number:06d}"

    def _checkpoint(self, chunks: int) -> Path:
        return self.folder / f"checkpoint-{chunks:06d}"


def _arrays(encoded: EncodedBatch) -> dict[str, np.ndarray]:
    """The arrays of a batch by names that are their files'; `weights` only where there are any."""
    bags = {f"bag-{m}": bag for m, bag in enumerate(encoded.bags)} | {"wide": encoded.wide}
    arrays = {f"{name}-flat": bag.flat for name, bag in bags.items()} | {f"{name}-offsets": b.offsets for name, b in bags.items()}
    plain = {field.name: getattr(encoded, field.name) for field in fields(encoded)}
    return arrays | {name: array for name, array in plain.items() if isinstance(array, np.ndarray)}


def _encoded(folder: Path) -> EncodedBatch:
    arrays = {path.stem: np.load(path, mmap_mode="c", allow_pickle=False) for path in folder.iterdir()}
    bags = [
        Bag(arrays[f"bag-{m}-flat"], arrays[f"bag-{m}-offsets"]) for m in range(sum(n.startswith("bag-") for n in arrays) // 2)
    ]
    return EncodedBatch(
        rows=arrays["rows"],
        bags=tuple(bags),
        dense=arrays["dense"],
        wide=Bag(arrays["wide-flat"], arrays["wide-offsets"]),
        labels=arrays["labels"],
        sizes=(0, 0),
        weights=arrays.get("weights"),
    )
