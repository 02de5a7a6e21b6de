"""The coordinator's side: hand out chunks, hear of batches, put the shards together."""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import torch

from widedeep.data.contract import Training
from widedeep.errors import TrainingError
from widedeep.model.bundle import Bundle, Tensors
from widedeep.training.distributed.job import ACCUMULATOR, POLL_S, SHARD, TABLE, TABLE_OF, Job, Plan
from widedeep.training.distributed.machines import ALONE, PREFIX, Machines, remove_abandoned
from widedeep.training.distributed.torchrun import started, stop
from widedeep.training.parts import STATES, WIDE
from widedeep.training.profile import torchrec_engine

if TYPE_CHECKING:
    from widedeep.training.loop import Chunk, OnBatch

log = logging.getLogger(__name__)

MATRICES = {TABLE: "embedding", ACCUMULATOR: "embedding.accumulator"}
ERROR = re.compile(r"^\[rank\d+\]: [\w.]+(Error|Exception): |Signal \d+ \(SIG(?!TERM)")


def learn_in_processes(
    bundle: Bundle,
    chunks: Iterable[Chunk],
    training: Training,
    on_batch: OnBatch,
    machines: Machines = ALONE,
    **plan: Any,
) -> Tensors:
    """All tensors of the bundle after `training.processes` ranks have learnt the chunks. `plan`: what a `Plan` has
    besides.

    Raises:
        UsageError: TorchRec is not installed, or the machines can't share the processes evenly.
        TrainingError: ranks died more often than they are started again.
    """
    torchrec_engine(training.processes)
    machines.require_even(training.processes)
    tables = tuple(bundle.specification.features.keyed)
    remove_abandoned(machines.folder)
    with TemporaryDirectory(prefix=PREFIX, dir=machines.folder) as folder:
        job = Job(Path(folder))
        with job.coordinated():
            job.begin(Plan(training=training, tables=tables, **plan), _start(bundle, tables))
            if machines.count > 1:
                log.info("waiting in %s for %d machines where `widedeep join` runs", machines.folder, machines.count - 1)
            with _ranks(job, machines) as ranks:
                count = 0
                for count, chunk in enumerate(chunks, start=1):
                    job.put_chunk(count - 1, chunk.encoded.take(chunk.order()))
                    ranks.follow(count - 1, len(chunk.encoded), training.batch_size, on_batch)
                job.end(count)
                ranks.wait()
        shards = [job.shard(count, rank) for rank in range(training.processes)]
    return gathered(bundle, tables, shards)


def gathered(bundle: Bundle, tables: Sequence[str], shards: Sequence[Mapping[str, torch.Tensor]]) -> Tensors:
    """The tensors of a bundle from what each rank owned; the given one's embeddings are overwritten."""
    whole: dict[str, torch.Tensor] = {**bundle.weights, **(bundle.optimizer or {})}
    rows = {table: torch.nonzero(own).squeeze(1) for table, own in _rows_of(bundle, tables)}
    for shard in shards:
        for key, tensor in shard.items():
            kind, _, table = key.partition("/")
            if kind in MATRICES:
                matrix = whole[MATRICES[kind]]
                matrix[rows[table]] = tensor[:, : matrix.shape[1]]
            elif not key.startswith(SHARD):
                whole[key] = tensor
    if WIDE[0] in whole:
        sizes = [len(whole[name]) for name in WIDE]
        for state in STATES:
            joined = torch.empty(sum(sizes))
            for rank, shard in enumerate(shards):
                joined[rank :: len(shards)] = shard[SHARD + state]
            whole |= {name + state: part.clone() for name, part in zip(WIDE, joined.split_with_sizes(sizes), strict=True)}
    return whole


def _start(bundle: Bundle, tables: Sequence[str]) -> Tensors:
    """What ranks start from: the bundle's tensors, and which table each row of the embedding matrix belongs to."""
    tensors = {name: tensor.contiguous() for name, tensor in {**bundle.weights, **(bundle.optimizer or {})}.items()}
    table_of = torch.full((len(bundle.vocabularies.values),), -1, dtype=torch.int32)
    for number, (_, own) in enumerate(_rows_of(bundle, tables)):
        table_of[own] = number
    return tensors | {TABLE_OF: table_of}


def _rows_of(bundle: Bundle, tables: Sequence[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """(V,) for each feature: whether a row of the embedding matrix is a value of it."""
    features = bundle.vocabularies.values.rows["feature"]
    for table in tables:
        yield table, torch.from_numpy(pc.fill_null(pc.equal(features, table), False).to_numpy())


class Ranks:
    """torchrun and the processes that it watches."""

    def __init__(self, job: Job, torchrun: subprocess.Popen[bytes], log_file: Path) -> None:
        self._torchrun, self._log, self._plan = torchrun, log_file, job.plan()
        self._told, self._began = job.heard(), False

    def follow(self, chunk: int, rows: int, batch_size: int, on_batch: OnBatch) -> None:
        """Hear of each batch of the chunk, once, until all its rows are learnt.

        Raises:
            TrainingError: ranks died too often.
        """
        heard = 0
        while heard * batch_size < rows:
            told = self._next()
            # After a restart ranks tell again what they learn again.
            if told["chunk"] != chunk or told["batch"] < heard:
                continue
            for loss in told["losses"]:
                on_batch(min(batch_size, rows - heard * batch_size), loss)
                heard += 1

    def wait(self) -> None:
        """Until all have saved what they own. Raises as `follow`."""
        if self._torchrun.wait():
            raise self._failed()

    def _next(self) -> dict[str, Any]:
        for told in self._told:
            if told is None:
                if self._torchrun.poll() is not None:
                    raise self._failed()
                sleep(POLL_S)
            elif "begins" not in told:
                return told
            elif self._began:
                log.warning("a process died; all %d go on from chunk %d", self._plan.training.processes, told["begins"])
            else:
                self._began = True
        raise AssertionError("reports never end")

    def _failed(self) -> TrainingError:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        log.error("torchrun and its processes said at last:\n%s", "\n".join(lines[-80:]))
        cause = next((line for line in reversed(lines) if ERROR.search(line)), "see the log")
        return TrainingError(
            f"the {self._plan.training.processes} processes that train together (training.engine torchrec) died "
            f"{self._plan.restarts + 1} times, at last: "
            f"{cause.strip():.300}. Nothing was staged; try again, or with fewer processes if memory ran out."
        )


@contextmanager
def _ranks(job: Job, machines: Machines) -> Iterator[Ranks]:
    """Started, and stopped if anything goes wrong here."""
    log_file = job.folder / "ranks.log"
    with log_file.open("wb") as output:
        torchrun = started(job, machines.count, output)
    try:
        yield Ranks(job, torchrun, log_file)
    finally:
        stop(torchrun)
