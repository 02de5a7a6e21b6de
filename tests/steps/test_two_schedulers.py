"""Two schedulers with two threads each run the same days of one lane on a real store: no move is lost, everybody gets through."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from widedeep.artifacts import LIVE
from widedeep.publishing import lanes
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import releases
from widedeep.steps import run_span

SCHEDULER = Path(__file__).with_name("scheduler.py")
SCHEDULERS, THREADS = 2, 2
DAYS = (3, 4)


@pytest.mark.timeout(400)
def test_whole_runs_of_the_same_and_successive_days_at_once_make_one_move_for_each_promotion(begun):
    place = begun.place
    for n in (*DAYS, DAYS[-1] + 1):
        begun.deliver(n)
    command = [sys.executable, str(SCHEDULER), str(begun.day(DAYS[0])), str(begun.day(DAYS[-1]))]
    started = [
        subprocess.Popen(command, env=dict(place.environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(SCHEDULERS)
    ]
    ended = [process.communicate(timeout=360) for process in started]
    assert [process.returncode for process in started] == [0] * SCHEDULERS, "\n".join(errors[-3000:] for _, errors in ended)
    runs = [json.loads(line) for out, _ in ended for line in out.splitlines()]
    assert len(runs) == SCHEDULERS * THREADS * len(DAYS)

    outcomes = {str(outcome.span): outcome.result for outcome in lanes.outcomes(place.store, LIVE)}
    assert all(run["result"] == outcomes[run["span"]] == "promoted" for run in runs)
    past = list(moves(place.store, LIVE))
    assert [move.sequence for move in reversed(past)] == list(range(1, len(DAYS) + 2)), "the bootstrap's, and one for each day"
    assert [move.span for move in reversed(past)] == [begun.day(n) for n in (2, *DAYS)]
    assert {release.release_id for release in releases(place.store)} == {move.release_id for move in past}
    # An attempt is late if another run has gone past the day between its look and its move; then it finds the day settled.
    assert all(run["late"] <= 1 for run in runs)
    assert sum(run["late"] for run in runs) < len(runs) - len(DAYS)

    before = champion(place.store, LIVE).release_id
    progress = run_span(place, begun.day(DAYS[-1] + 1))
    assert (progress.result, progress.candidate.parent) == ("promoted", before)
