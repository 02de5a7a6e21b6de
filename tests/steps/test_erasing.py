"""One user is forgotten, everywhere at once, and the chain goes on: rows, reports, vocabularies and releases, whatever dies."""

import io
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from widedeep.artifacts import LIVE
from widedeep.data.split import is_held_out
from widedeep.errors import StaleError, UsageError
from widedeep.publishing import lanes, layout
from widedeep.publishing.erasures import erasures
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.moves import freeze, thaw
from widedeep.publishing.pointer import champion
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.renewals import load_renewals
from widedeep.serving.ranking import rank
from widedeep.steps import (
    erase,
    ingest,
    plan_erasure,
    plan_rollback,
    roll_back,
    run_span,
    start,
    train,
    validate,
)
from widedeep.steps.past import past_profiles
from widedeep.steps.requeueing import requeue

WHY = "asked to be forgotten"


@pytest.fixture
def begun(quick):
    """The chain over a store in memory, with three days learnt."""
    quick.first = quick.first.release
    return quick


def learnt_from(chain, n: int) -> set[str]:
    """The customers of a day who are not held out."""
    users = chain.rows(n)["customer"]
    return set(users.filter(pc.invert(is_held_out(users, chain.place.contract, chain.day(n)))).to_pylist())


def somebody(chain, *days: int) -> str:
    """A customer who is learnt from on all these days."""
    return min(set.intersection(*(learnt_from(chain, n) for n in days)))


def run_with_guest(chain, n: int) -> str:
    """Run a day on which a customer is called as on no other day; the name. That one is learnt from."""
    rows = chain.rows(n)
    i, host = rows.schema.get_field_index("customer"), min(learnt_from(chain, n))
    for name in (f"guest{k}" for k in range(99)):
        named = rows.set_column(i, "customer", pc.if_else(pc.equal(rows["customer"], host), name, rows["customer"]))
        theirs = pc.equal(named["customer"], name)
        if not pc.any(is_held_out(named["customer"], chain.place.contract, chain.day(n)).filter(theirs)).as_py():
            break
    chain.deliver(n, named)
    run_span(chain.place, chain.day(n))
    return name


def forget(place, user: str):
    return erase(place, plan_erasure(place, user)[0], WHY)


def texts(data: bytes, key: str) -> str:
    """All that an object says, decoded."""
    if key.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(data))
        return repr({name: table[name].to_pylist() for name in table.column_names})
    return data.decode("utf-8", "replace")


def naming(store: MemoryStore, user: str) -> list[str]:
    """All objects that name the user, but what was delivered."""
    found = {key: texts(data, key) for key, data in store.objects.items() if not key.startswith("landing/")}
    return [key for key, text in found.items() if f"'{user}'" in text or f'"{user}"' in text or f">{user}<" in text]


def run(chain, n: int):
    chain.deliver(n)
    return run_span(chain.place, chain.day(n))


def spans_learnt(place, release_id: str) -> dict:
    """What a release learnt itself: the digest of each span's training rows."""
    manifest = load_manifest(place.store, release_id, published=False)
    return {part.span: part.digest for part in manifest.lineage.learnt if part.part == "train"}


def test_after_the_next_promotion_nothing_that_is_kept_names_the_user(begun):
    place, store, user = begun.place, begun.place.store, somebody(begun, 0, 2, 3, 4, 5)
    run(begun, 3)
    first, second = begun.first, champion(store, LIVE).release_id
    report = forget(place, user)
    assert {held.span for held in report.rows} >= {begun.day(0), begun.day(2), begun.day(3)}
    assert [gone.name for gone in report.gone] == [first]
    assert [left.release_id for left in report.followed] == [*report.learnt] == [second]
    assert all(second in key for key in naming(store, user))
    assert naming(store, user)
    third = run(begun, 4)
    assert third.result == "promoted"
    assert third.snapshot.rows == pc.sum(pc.not_equal(begun.rows(4)["customer"], user)).as_py()
    again = forget(place, user)
    assert [gone.name for gone in again.gone] == [second]
    assert (again.rows, again.followed, again.learnt) == ((), (), (third.release,))
    assert naming(store, user) == []
    assert user not in "".join(repr(each) + "\n".join(each.told()) for each in (report, again))
    assert run(begun, 5).result == "promoted"
    assert naming(store, user) == []
    assert forget(place, user).gone == ()
    assert len(erasures(store)) == 1


