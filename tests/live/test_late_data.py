"""A day is delivered again: its run names who learnt it, the chain is rebuilt, a person approves, live goes on from the lane."""

import io
from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks.walks.__main__ import free_port
from benchmarks.walks.stack import RETRAIN, Walk, put, running
from tests.live.stacks import PROMOTE, REPLAY, answer, await_state, told_in_stack
from widedeep.artifacts import LIVE, ChampionPointer
from widedeep.publishing import lanes
from widedeep.publishing.pointer import champion, moves
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.snapshots import versions

pytestmark = pytest.mark.timeout(1800)

DAYS, CORRECTED = 2, 400
WHY = "ratings were mixed up"


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Two days are settled in live; of the first some ratings are other ones since."""
    with running(tmp_path_factory.mktemp("late"), free_port(), DAYS) as walk:
        walk.pause(False)
        walk.quiet(walk.day(1), walk.day(DAYS))
        correct(walk, walk.day(1))
        yield walk


@pytest.fixture(scope="module")
def lane(walk: Walk) -> str:
    """The lane that a run of `widedeep_replay` has rebuilt."""
    walk.api.trigger(REPLAY, "again", {"from": str(walk.day(1))})
    await_state(walk.api, f"dags/{REPLAY}/dagRuns/again", "success", patience_s=300)
    pushed = walk.api.get(f"dags/{REPLAY}/dagRuns/again/taskInstances/rebuild/xcomEntries/return_value")["value"]
    assert pushed["head"] == str(walk.day(DAYS))
    return str(pushed["lane"])


def test_a_run_of_the_day_names_every_release_that_learnt_it_and_how_to_replay_it(walk: Walk) -> None:
    day, before = walk.day(1), live(walk)
    learnt = [release for result, release in walk.chain().values() if result != "rejected"]

    walk.clear(walk.run_of(day)["dag_run_id"])
    (run,) = walk.quiet(day)
    told = walk.log(run, "ingest")

    assert run["state"] == "success"
    assert f"older version of {day} than v2" in told
    assert [release for release in learnt if str(release) not in told] == []
    assert f'widedeep_replay with {{"from": "{day}"}}, or `widedeep replay --from {day}`' in told
    assert f"`widedeep replay --from {day}`" in told_in_stack(walk.place, "descendants", "--span", str(day))
    assert live(walk) == before


def test_the_days_are_rebuilt_in_a_lane_and_live_stays(walk: Walk, lane: str) -> None:
    before = live(walk)
    rebuilt = walk.chain(lane)

    assert [*rebuilt] == [walk.day(1), walk.day(DAYS)]
    assert before.kind == "promote"
    with walk.store() as store:
        newest = versions(store, walk.day(1))[-1]
        ours = load_manifest(store, champion(store, lane).release_id, published=True)
    assert newest.version == 2
    assert (walk.day(1), newest.digest, "train") in ours.seen()


def test_who_says_no_moves_nothing_and_the_run_is_green(walk: Walk, lane: str) -> None:
    before = live(walk)

    walk.api.trigger(PROMOTE, "no", {"lane": lane, "reason": WHY})
    answer(walk.api, f"dags/{PROMOTE}/dagRuns/no", "approve", lambda option: option == "Reject")
    await_state(walk.api, f"dags/{PROMOTE}/dagRuns/no", "success")

    assert walk.api.get(f"dags/{PROMOTE}/dagRuns/no/taskInstances/promote")["state"] == "skipped"
    assert live(walk) == before


def test_a_person_approves_the_pointer_moves_once_and_the_next_day_goes_on_from_the_lane(walk: Walk, lane: str) -> None:
    before, ours = live(walk), live(walk, lane)

    walk.api.trigger(PROMOTE, "yes", {"lane": lane, "reason": WHY})
    asked = answer(walk.api, f"dags/{PROMOTE}/dagRuns/yes", "approve", lambda option: option == "Approve")
    await_state(walk.api, f"dags/{PROMOTE}/dagRuns/yes", "success")
    after = live(walk)

    for said in (lane, before.release_id, ours.release_id, "difference in log loss", "95% interval", "[open it](http", WHY):
        assert said in asked["body"]
    assert (after.kind, after.release_id, after.sequence) == ("adopt", ours.release_id, before.sequence + 1)
    assert (after.moved_by, after.reason) == (f"airflow:{PROMOTE}/yes, approved by admin", WHY)
    with walk.store() as store:
        assert [move.sequence for move in moves(store, LIVE)][:2] == [after.sequence, before.sequence]
    assert before.release_id in after.withdrawn

    day = walk.day(DAYS + 1)
    told_in_stack(walk.place, "sample", "deliver", "--from", str(day), "--to", str(day))
    walk.api.trigger(RETRAIN, "next", {"span": str(day)})
    await_state(walk.api, f"dags/{RETRAIN}/dagRuns/next", "success")
    outcome = walk.outcome(day)
    assert outcome is not None
    with walk.store() as store:
        assert load_manifest(store, str(outcome.release_id), published=False).lineage.parent == ours.release_id
        assert lanes.outcome(store, lane, day) is None


def correct(walk: Walk, day: date) -> None:
    """Deliver the day again, with other ratings in its first rows."""
    with walk.store() as store:
        (key,) = store.keys(f"landing/{day}/")
        delivered = store.get(key)
        assert delivered is not None
        rows = pq.read_table(io.BytesIO(delivered.data))
        first = pa.array(range(rows.num_rows))
        ratings = pc.if_else(pc.less(first, CORRECTED), pc.subtract(6, rows["rating"]), rows["rating"])
        file = io.BytesIO()
        at = rows.column_names.index("rating")
        pq.write_table(rows.set_column(at, "rating", ratings.cast(rows["rating"].type)), file)
        put(store, key, file.getvalue())


def live(walk: Walk, lane: str = LIVE) -> ChampionPointer:
    with walk.store() as store:
        pointer: Any = champion(store, lane)
        assert isinstance(pointer, ChampionPointer)
        return pointer
