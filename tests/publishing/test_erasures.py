"""Who is forgotten, and which rows stand for which: no row is learnt twice or lost by it, and no lineage without it changes."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.artifacts import FileRef, Lineage, NumericProfile, Outcome, Snapshot
from widedeep.data.contract import Pending, SplitRule
from widedeep.data.erased import digest_of
from widedeep.errors import IntegrityError, StaleError
from widedeep.publishing.erasures import Erased, Erasure, erasures, forgotten_in, record, without_erased
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.pending import plan
from widedeep.publishing.renewals import Renewal, Renewals, load_renewals, renew, renewals_told

DAY, NOW = date(2026, 1, 5), datetime(2026, 2, 1, tzinfo=UTC)
PROFILE = NumericProfile(
    precision="float32",
    instruction_set="x",
    threads=1,
    engine="e",
    torch="1",
    numpy="1",
    pandas="1",
    pyarrow="1",
    safetensors="1",
)


def snapshot(number: int, span: date = DAY) -> Snapshot:
    digest = f"{number:064x}"
    return Snapshot(
        span=span, version=number + 1, digest=digest, rows=9, file=FileRef(name=f"rows/{number}", size_bytes=1, sha256=digest)
    )


def renewal(old: int, new: int, *, resplit: bool = False, span: date = DAY) -> Renewal:
    return Renewal(span=span, digest=f"{old:064x}", snapshot=snapshot(new, span), left_out={}, resplit=resplit, at=NOW)


def outcome(number: int, result: str, replaces: int | None = None, span: date = DAY) -> Outcome:
    return Outcome(
        lane="live",
        span=span,
        result=result,
        reasons=("because",),
        snapshot=snapshot(number, span),
        release_id="r-0123456789abcdef",
        replaces=None if replaces is None else f"{replaces:064x}",
        settled_at=NOW,
        settled_by="test",
    )


def renewals(*made: Renewal) -> Renewals:
    return Renewals({(each.span, each.digest): each for each in made})


def test_a_record_says_whom_and_until_when_but_not_who_that_is():
    store = MemoryStore()
    made = Erasure(user_sha256=digest_of("c12"), until=DAY, by="me", reason="asked", at=NOW)
    assert record(store, made) == record(store, made.model_copy(update={"by": "another"})) == Erased(DAY, digest_of("c12"))
    assert erasures(store) == (Erased(DAY, digest_of("c12")),)
    assert forgotten_in(erasures(store), DAY) == {digest_of("c12")}
    assert not forgotten_in(erasures(store), date(2026, 1, 6))
    assert "c12" not in repr(store.objects)
    assert b'"by":"me"' in next(iter(store.objects.values()))


@pytest.mark.parametrize("users", [pa.array(["7", "8", None]), pa.array([7, 8, None], pa.int64())], ids=["text", "integers"])
def test_rows_of_the_user_are_left_out_of_spans_up_to_the_day(users):
    store, rows = MemoryStore(), pa.table({"user": users, "n": [1, 2, 3]})
    assert without_erased(store, DAY, rows, "user") is rows
    record(store, Erasure(user_sha256=digest_of("7"), until=DAY, by="me", reason="asked", at=NOW))
    assert without_erased(store, DAY, rows, "user")["n"].to_pylist() == [2, 3]
    assert without_erased(store, date(2026, 1, 6), rows, "user") is rows
    assert without_erased(store, DAY, rows, "another column") is rows


def test_the_first_renewal_stands():
    store = MemoryStore()
    assert renew(store, renewal(1, 2)).snapshot == snapshot(2)
    assert renew(store, renewal(1, 3)).snapshot == snapshot(2)
    assert load_renewals(store) == renewals(renewal(1, 2))


@given(st.integers(1, 6), st.integers(0, 6), st.sampled_from(["train", "holdout"]))
@settings(deadline=None)
def test_whatever_version_was_learnt_the_rows_that_stand_now_count_as_learnt(steps, learnt, part):
    learnt = min(learnt, steps)
    line = renewals(*(renewal(n, n + 1) for n in range(steps)))
    assert line.current(snapshot(0)) == snapshot(steps)
    seen = line.seen(frozenset({(DAY, f"{learnt:064x}", part)}))
    assert {(DAY, f"{n:064x}", part) for n in range(learnt, steps + 1)} == seen


@given(st.sets(st.integers(0, 3)), st.sets(st.integers(0, 3)))
@settings(deadline=None)
def test_no_plan_learns_more_or_less_than_it_would_have_without_the_erasure(learnt, renewed):
    """Four earlier spans: those that were learnt, and those whose rows were renewed since."""
    spans = [date(2026, 1, n + 1) for n in range(4)]
    past = [outcome(n, "promoted" if n in learnt else "held", span=span) for n, span in enumerate(spans)]
    seen = frozenset((spans[n], f"{n:064x}", part) for n in learnt for part in ("train", "holdout"))
    made = renewals(*(renewal(n, n + 100, span=spans[n]) for n in renewed))
    own, rule = snapshot(9, date(2026, 1, 5)), (SplitRule(salt="s"), Pending())
    before, after = plan(past, own, seen, *rule), plan(made.outcomes(past), own, made.seen(seen), *rule)
    assert [(p.span, p.part) for p in after.learnt] == [(p.span, p.part) for p in before.learnt]
    assert {p.digest for p in after.learnt if p.span in spans} == {
        f"{spans.index(p.span) + (100 if spans.index(p.span) in renewed else 0):064x}" for p in before.learnt if p.span in spans
    }


def test_where_other_users_are_held_out_now_nothing_of_the_span_is_judged_or_learnt_again():
    made = renewals(renewal(1, 2, resplit=True), renewal(2, 3))
    seen = made.seen(frozenset({(DAY, f"{1:064x}", "train")}))
    assert {(DAY, f"{n:064x}", part) for n in (2, 3) for part in ("train", "holdout")} <= seen
    assert (DAY, f"{1:064x}", "holdout") not in seen


def test_two_versions_that_differed_in_the_user_only_are_learnt_once():
    made = renewals(renewal(1, 2))
    past = made.outcomes([outcome(1, "promoted"), outcome(2, "added", replaces=1)])
    later = snapshot(9, date(2026, 1, 7))
    learnt = plan(past, later, frozenset(), SplitRule(salt="s"), Pending()).learnt
    assert [(p.digest, p.part) for p in learnt[:-1]] == [(f"{2:064x}", "holdout"), (f"{2:064x}", "train")]


def test_a_repaired_version_is_learnt_though_the_quarantined_one_differed_in_the_user_only():
    past = renewals(renewal(1, 2)).outcomes([outcome(1, "quarantined"), outcome(2, "added", replaces=1)])
    learnt = plan(past, snapshot(9, date(2026, 1, 7)), frozenset(), SplitRule(salt="s"), Pending()).learnt
    assert f"{2:064x}" in {part.digest for part in learnt}


def test_missing_rows_are_told_as_renewed_only_if_they_were():
    store = MemoryStore()
    with pytest.raises(IntegrityError), renewals_told(store, snapshot(1)):
        raise IntegrityError("missing")
    renew(store, renewal(1, 2))
    with pytest.raises(StaleError, match="v2 were renewed as v3"), renewals_told(store, snapshot(1)):
        raise IntegrityError("missing")


def test_a_lineage_without_erasures_is_written_as_before_there_were_any():
    digest = "0" * 64
    plain = Lineage(
        span=DAY,
        parent=None,
        learnt=(),
        split_digest=digest,
        contract_digest=digest,
        source_digest=digest,
        seed=1,
        profile=PROFILE,
    )
    assert b"erasures" not in plain.to_bytes()
    erased = plain.model_copy(update={"erasures": ("e-0123456789abcdef",)})
    assert Lineage.from_bytes(erased.to_bytes()) == erased
    assert Lineage.from_bytes(plain.to_bytes()) == plain
    assert erased.release_id() != plain.release_id()