def test_rows_that_were_learnt_are_not_learnt_again_and_pending_ones_are_learnt_without_the_user(begun):
    place, user = begun.place, somebody(begun, 1, 3)
    freeze(place.store, LIVE, place.because("wait"))
    assert run(begun, 3).result == "held"
    old = lanes.outcomes(place.store, LIVE)[-1].snapshot
    forget(place, user)
    assert lanes.outcomes(place.store, LIVE)[-1].snapshot == old
    thaw(place.store, LIVE, place.because("go on"))
    progress = run(begun, 4)
    learnt = spans_learnt(place, progress.release)
    assert learnt == {begun.day(3): load_renewals(place.store).current(old).digest, begun.day(4): progress.snapshot.digest}
    assert learnt[begun.day(3)] != old.digest
    assert progress.result == "promoted"
    assert set(spans_learnt(place, run(begun, 5).release)) == {begun.day(5)}


def test_a_rollback_after_it_makes_the_rows_pending_that_stand_now(begun):
    place, user = begun.place, run_with_guest(begun, 3)
    forget(place, user)
    plan = plan_rollback(place, LIVE)
    assert plan.pending == (begun.day(3),)
    roll_back(place, plan, WHY)
    learnt = spans_learnt(place, run(begun, 4).release)
    outcome = lanes.history(place.store, LIVE, begun.day(4))[3]
    assert learnt[begun.day(3)] == outcome.snapshot.digest
    forget(place, user)
    assert naming(place.store, user) == []


def test_a_quarantined_span_and_its_reports_forget_the_user_too(begun):
    place, store, user = begun.place, begun.place.store, somebody(begun, 0, 3)
    rows = begun.rows(3)
    bad = rows.set_column(rows.schema.get_field_index("country"), "country", pa.array(["XX"] * rows.num_rows))
    begun.deliver(3, bad)
    assert run_span(place, begun.day(3)).result == "quarantined"
    before = set(store.keys(f"validation/{begun.day(3)}/"))
    forget(place, user)
    after = set(store.keys(f"validation/{begun.day(3)}/"))
    assert len(after) == len(before)
    assert not after & before
    assert not [key for key in naming(store, user) if not key.startswith("releases/")]


def test_drift_is_still_measured_against_the_day_before(begun):
    place = begun.place
    forget(place, somebody(begun, 2))
    assert begun.day(2) in {profile.span for profile in past_profiles(place, LIVE, begun.day(3))}


def test_a_run_that_holds_the_old_rows_is_told_to_begin_again_and_does(begun):
    place, user = begun.place, somebody(begun, 3)
    begun.deliver(3)
    progress = validate(place, ingest(place, start(place, begun.day(3))))
    forget(place, user)
    with pytest.raises(StaleError, match=f"widedeep run --span {begun.day(3)}"):
        train(place, progress)
    assert run_span(place, begun.day(3)).result == "promoted"


def test_neither_a_replay_nor_a_requeue_brings_the_rows_back(begun):
    place, user = begun.place, run_with_guest(begun, 3)
    run(begun, 4)
    forget(place, user)
    stands = lanes.history(place.store, LIVE, begun.day(4))[3].snapshot
    assert "nothing new" in requeue(place, begun.day(3), WHY).told
    assert run_span(place, begun.day(3), "again").snapshot == stands


def test_who_comes_back_later_is_learnt_again_and_can_be_forgotten_again(begun):
    user = somebody(begun, 1, 4)
    today = datetime.combine(begun.day(3), time(), UTC)
    place = begun.place = replace(begun.place, clock=lambda: today + timedelta(days=60))
    run(begun, 3)
    early = replace(place, clock=lambda: today)
    assert forget(early, user).until == begun.day(3)
    progress = run(begun, 4)
    assert progress.snapshot.rows == begun.rows(4).num_rows
    report = forget(replace(place, clock=lambda: today + timedelta(days=1)), user)
    assert [held.span for held in report.rows] == [begun.day(4)]
    assert report.until == begun.day(4)
    assert [left.release_id for left in report.followed] == [progress.release]
    assert len(erasures(place.store)) == 2


