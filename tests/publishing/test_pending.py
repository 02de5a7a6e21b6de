"""The fifth law: nothing is learnt twice, nothing valid is lost, and the gate scores only rows that nobody has learnt."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from widedeep.artifacts import Outcome, Part, Snapshot, sha256
from widedeep.data.contract import Pending, SplitRule
from widedeep.publishing.pending import VALID, Plan, Seen, plan

FIRST = date(2026, 1, 1)
AT = datetime(2026, 1, 1, tzinfo=UTC)
NOBODY: Seen = frozenset()


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def snapshot(number: int) -> Snapshot:
    digest = sha256(b"%d" % number)
    return Snapshot(span=day(number), version=1, digest=digest, rows=9, file={"name": "rows", "size_bytes": 9, "sha256": digest})


def outcome(number: int, result: str, learnt: tuple[Part, ...] = ()) -> Outcome:
    rows = None if result == "no data" else snapshot(number)
    release = f"r-{number:016x}" if result in ("promoted", "held", "rejected") else None
    told = Outcome(lane="live", span=day(number), result=result, reasons=(), settled_at=AT, settled_by="test")
    return told.model_copy(update={"snapshot": rows, "release_id": release, "learnt": learnt})


def waits_for_review(number: int) -> Outcome:
    return outcome(number, "held").model_copy(update={"release_id": None})


def version(number: int, n: int) -> Snapshot:
    """Further rows of a span."""
    digest = sha256(b"%d.%d" % (number, n))
    return snapshot(number).model_copy(update={"version": n, "digest": digest})


def added(rows: Snapshot, replaces: Snapshot | None = None) -> Outcome:
    told = outcome((rows.span - FIRST).days, "added")
    return told.model_copy(update={"snapshot": rows, "replaces": replaces.digest if replaces else None})


def rule(pool_spans: int = 1) -> SplitRule:
    return SplitRule(salt="salt", pool_spans=pool_spans)


def names(planned: Plan) -> list[str]:
    return [f"{(part.span - FIRST).days} {part.part}" for part in planned.learnt]


def keys(parts: tuple[Part, ...]) -> Seen:
    return frozenset((part.span, part.digest, part.part) for part in parts)


def pool(planned: Plan) -> Seen:
    return frozenset((s.span, s.digest, "holdout") for s in planned.pooled)


@dataclass
class Chain:
    """A lane's days as the steps live them: plan, train, judge, settle; the parent is the last promoted one."""

    split: SplitRule
    pending: Pending
    outcomes: list[Outcome] = field(default_factory=list)
    plans: dict[int, Plan] = field(default_factory=dict)
    seen: Seen = NOBODY

    def live(self, number: int, result: str) -> None:
        if result not in VALID:
            self.outcomes.append(outcome(number, result))
            return
        planned = plan(self.outcomes, snapshot(number), self.seen, self.split, self.pending)
        self.check(number, planned)
        self.plans[number] = planned
        self.outcomes.append(outcome(number, result, planned.learnt))
        if result == "promoted":
            self.seen |= keys(planned.learnt)

    def check(self, number: int, planned: Plan) -> None:
        """What holds for every candidate, whatever becomes of it."""
        learnt = keys(planned.learnt)
        assert len(learnt) == len(planned.learnt), "nothing is in a plan twice"
        assert not learnt & self.seen, "nothing is learnt twice along a line of promoted releases"
        assert not pool(planned) & (self.seen | learnt), "the gate's rows are unseen by parent and candidate"
        assert [part.span for part in planned.learnt] == sorted(part.span for part in planned.learnt)
        assert planned.learnt[-1] == Part(span=day(number), version=1, digest=snapshot(number).digest, part="train")
        assert planned.pooled[-1] == snapshot(number)
        assert all(day(number - self.split.pool_spans) < s.span for s in planned.pooled)
        valid = {day(n) for n in self.plans} | {day(number)}
        assert {part.span for part in planned.learnt} | {s.span for s in planned.pooled} <= valid
        assert sum(part.part == "train" for part in planned.learnt) <= self.pending.max_spans + 1

    def left(self, part: str) -> set[date]:
        """Valid spans of which no promoted release has learnt this part."""
        return {day(n) for n in self.plans if (day(n), snapshot(n).digest, part) not in self.seen}


RESULTS = st.lists(st.sampled_from(["promoted", "held", "rejected", "quarantined", "no data"]), min_size=1, max_size=20)
RULES = st.builds(rule, st.integers(1, 4))
CARRY = st.builds(Pending, max_spans=st.integers(0, 5), attempts=st.integers(1, 3))


