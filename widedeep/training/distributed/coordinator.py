"""The coordinator's side: hand out chunks, hear of batches, put the shards together."""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from time import monotonic, sleep
from typing import IO, TYPE_CHECKING, Any

import pyarrow.compute as pc
import torch

from widedeep.data.contract import Training
from widedeep.errors import TrainingError
from widedeep.model.bundle import Bundle, Tensors
from widedeep.training.distributed.job import ACCUMULATOR, POLL_S, SHARD, TABLE, TABLE_OF, Job, Plan
from widedeep.training.distributed.machines import ALONE, PREFIX, Machines, remove_abandoned
from widedeep.training.distributed.torchrun import started, stop
from widedeep.training.parts import STATES, WIDE
from widedeep.training.profile import numeric_profile, source_digest

if TYPE_CHECKING:
    from widedeep.training.loop import Chunk, OnBatch

log = logging.getLogger(__name__)

MATRICES = {TABLE: "embedding", ACCUMULATOR: "embedding.accumulator"}
ERROR = re.compile(r"^\[rank\d+\]: [\w.]+(Error|Exception): |^[\w.]*Rendezvous\w*Error|Signal \d+ \(SIG(?!TERM)|^[\w.]+Error: ")
ECHO = re.compile(r"Connection (closed|reset) by peer|ChildFailedError|gloo")
SILENT_S = 1200.0
"""More than ranks wait for each other, and machines for machines."""


def learn_in_processes(
    bundle: Bundle,
    chunks: Iterable[Chunk],
    training: Training,
    on_batch: OnBatch,
    machines: Machines = ALONE,
    **plan: Any,
) -> Tensors:
    """All tensors of the bundle after `training.processes` ranks have learnt the chunks. `plan`: what a `Plan` has besides.

    Raises:
        UsageError: TorchRec is not installed, or the machines can't share the processes evenly.
        TrainingError: ranks died more often than they are started again, or nobody was heard of for long.
    """
    machines.check(training)
    tables = tuple(bundle.specification.features.keyed)
    begun = {"training": training, "tables": tables, "machines": machines.count}
    equal = {"profile": numeric_profile(training), "sources": source_digest()}
    remove_abandoned(machines.folder)
    with machines.turn(), TemporaryDirectory(prefix=PREFIX, dir=machines.folder, ignore_cleanup_errors=True) as folder:
        job = Job(Path(folder))
        with job.coordinated():
            job.begin(Plan(**begun, **equal, **plan), _start(bundle, tables))
            if machines.count > 1:
                log.info("waiting in %s for %d machines where `widedeep join` runs", machines.folder, machines.count - 1)
            with _ranks(job) as ranks:
                rows: list[int] = []
                for chunk in chunks:
                    job.put_chunk(len(rows), chunk.encoded.take(chunk.order()))
                    rows.append(len(chunk.encoded))
                    # One chunk lies ready while the one before it is learnt.
                    if len(rows) > 1:
                        ranks.follow(len(rows) - 2, rows[-2], training.batch_size, on_batch)
                job.end(len(rows))
                if rows:
                    ranks.follow(len(rows) - 1, rows[-1], training.batch_size, on_batch)
                ranks.wait()
        shards = [job.shard(len(rows), rank) for rank in range(training.processes)]
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

    def __init__(self, job: Job, torchrun: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        self._torchrun, self._output, self._plan = torchrun, output, job.plan()
        self._told, self._began = job.heard(), False

    def follow(self, chunk: int, rows: int, batch_size: int, on_batch: OnBatch) -> None:
        """Hear of each batch of the chunk, once, until all its rows are learnt.

        Raises:
            TrainingError: ranks died too often, or are silent.
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
        since = monotonic()
        for told in self._told:
            if told is None:
                if self._torchrun.poll() is not None or monotonic() - since > SILENT_S:
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
        self._output.seek(0)
        lines = [line for line in self._output.read().decode(errors="replace").splitlines() if line.strip()]
        log.error("torchrun and its processes said at last:\n%s", "\n".join(lines[-80:]))
        causes = [line.strip() for line in lines if ERROR.search(line)]
        # Those who hear of another one's death die of it, too.
        cause = next((line for line in reversed(causes) if not ECHO.search(line)), causes[-1] if causes else "no reason was told")
        ended = (
            "were silent for too long"
            if self._torchrun.poll() is None
            else f"ended, after {self._plan.restarts} restarts at most"
        )
        others = self._plan.machines - 1
        hint = f" Does `widedeep join` run on {others} other machines, in the same folder?" if others and not self._began else ""
        return TrainingError(
            f"the {self._plan.training.processes} processes that train together (training.engine torchrec) {ended}: "
            f"{cause:.400}.{hint} Nothing was staged; the log above has more. Where one was killed, memory may have run out."
        )


@contextmanager
def _ranks(job: Job) -> Iterator[Ranks]:
    """Started, and stopped if anything goes wrong here. What they say is kept apart from the folder: its disk may be full."""
    with TemporaryFile() as output:
        torchrun = started(job, output)
        try:
            yield Ranks(job, torchrun, output)
        finally:
            stop(torchrun)