def test_the_champion_still_ranks_after_it(begun, tmp_path):
    place, user, other = begun.place, somebody(begun, 0, 2), max(learnt_from(begun, 2))
    forget(place, user)
    manifest = load_manifest(place.store, begun.first, published=True)
    for who, known in ((user, False), (other, True)):
        (tmp_path / f"{known}").mkdir()
        assert rank(place.store, place.contract, manifest, who, 3, tmp_path / f"{known}").known == known


def test_a_user_whom_nothing_holds_is_recorded_all_the_same(begun):
    place, user = begun.place, "nobody"
    found, report = plan_erasure(place, user)
    assert report.nothing
    assert any("nothing" in line for line in report.told())
    erase(place, found, WHY)
    rows = begun.rows(3)
    begun.deliver(3, pa.concat_tables([rows, rows.slice(0, 1).set_column(0, "customer", pa.array([user]))]))
    assert run_span(place, begun.day(3)).snapshot.rows == rows.num_rows
    assert naming(place.store, user) == []


def test_what_can_not_be_searched_is_named_and_what_is_delivered_stays(begun):
    place, user = begun.place, somebody(begun, 1)
    begun.deliver(7, data=b"no parquet")
    report = forget(place, user)
    assert any(f"landing/{begun.day(7)}" in line for line in report.unsearched)
    assert f"landing/{begun.day(1)}/rows.parquet" in [file.key for file in report.delivered]
    assert any("out of reach" in line for line in report.told())


def test_what_a_crashed_upload_left_goes_too(begun):
    place, user = begun.place, somebody(begun, 1)
    key = layout.rows(begun.day(1), "0" * 64, "0" * 64)
    data = io.BytesIO()
    pq.write_table(begun.rows(1), data)
    place.store.create(key, data.getvalue())
    forget(place, user)
    assert place.store.get(key) is None


def test_the_weights_that_learnt_the_rows_are_named_with_where_to_start_again(begun):
    place, user = begun.place, run_with_guest(begun, 3)
    second = champion(place.store, LIVE).release_id
    report = plan_erasure(place, user)[1]
    assert report.learnt == (second,)
    (lane,) = report.relearn
    assert (lane.lane, lane.champion, lane.since, lane.untouched) == (LIVE, second, begun.day(3), begun.first)
    assert any(f"widedeep run --span {begun.day(3)}" in line for line in report.told())
    (none_before,) = plan_erasure(place, somebody(begun, 1))[1].relearn
    assert none_before.untouched is None


def test_two_erasures_at_once_leave_nobody_behind(begun):
    place = begun.place
    one, other = somebody(begun, 0, 1, 2), max(learnt_from(begun, 0) & learnt_from(begun, 2))
    plans = [plan_erasure(place, user)[0] for user in (one, other)]
    for found in plans:
        erase(place, found, WHY)
    for user in (one, other):
        assert not [key for key in naming(place.store, user) if not key.startswith("releases/")]


@pytest.mark.parametrize(("user", "reason"), [("", WHY), ("c1", " ")])
def test_an_empty_user_or_no_reason_is_refused(begun, user, reason):
    with pytest.raises(UsageError):
        erase(begun.place, plan_erasure(begun.place, user)[0], reason)
    assert not erasures(begun.place.store)


class Recorded(MemoryStore):
    """Keeps the state after each change."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__()
        self.objects, self.states = dict(objects), [dict(objects)]

    def _write(self, key: str, data: bytes) -> None:
        super()._write(key, data)
        self.states.append(dict(self.objects))

    def delete(self, key: str) -> None:
        super().delete(key)
        self.states.append(dict(self.objects))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.soak)])
def test_whatever_call_it_dies_at_the_same_command_finishes_it(begun, every):
    place, user = begun.place, run_with_guest(begun, 3)
    run(begun, 4)
    recorded = Recorded(place.store.objects)
    forget(replace(place, store=recorded), user)

    def settled(objects: dict[str, bytes]) -> dict[str, bytes]:
        """Less reports of what was done, pages of Data Docs, which differ from one writing to the next, and what prune takes."""
        left_out = ("erasures/reports/", "/docs/", "/going.json", "/coming/")
        return {key: data for key, data in objects.items() if not any(part in key for part in left_out)}

    assert len(recorded.states) > 20
    for n, state in list(enumerate(recorded.states))[::every]:
        store = MemoryStore()
        store.objects = dict(state)
        report = forget(replace(place, store=store), user)
        assert settled(store.objects) == settled(recorded.objects), f"state {n}"
        assert report.learnt, f"state {n}"
