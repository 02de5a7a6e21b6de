"""Lists of a user by two releases: scored in a process of its own, so that the API server never loads torch.

One at a time: a model may take gigabytes, and the server's memory is Airflow's.
"""

import json
import logging
import os
import re
import subprocess
import sys
from functools import lru_cache
from threading import Lock
from typing import Any

from widedeep_airflow.connection import task_environment

log = logging.getLogger(__name__)

PATIENCE_S = 120
"""A list on the sample takes some ten seconds on two busy cores, most of it imports; a model of 2 GB has to be fetched first."""

MAIN = "from widedeep.cli import main; main()"
USAGE = 2
"""Exit status of the command where the request is at fault: its sentence is for whoever asked."""

IN_LINE_S = 45
"""Who asks while another list is made waits so long: that is three of the sample's."""

one_at_a_time = Lock()


class NoListError(Exception):
    """There is no list, and why, in a sentence for a browser."""


class BusyError(NoListError):
    """Somebody else's list is being made."""


def explained(one: str, other: str, user: str | None) -> dict[str, Any]:
    """What `widedeep explain --json` says. Equal questions have equal answers, since releases never change.

    Raises:
        BusyError: others are under way.
        NoListError: it failed, or took too long.
    """
    if not one_at_a_time.acquire(timeout=IN_LINE_S):
        raise BusyError("Other lists are being made. Try again in a moment.")
    try:
        return _explained(one, other, user)
    finally:
        one_at_a_time.release()


@lru_cache(maxsize=64)
def _explained(one: str, other: str, user: str | None) -> dict[str, Any]:
    whose = ["--user", user] if user is not None else []
    try:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "explain", "--json", *whose, "--", one, other],
            env={**task_environment(os.environ), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            timeout=PATIENCE_S,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NoListError(
            f"The models were not loaded within {PATIENCE_S} s. `widedeep explain` in a shell waits longer."
        ) from error
    if done.returncode:
        log.warning("explain %s %s: %s", one, other, done.stderr[-2000:])
        raise NoListError(
            told(done.stderr) if done.returncode == USAGE else "The models can't be loaded. The server's log says why."
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def told(stderr: str) -> str:
    """The command's own sentence, without addresses."""
    sentence = stderr.rpartition("error:")[2].strip() or "The request can't be answered."
    return re.sub(r"(s3|https?|file)://\S+", "the store", sentence)
