"""How long a rollback takes beside its dry run, on a lane with a year of champions.

    python -m benchmarks.rollback            # 365 days to take back, five rounds; some minutes
    python -m benchmarks.rollback --quick    # 10 days, for development; writes no file

A real release of the sample is the lane's first champion. On it stands a champion for each later day: a small release with its
rows, outcome and move, as a daily run leaves them. Each round plans the rollback to the first one, rehearses that in a process of
its own, and moves the pointer; then the last one is made champion again. Writes `benchmarks/results/rollback.json`.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pyarrow as pa

from benchmarks.machine import RESULTS, described
from benchmarks.transfer import verdict
from widedeep.artifacts import LIVE, Manifest, Outcome, Part
from widedeep.local.alone import store_alone
from widedeep.local.stack import HISTORY_SPANS
from widedeep.publishing import lanes, moves
from widedeep.publishing.pointer import champion
from widedeep.publishing.releases import load_manifest, publish, stage
from widedeep.publishing.snapshots import save_snapshot
from widedeep.steps import Workplace, bootstrap, deliver_sample, open_workplace, plan_rollback, rehearse_rollback, roll_back

T = TypeVar("T")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollback")
    parser.add_argument("--quick", action="store_true", help="10 days, for development; writes no file")
    quick = parser.parse_args(arguments).quick
    days, rounds = (10, 2) if quick else (365, 5)
    with (
        TemporaryDirectory(prefix="widedeep-bench-") as folder,
        store_alone(Path(folder), date(2026, 11, 23)) as settings,
        open_workplace(settings, actor="benchmark") as place,
    ):
        first = _bootstrapped(place, date.fromisoformat(settings["WIDEDEEP_HISTORY_START"]))
        last = first
        for _ in range(days):
            last = _next_day(place, last)
        runs = [_round(place, first, last) for _ in range(rounds)]
    medians = {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}
    result = {"machine": described(), "days_taken_back": days, "median": medians, "rounds": runs}
    if not quick:
        (RESULTS / "rollback.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def _bootstrapped(place: Workplace, first: date) -> Manifest:
    last = first + timedelta(days=HISTORY_SPANS - 1)
    deliver_sample(place, first, last)
    bootstrap(place, first, last)
    return _champion(place)


def _champion(place: Workplace) -> Manifest:
    pointer = champion(place.store, LIVE)
    assert pointer, "no champion"
    return load_manifest(place.store, pointer.release_id, published=True)


def _next_day(place: Workplace, parent: Manifest) -> Manifest:
    """A champion of the day after, with one row."""
    span = parent.lineage.span + timedelta(days=1)
    snapshot = save_snapshot(place.store, span, pa.table({"n": [span.toordinal()]}), place.folder())
    learnt = tuple(Part(span=span, version=1, digest=snapshot.digest, part=part) for part in ("train", "holdout"))
    lineage = parent.lineage.model_copy(update={"span": span, "parent": parent.release_id, "learnt": learnt})
    payload = place.folder()
    (payload / "weights").write_bytes(b"weights")
    candidate = stage(place.store, payload, lineage, (*parent.inherited, *parent.lineage.learnt))
    compared = {"champion": parent.release_id, "champion_manifest_sha256": parent.content_digest()}
    passed = verdict(candidate).model_copy(update=compared)
    moves.promote(place.store, LIVE, publish(place.store, candidate, passed), passed, place.because("a benchmark"))
    outcome = Outcome(
        lane=LIVE,
        span=span,
        result="promoted",
        reasons=("a benchmark",),
        snapshot=snapshot,
        release_id=candidate.release_id,
        learnt=learnt,
        settled_at=place.clock(),
        settled_by=place.actor,
    )
    lanes.settle(place.store, outcome)
    return load_manifest(place.store, candidate.release_id, published=True)


def _round(place: Workplace, first: Manifest, last: Manifest) -> dict[str, float]:
    plan, plan_s = _timed(lambda: plan_rollback(place, LIVE, first.release_id))
    _, dry_run_s = _timed(lambda: rehearse_rollback(place, plan))
    pointer, move_s = _timed(lambda: roll_back(place, plan, "a benchmark"))
    assert pointer.release_id == first.release_id, "another release is champion"
    moves.rollback(place.store, LIVE, last.release_id, pointer.sequence, place.because("the next round"))
    return {"plan_s": plan_s, "dry_run_s": dry_run_s, "move_s": move_s, "beside_the_dry_run_s": round(plan_s + move_s, 2)}


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    answer = call()
    return answer, round(time.perf_counter() - began, 2)


if __name__ == "__main__":
    main(sys.argv[1:])
