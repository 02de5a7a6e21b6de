"""On which machines the ranks run. More than one share a folder, by which they find each other and each other's work."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir

from pydantic import ValidationError

from widedeep.data.contract import Training
from widedeep.errors import UsageError
from widedeep.training.distributed.job import LOCK, Job
from widedeep.training.distributed.torchrun import started, stop

log = logging.getLogger(__name__)

PREFIX = "widedeep-ranks-"
LOOK_S = 0.5
NEW_S = 60.0
"""A folder as young as that may be one whose coordinator is about to lock it."""


@dataclass(frozen=True)
class Machines:
    """`count` machines, each of which runs as many of the processes; `shared` is a folder that all of them see.

    One machine needs none but its folder for temporary files.
    """

    count: int = 1
    shared: Path | None = None

    @property
    def folder(self) -> Path:
        return self.shared or Path(gettempdir())

    def check(self, training: Training) -> None:
        """Raise UsageError if they can't share the processes evenly, or lack the folder."""
        if training.engine == "local":
            return
        if training.processes % self.count:
            raise UsageError(
                f"training.processes is {training.processes}, and {self.count} machines (WIDEDEEP_TRAINING_MACHINES) can't share "
                "them evenly. Make it a multiple."
            )
        if self.count > 1 and self.shared is None:
            raise UsageError(
                f"{self.count} machines (WIDEDEEP_TRAINING_MACHINES) share a folder, and none is set. Set "
                "WIDEDEEP_TRAINING_FOLDER to one that all of them see, here and where `widedeep join` runs."
            )
        if not self.folder.is_dir():
            raise UsageError(f"WIDEDEEP_TRAINING_FOLDER is {self.shared}, and there is no such folder here. Mount or make it.")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """With several machines, one training at a time: half of them could join one, half another."""
        if self.count == 1:
            yield
            return
        with (self.folder / "turn.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("another training has the machines that share %s; waiting for it to end", self.folder)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


ALONE = Machines()


def join(folder: Path, stopped: Callable[[], bool]) -> None:
    """Run this machine's share of the processes of each training that appears in the folder, until `stopped()`."""
    log.info("waiting in %s for a training to join", folder)
    done = set[str]()
    while not stopped():
        for job in _jobs(folder):
            if job.folder.name not in done and (job.folder / "job.json").exists() and not job.abandoned():
                _take_part(job, stopped)
                done.add(job.folder.name)
                break
        time.sleep(LOOK_S)


def remove_abandoned(folder: Path) -> None:
    """What coordinators of ours that were killed have left there."""
    for job in _jobs(folder):
        with suppress(OSError):
            told = (job.folder / LOCK).stat()
            if told.st_uid == os.getuid() and time.time() - told.st_mtime > NEW_S and job.abandoned():
                rmtree(job.folder, ignore_errors=True)


def _jobs(folder: Path) -> list[Job]:
    return [Job(path) for path in sorted(folder.glob(f"{PREFIX}*"))]


def _take_part(job: Job, stopped: Callable[[], bool]) -> None:
    """Until it is over. Where torchrun gives up here it is started again, as long as somebody waits for the result."""
    try:
        plan = job.plan()
    except (OSError, ValidationError) as error:
        log.warning("%s can't be joined: %s", job.folder.name, error)
        return
    processes = plan.training.processes
    log.info("%s: %d of %d processes run here", job.folder.name, processes // plan.machines, processes)
    while not (stopped() or job.abandoned()):
        torchrun = started(job, None)
        try:
            while torchrun.poll() is None and not (stopped() or job.abandoned()):
                time.sleep(LOOK_S)
        finally:
            stop(torchrun)
        if torchrun.returncode == 0:
            break
        time.sleep(LOOK_S)
    log.info("%s: over", job.folder.name)
