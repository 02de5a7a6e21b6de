"""Generated walks: what is asked for, what breaks, what happens meanwhile, how it is mended; then whether the chain is right."""

import random
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import date
from itertools import product
from typing import Any, Literal, get_args

from benchmarks.walks.stack import CONFLICT, ENDED, RETRAIN, Chain, Walk, restore
from widedeep.artifacts import LIVE
from widedeep.publishing import layout
from widedeep.publishing.pointer import champion

DAYS = 4
FAST_S = 90
"""A run that can't go on has to say so within a minute; the rest is two busy cores."""

Target = Literal["live", "own lane"]
Mend = Literal["oldest first", "latest first", "all at once", "failed runs again"]
Meanwhile = Literal[
    "nothing", "pause", "kill scheduler", "kill triggerer", "kill task", "kill store", "manual run", "second backfill"
]


@dataclass(frozen=True)
class Combination:
    """`at_once`: the form's `max_active_runs`. `new`: the days have no runs yet. `fails`, `step`: the day and where it breaks."""

    number: int
    target: Target
    at_once: int
    new: bool
    fails: int | None
    step: Literal["validate", "train"]
    mend: Mend
    meanwhile: Meanwhile
    after_s: float


@dataclass
class Told:
    """What a walk has seen: seconds, how often a person had to clear, what the runs that could not go on said."""

    combination: Combination
    seconds: float = 0
    clears: int = 0
    said: tuple[str, ...] = ()
    right: bool = False


def generated(count: int, seed: int) -> Iterator[Combination]:
    """Each value of each dimension beside many of the others: a dimension is shuffled for itself, used up, and shuffled again."""
    draw = random.Random(seed)

    def endless(values: tuple[Any, ...]) -> Iterator[Any]:
        while True:
            yield from draw.sample(values, len(values))

    targets = endless(tuple(product(get_args(Target), (1, 2, 4, 10, 16))))
    fails, mends = endless((None, *range(1, DAYS + 1))), endless(get_args(Mend))
    steps = endless(("validate", "train"))
    meanwhile, new = endless(get_args(Meanwhile)), endless((False, True))
    for number in range(1, count + 1):
        target, at_once = next(targets)
        after_s = round(draw.uniform(2, 25), 1)
        yield Combination(number, target, at_once, next(new), next(fails), next(steps), next(mends), next(meanwhile), after_s)


def walked(walk: Walk, combination: Combination, learnt: dict[str, bytes], done: dict[str, bytes], wanted: Chain) -> Told:
    """Go through one. `learnt`, `done`: the store after the history, and after the daily spans, whose chain is `wanted`.

    Raises:
        AssertionError: it got stuck, ended too late, or made another chain.
    """
    began, told = time.monotonic(), Told(combination)
    days = [walk.day(number) for number in range(1, DAYS + 1)]
    broken = days[combination.fails - 1] if combination.fails else None
    if broken and wanted[broken][0] == "no data":  # a day that has left nothing breaks nowhere
        broken = days[0]
    with walk.store() as store:
        restore(store, learnt if combination.target == "live" else done)
        before = store.get(layout.champion(LIVE))
    if combination.new:
        walk.pause(True)  # else the scheduler makes runs of these days before the backfill does
        forget(walk, days)
    with ExitStack() as mended:
        if broken:
            mended.enter_context(walk.damaged(evidence(done, wanted, broken, combination.step)))
        asked = walk.backfill(days[0], days[-1], max_active_runs=combination.at_once, reprocess_behavior="completed")
        walk.pause(False)
        time.sleep(combination.after_s)
        happen(walk, combination, days)
        runs = walk.quiet(*days)
        if broken:
            told.said = refused(walk, runs, broken)
    while failed := [run for run in walk.quiet(*days) if run["state"] == "failed"]:
        told.clears += 1
        assert told.clears <= DAYS + 2, walk.told()
        clear(walk, combination.mend, days, failed)
    assert walk.until(lambda: walk.backfill_state(asked)["completed_at"], "the backfill counts as completed", 120)
    right(walk, combination, days, wanted, before.data if before else b"")
    told.right, told.seconds = True, round(time.monotonic() - began, 1)
    return told


