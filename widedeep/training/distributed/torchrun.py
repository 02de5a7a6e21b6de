"""torchrun (https://docs.pytorch.org/docs/stable/elastic/run.html) starts the ranks of one machine and watches them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO

from widedeep.leash import leashed
from widedeep.training.distributed.job import Job


def started(job: Job, output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """This machine's share of the ranks, all of them if there is one machine. Nothing of it outlives this process.

    It lives on a leash, since torchrun itself heeds no signal while it waits for other machines.
    """
    plan = job.plan()
    # Its store is a file: a server for it would listen on all interfaces, and asks nobody who he is.
    command = [sys.executable, "-m", "torch.distributed.run", "--rdzv-backend", "c10d", "--rdzv-conf", "store_type=file"]
    command += ["--rdzv-endpoint", str(job.folder / "rendezvous"), "--rdzv-id", job.folder.name, "--nnodes", str(plan.machines)]
    command += ["--nproc-per-node", str(plan.training.processes // plan.machines), "--max-restarts", str(plan.restarts)]
    command += ["--monitor-interval", "0.1", "--log-dir", str(job.folder / "logs")]
    command += ["--module", "widedeep.training.distributed.rank", str(job.folder)]
    # A store that is shared between starts still holds the addresses of the dead (https://github.com/pytorch/pytorch/issues/135712).
    environment = os.environ | {"OMP_NUM_THREADS": str(plan.training.threads), "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    if plan.machines == 1:
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    return subprocess.Popen(leashed(command), env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)


def stop(torchrun: subprocess.Popen[bytes]) -> None:
    """And with it its ranks, if they run."""
    if torchrun.poll() is None:
        torchrun.terminate()
    torchrun.wait()
