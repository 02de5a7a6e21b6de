"""Several schedulers on one lane of a real store: no move of the pointer is lost, and everybody gets through."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from widedeep.artifacts import LIVE
from widedeep.publishing.pointer import moves
from widedeep.publishing.s3 import S3Store

PROMOTER = Path(__file__).with_name("promoter.py")
SCHEDULERS, TIMES = 4, 5


def test_each_promotion_of_four_schedulers_at_once_is_one_move_in_the_history(s3_store: S3Store, seaweedfs) -> None:
    command = [sys.executable, str(PROMOTER), s3_store.url, seaweedfs.endpoint]
    environment = os.environ | seaweedfs.environment
    started = [
        subprocess.Popen([*command, str(seed), str(TIMES)], env=environment, stdout=subprocess.PIPE, text=True)
        for seed in range(SCHEDULERS)
    ]
    told = [process.communicate(timeout=120)[0].split() for process in started]

    assert [done for done, _ in told] == [str(TIMES)] * SCHEDULERS
    past = list(moves(s3_store, LIVE))
    assert [move.sequence for move in reversed(past)] == list(range(1, SCHEDULERS * TIMES + 1))
    assert [past.count(move) for move in past] == [1] * len(past)
    for mover in range(SCHEDULERS):
        assert sum(move.moved_by == str(mover) for move in past) == TIMES
    for after, before in pairwise(past):
        assert after.previous == before.release_id