def evidence(done: dict[str, bytes], wanted: Chain, day: date, step: Literal["validate", "train"]) -> dict[str, bytes]:
    """What a step of that day reads if it is there, and so fails on if it is damaged: findings, or the candidate's manifest."""
    found = [key for key in done if key.startswith(layout.validations(day)) and layout.is_findings(key)]
    release = str(wanted[day][1])
    manifests = [key for key in (layout.manifest(release), layout.candidate(release)) if key in done]
    keys = manifests if step == "train" and manifests else found
    assert keys, f"{day} has left nothing to damage"
    return {key: done[key] for key in keys}


def forget(walk: Walk, days: list[date]) -> None:
    """Delete the runs of these days in Airflow."""
    for run in walk.runs(*days):
        assert walk.api.call("DELETE", f"dags/{RETRAIN}/dagRuns/{run['dag_run_id']}")[0] in {200, 204}


def happen(walk: Walk, combination: Combination, days: list[date]) -> None:
    """What comes between."""
    match combination.meanwhile:
        case "pause":
            walk.pause(True)
            time.sleep(20)
            walk.pause(False)
        case "kill scheduler" | "kill triggerer":
            walk.kill(combination.meanwhile.removeprefix("kill "))
        case "kill store":
            walk.kill_store()
        case "kill task":
            walk.until(lambda: _killed(walk, days) or all(run["state"] in ENDED for run in walk.runs(*days)), "a task runs")
        case "manual run":
            span = days[combination.number % DAYS]
            conf = {"span": span.isoformat()} | ({"lane": LIVE} if combination.target == "live" else {})
            walk.api.trigger(RETRAIN, f"manual-{combination.number}", conf)
        case "second backfill":
            status, _ = walk.ask_for_backfill(days[0], days[-1], reprocess_behavior="completed")
            ended = all(run["state"] in ENDED for run in walk.runs(*days))
            assert status == CONFLICT or ended, status


def _killed(walk: Walk, days: list[date]) -> bool:
    """A day in training, else any task that works."""
    running = [(run, name) for run in walk.runs(*days) for name, task in walk.tasks(run).items() if task["state"] == "running"]
    return any(walk.kill_task(run, name) for run, name in sorted(running, key=lambda found: found[1] != "train"))


def refused(walk: Walk, runs: list[dict[str, Any]], broken: date) -> tuple[str, ...]:
    """What the broken day's run and those behind it say; they must have failed, and without a retry where a span is unsettled."""
    said = []
    for run in runs:
        day = date.fromisoformat(run["logical_date"][:10])
        if day < broken:
            continue
        assert run["state"] == "failed", walk.told()
        if day > broken:
            said.append(why_it_waits_no_more(walk, run, broken))
    return tuple(said)


def why_it_waits_no_more(walk: Walk, run: dict[str, Any], broken: date) -> str:
    """The sentence of a run that waited for the broken day."""
    log = walk.log(run, "wait_turn")
    found = re.search(rf"span {broken} of lane \S+ is unsettled: .*? clear them, too\.", log)
    assert found, f"{run['dag_run_id']} names no span to clear:\n{log}"
    return found[0]


def clear(walk: Walk, mend: Mend, days: list[date], failed: list[dict[str, Any]]) -> None:
    """Clear runs as different people would."""
    match mend:
        case "oldest first":
            for run in failed:
                walk.clear(run["dag_run_id"])
        case "latest first":
            for run in reversed(failed):
                walk.clear(run["dag_run_id"])
                time.sleep(2)
        case "all at once":
            for run in walk.runs(*days):
                walk.clear(run["dag_run_id"])
        case "failed runs again":
            walk.backfill(days[0], days[-1], reprocess_behavior="failed")


def right(walk: Walk, combination: Combination, days: list[date], wanted: Chain, before: bytes) -> None:
    """One result each, those that the undisturbed chain has; outside of live nothing of live has moved."""
    if combination.target == "live":
        assert walk.chain() == wanted, (walk.chain(), wanted, walk.told())
        assert walk.payloads(wanted) == walk.payloads(walk.chain())
        return
    found: Chain = {}
    for lane in {walk.lane_of(run) for run in walk.runs(*days)}:
        assert lane != LIVE
        found |= walk.chain(lane)
    assert found == {day: wanted[day] for day in days}, (found, wanted, walk.told())
    with walk.store() as store:
        now, pointer = store.get(layout.champion(LIVE)), champion(store, LIVE)
        assert pointer is not None
        assert now is not None
        assert now.data == before
    assert walk.chain() == wanted


def as_json(told: Told) -> dict[str, Any]:
    return asdict(replace(told))