@given(results=RESULTS, split=RULES, pending=CARRY | st.just(Pending(rule="drop")))
def test_every_candidate_of_every_chain_keeps_the_law(results: list[str], split: SplitRule, pending: Pending) -> None:
    chain = Chain(split, pending)
    for number, result in enumerate(results):
        chain.live(number, result)


@given(results=RESULTS, split=RULES, pending=st.builds(Pending, max_spans=st.integers(1, 5), attempts=st.integers(1, 3)))
def test_nothing_valid_is_lost(results: list[str], split: SplitRule, pending: Pending) -> None:
    """Whatever happened, a run of good days learns all of it but what is set aside and what is still in the pool."""
    chain = Chain(split, pending)
    days = [*results, *["promoted"] * (len(results) + split.pool_spans)]
    for number, result in enumerate(days):
        chain.live(number, result)
    aside = set(chain.plans[len(days) - 1].set_aside)
    in_pool = {s.span for s in chain.plans[len(days) - 1].pooled}
    assert chain.left("train") == aside
    assert in_pool <= chain.left("holdout") <= aside | in_pool


@given(results=RESULTS, split=RULES, pending=CARRY)
def test_only_spans_that_were_in_enough_rejected_candidates_are_set_aside(
    results: list[str], split: SplitRule, pending: Pending
) -> None:
    chain = Chain(split, pending)
    for number, result in enumerate(results):
        chain.live(number, result)
    last = plan(chain.outcomes, snapshot(len(results)), chain.seen, split, pending)
    rejected = [chain.plans[n].learnt for n, result in enumerate(results) if result == "rejected"]
    failures = {
        span: sum(any(p.span == span and p.part == "train" for p in each) for each in rejected) for span in chain.left("train")
    }
    assert set(last.set_aside) == {span for span, count in failures.items() if count >= pending.attempts}
    assert not set(last.set_aside) & {part.span for part in last.learnt}


def test_the_first_candidate_learns_its_own_training_rows_only() -> None:
    planned = plan([], snapshot(0), NOBODY, rule(), Pending())
    assert names(planned) == ["0 train"]
    assert planned.pooled == (snapshot(0),)


def test_held_out_rows_are_learnt_one_span_later() -> None:
    chain = Chain(rule(), Pending())
    chain.live(0, "promoted")
    chain.live(1, "promoted")
    assert names(chain.plans[1]) == ["0 holdout", "1 train"]


def test_a_longer_pool_keeps_held_out_rows_for_the_gate() -> None:
    chain = Chain(rule(pool_spans=3), Pending())
    for number in range(4):
        chain.live(number, "promoted")
    assert names(chain.plans[2]) == ["2 train"]
    assert chain.plans[2].pooled == (snapshot(0), snapshot(1), snapshot(2))
    assert names(chain.plans[3]) == ["0 holdout", "3 train"]


def test_a_pool_made_longer_leaves_out_what_the_parent_has_learnt() -> None:
    chain = Chain(rule(pool_spans=1), Pending())
    for number in range(3):
        chain.live(number, "promoted")
    chain.split = rule(pool_spans=3)
    chain.live(3, "promoted")
    assert chain.plans[3].pooled == (snapshot(2), snapshot(3))


def test_held_and_rejected_spans_are_carried_into_the_next_candidate() -> None:
    for result in ("held", "rejected"):
        chain = Chain(rule(), Pending())
        chain.live(0, result)
        chain.live(1, "promoted")
        assert names(chain.plans[1]) == ["0 holdout", "0 train", "1 train"]


def test_a_history_is_learnt_in_one_go() -> None:
    history = [outcome(n, "learnt") for n in range(3)]
    planned = plan(history, snapshot(3), NOBODY, rule(), Pending(max_spans=4))
    assert names(planned) == ["0 holdout", "0 train", "1 holdout", "1 train", "2 holdout", "2 train", "3 train"]


def test_the_oldest_pending_spans_go_first_and_the_rest_waits() -> None:
    chain = Chain(rule(), Pending(max_spans=1))
    for number in range(2):
        chain.live(number, "held")
    chain.live(2, "promoted")
    chain.live(3, "promoted")
    assert [name for name in names(chain.plans[2]) if "train" in name] == ["0 train", "2 train"]
    assert [name for name in names(chain.plans[3]) if "train" in name] == ["1 train", "3 train"]


