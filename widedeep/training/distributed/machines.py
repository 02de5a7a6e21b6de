"""On which machines the ranks run. More than one share a folder, by which they find each other and each other's work."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir
from time import sleep

from widedeep.errors import UsageError
from widedeep.training.distributed.job import Job
from widedeep.training.distributed.torchrun import started, stop

log = logging.getLogger(__name__)

PREFIX = "widedeep-ranks-"
LOOK_S = 0.5


@dataclass(frozen=True)
class Machines:
    """`count` machines, each of which runs as many of the processes; `folder` is one that all of them see.

    One machine needs none but its folder for temporary files.
    """

    count: int = 1
    shared: Path | None = None

    @property
    def folder(self) -> Path:
        return self.shared or Path(gettempdir())

    def require_even(self, processes: int) -> None:
        """Raise UsageError if they can't share the processes evenly, or more than one have no folder."""
        if processes % self.count:
            raise UsageError(
                f"training.processes is {processes}, and {self.count} machines (WIDEDEEP_TRAINING_MACHINES) can't share them "
                "evenly. Make it a multiple."
            )
        if self.count > 1 and self.shared is None:
            raise UsageError(
                f"{self.count} machines (WIDEDEEP_TRAINING_MACHINES) share a folder, and none is set. Set "
                "WIDEDEEP_TRAINING_FOLDER to one that all of them see, here and where `widedeep join` runs."
            )


ALONE = Machines()


def join(machines: Machines, stopped: Callable[[], bool]) -> None:
    """Run this machine's share of the processes of each training whose folder appears, until `stopped()`."""
    log.info("waiting in %s for a training to join, as one of %d machines", machines.folder, machines.count)
    done = set[str]()
    while not stopped():
        coming = [job for job in _jobs(machines.folder) if job.folder.name not in done and not job.abandoned()]
        for job in coming:
            _take_part(job, machines, stopped)
            done.add(job.folder.name)
        sleep(LOOK_S)


def remove_abandoned(folder: Path) -> None:
    """What coordinators that were killed have left there."""
    for job in _jobs(folder):
        if job.abandoned():
            rmtree(job.folder, ignore_errors=True)


def _jobs(folder: Path) -> list[Job]:
    """Those that are ours: other users' are not even looked into."""
    own = [path for path in sorted(folder.glob(f"{PREFIX}*")) if path.stat().st_uid == os.getuid()]
    return [Job(path) for path in own if (path / "job.json").exists()]


def _take_part(job: Job, machines: Machines, stopped: Callable[[], bool]) -> None:
    """Until it is over. Where torchrun gives up here it is started again, as long as somebody waits for the result."""
    processes = job.plan().training.processes
    log.info("%s: %d of %d processes run here", job.folder.name, processes // machines.count, processes)
    while not (stopped() or job.abandoned()):
        torchrun = started(job, machines.count, None)
        try:
            while torchrun.poll() is None and not stopped():
                sleep(LOOK_S)
        finally:
            stop(torchrun)
        if torchrun.returncode == 0:
            log.info("%s: done", job.folder.name)
            return
