"""One of several schedulers: two threads run whole spans on one lane, each as soon as the span before is settled. A process.

    python scheduler.py FIRST LAST        settings from the environment

Prints a line for each run as JSON: the span, how it was settled, and how many attempts came too late.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from widedeep.artifacts import LIVE, Candidate, DryRunReport, Manifest, Progress
from widedeep.errors import OrderError, StaleError
from widedeep.publishing import lanes
from widedeep.publishing.keys import Trust
from widedeep.serving.rehearsal.examining import examine
from widedeep.steps import Workplace, judgement, open_workplace, run_span

THREADS, ATTEMPTS, PATIENCE_S = 2, 5, 240


def rehearsed_here(place: Workplace, candidate: Candidate, _champion: Manifest | None) -> DryRunReport:
    """In this process: its own is tested elsewhere."""
    with TemporaryDirectory() as folder:
        arguments = (candidate.release_id, candidate.manifest_sha256, Path(folder), Trust({}, required=False))
        return examine(place.store, place.contract, *arguments).report


def in_turn(place: Workplace, span: date) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while lanes.unsettled_before(place.store, LIVE, span):
        if time.monotonic() > deadline:
            raise TimeoutError(f"span {span}: its turn has not come")
        time.sleep(0.05)


def attempts(place: Workplace, span: date) -> tuple[Progress, int]:
    for late in range(ATTEMPTS):
        try:
            return run_span(place, span), late
        except (StaleError, OrderError) as error:
            sys.stderr.write(f"{span}: {error}\n")
    raise TimeoutError(f"span {span}: {ATTEMPTS} attempts came too late")


def runs(place: Workplace, spans: list[date]) -> Iterator[dict[str, Any]]:
    for span in spans:
        in_turn(place, span)
        progress, late = attempts(place, span)
        yield {"span": str(span), "result": progress.result, "late": late}


def main(first: str, last: str) -> None:
    judgement._rehearse = rehearsed_here
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    spans = [begin + timedelta(days=n) for n in range((end - begin).days + 1)]
    with open_workplace(os.environ, actor="scheduler") as place, ThreadPoolExecutor(THREADS) as pool:
        own = [replace(place, actor=f"{os.getpid()}-{n}") for n in range(THREADS)]
        for told in pool.map(lambda place: list(runs(place, spans)), own):
            for line in told:
                sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