def test_a_span_that_failed_twice_is_set_aside_with_its_held_out_rows() -> None:
    chain = Chain(rule(), Pending(attempts=2))
    chain.live(0, "rejected")
    chain.live(1, "rejected")
    chain.live(2, "promoted")
    assert chain.plans[2].set_aside == (day(0),)
    assert names(chain.plans[2]) == ["1 holdout", "1 train", "2 train"]


def test_held_out_rows_of_a_learnt_span_are_not_blamed_for_rejected_candidates() -> None:
    chain = Chain(rule(), Pending(attempts=2))
    for number, result in enumerate(["promoted", "rejected", "rejected", "promoted"]):
        chain.live(number, result)
    assert chain.plans[3].set_aside == (day(1),)
    assert "0 holdout" in names(chain.plans[3])


def test_with_drop_an_unlearnt_span_is_forgotten_but_learnt_ones_keep_their_held_out_rows() -> None:
    chain = Chain(rule(), Pending(rule="drop"))
    for number, result in enumerate(["promoted", "held", "rejected", "promoted"]):
        chain.live(number, result)
    assert names(chain.plans[3]) == ["0 holdout", "3 train"]
    assert chain.plans[3].set_aside == ()


def test_quarantined_and_empty_spans_are_never_learnt_nor_pooled() -> None:
    past = [outcome(0, "quarantined"), outcome(1, "no data")]
    planned = plan(past, snapshot(2), NOBODY, rule(pool_spans=3), Pending())
    assert names(planned) == ["2 train"]
    assert planned.pooled == (snapshot(2),)


def test_outcomes_of_later_spans_change_nothing() -> None:
    past = [outcome(0, "held")]
    future = [outcome(3, "held"), outcome(2, "held")]
    assert plan([*future, *past], snapshot(1), NOBODY, rule(), Pending()) == plan(past, snapshot(1), NOBODY, rule(), Pending())


def test_a_span_that_waits_for_a_review_is_neither_learnt_nor_scored() -> None:
    planned = plan([waits_for_review(0)], snapshot(1), NOBODY, rule(pool_spans=3), Pending())
    assert names(planned) == ["1 train"]
    assert planned.pooled == (snapshot(1),)


def test_an_accepted_span_is_learnt_by_the_next_candidate_even_where_pending_spans_are_dropped() -> None:
    for pending in (Pending(), Pending(rule="drop")):
        planned = plan([waits_for_review(0), added(snapshot(0))], snapshot(1), NOBODY, rule(), pending)
        assert names(planned) == ["0 holdout", "0 train", "1 train"]


def test_rows_that_come_after_no_data_or_beside_learnt_ones_are_learnt_once() -> None:
    late, beside = snapshot(0), version(1, 2)
    outcomes = [outcome(0, "no data"), outcome(1, "promoted"), added(late), added(beside)]
    seen = keys((Part(span=day(1), version=1, digest=snapshot(1).digest, part="train"),))
    planned = plan(outcomes, snapshot(2), seen, rule(), Pending())
    assert {(p.span, p.digest) for p in planned.learnt if p.part == "train"} == {
        (s.span, s.digest) for s in (late, beside, snapshot(2))
    }
    assert plan(outcomes, snapshot(3), seen | keys(planned.learnt), rule(), Pending()).learnt[-1].span == day(3)
    assert not [p for p in plan(outcomes, snapshot(3), seen | keys(planned.learnt), rule(), Pending()).learnt if p.span < day(3)]


@given(versions=st.integers(1, 4), learnt=st.integers(0, 4), part=st.sampled_from(["train", "holdout"]), first=st.booleans())
def test_of_versions_that_replace_one_another_one_is_learnt(versions: int, learnt: int, part: str, first: bool) -> None:
    """The one that was, else the last; whether or not the first one counted."""
    line = [snapshot(0), *(version(0, n) for n in range(2, versions + 1))]
    outcomes = [outcome(0, "held" if first else "quarantined")]
    outcomes += [added(later, before) for before, later in pairwise(line)]
    valid = line if first else line[1:]
    known = [s for s in valid if s.version == learnt]
    seen = keys(tuple(Part(span=s.span, version=s.version, digest=s.digest, part=part) for s in known))
    planned = plan(outcomes, snapshot(1), seen, rule(), Pending())
    wanted = (known or valid[-1:])[:1]
    assert {p.digest for p in planned.learnt if p.span == day(0)} == {s.digest for s in wanted}
