"""One of the processes that train together; torchrun starts it: `python -m widedeep.training.distributed.rank FOLDER`."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from socket import gethostname

import torch
import torch.distributed as dist

from widedeep.errors import UsageError
from widedeep.features.encoding import EncodedBatch
from widedeep.model.determinism import deterministic
from widedeep.training.distributed.job import Job, Plan
from widedeep.training.distributed.sharded import sharded_parts
from widedeep.training.parts import LearningPart, learn_batch
from widedeep.training.profile import numeric_profile, source_digest

REPORT_BATCHES = 16
SILENCE = timedelta(minutes=10)
"""How long a rank waits for another one in the middle of a batch."""


def main() -> None:
    warnings.filterwarnings("ignore", category=FutureWarning, module="torchrec")
    job = Job(Path(sys.argv[1]))
    # For each start of all ranks torchrun agrees on a free port with all machines: here it names a file that nobody has used.
    store = f"file://{job.folder}/store-{os.environ['MASTER_PORT']}"
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world, timeout=SILENCE)
    try:
        with deterministic(job.plan().training.threads), torch.no_grad():
            learn(job)
    except InterruptedError:
        pass  # nobody waits for the result: torchrun is not to start anybody again
    finally:
        dist.destroy_process_group()


def learn(job: Job) -> None:
    """Learn chunk after chunk, from the last checkpoint on, and leave a checkpoint of all."""
    rank, world, cpu = dist.get_rank(), dist.get_world_size(), torch.device("cpu")
    plan = job.plan()
    training = plan.training
    require_equal(plan)
    number = job.checkpoint()
    saved = number or None
    parts = sharded_parts(job.start() | (job.shard(number, rank) if number else {}), plan.tables, training)
    if rank == 0:
        job.report({"begins": number})
    saved_at = time.monotonic()
    while (chunk := job.chunk(number, job.abandoned)) is not None:
        losses = torch.zeros(-(-len(chunk) // training.batch_size), dtype=torch.float64)
        for batch, start in enumerate(range(0, len(chunk), training.batch_size)):
            stop = min(start + training.batch_size, len(chunk))
            own = share(chunk, start, stop, rank, world)
            losses[batch] = learn_batch(parts, own, stop - start, training, cpu)
            if batch % REPORT_BATCHES == REPORT_BATCHES - 1 or stop == len(chunk):
                first = batch - batch % REPORT_BATCHES
                told = losses[first : batch + 1].clone()
                dist.all_reduce(told)
                if job.abandoned():
                    raise InterruptedError
                if rank == 0:
                    job.report({"chunk": number, "batch": first, "losses": told.tolist()})
        number += 1
        # Rank 0 decides for all. When it was saved changes nothing in the model.
        due = torch.tensor([time.monotonic() - saved_at > plan.checkpoint_s])
        dist.broadcast(due, 0)
        if due:
            save(job, number, rank, parts)
            saved, saved_at = number, time.monotonic()
    if saved != number:
        save(job, number, rank, parts)


def require_equal(plan: Plan) -> None:
    """Raise UsageError if this rank computes with something else than the coordinator: other bytes would get the same id."""
    told, here = plan.profile.model_dump() | {"widedeep": plan.sources}, numeric_profile(plan.training).model_dump()
    other = {name: (had, told[name]) for name, had in (here | {"widedeep": source_digest()}).items() if had != told[name]}
    if other:
        differences = ", ".join(f"{name} is {had}, wanted {wanted}" for name, (had, wanted) in other.items())
        raise UsageError(f"rank {dist.get_rank()} on {gethostname()} can't join: {differences}. Machines have to be alike.")


def share(chunk: EncodedBatch, start: int, stop: int, rank: int, world: int) -> EncodedBatch:
    """The rows of the batch [start, stop) that are this rank's; none, if there are fewer rows than ranks."""
    rows = stop - start
    return chunk.slice(start + rows * rank // world, start + rows * (rank + 1) // world)


def save(job: Job, chunks: int, rank: int, parts: Sequence[LearningPart]) -> None:
    job.save_shard(chunks, rank, {name: tensor for part in parts for name, tensor in part.tensors().items()})
    dist.barrier()
    if rank == 0:
        job.commit(chunks)
    dist.barrier()


if __name__ == "__main__":
    main()
