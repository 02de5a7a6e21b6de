"""A run may die between any two writes, and the world may have changed when it is run again: the chain converges all the same."""

from dataclasses import replace

import pytest

from widedeep.artifacts import LIVE
from widedeep.errors import OrderError, StoreUnavailableError
from widedeep.publishing import lanes, releases
from widedeep.publishing.pointer import champion
from widedeep.steps import bootstrap, dry_run, gate, ingest, publish, run_span, settle, start, train, validate


class DyingStore:
    """Passes everything on, and dies before or after its n-th write."""

    def __init__(self, store, n, *, after):
        self._store, self._left, self._after = store, n, after

    def __getattr__(self, name):
        method = getattr(self._store, name)
        return self._dying(method) if name in {"create", "swap", "upload"} else method

    def _dying(self, method):
        def write(*args):
            self._left -= 1
            result = method(*args) if self._left or self._after else None
            if self._left == 0:
                raise StoreUnavailableError("the machine stopped")
            return result

        return write


@pytest.fixture
def promoted_only(begun):
    """Day 3 is promoted, and its run died before it was settled."""
    begun.deliver(3)
    begun.deliver(4)
    progress = start(begun.place, begun.day(3))
    for step in (ingest, validate, train, dry_run, gate):
        progress = step(begun.place, progress)
    if progress.decision != "promote":
        pytest.fail(f"the story needs a day that is promoted, got {progress.decision}")
    publish(begun.place, progress)
    begun.progress = progress
    return begun


def other_gate(place):
    return place.contract.model_copy(update={"gate": place.contract.gate.model_copy(update={"auc_at_least": 1.0})})


def other_training(place):
    return place.contract.model_copy(update={"training": place.contract.training.model_copy(update={"seed": 99})})


@pytest.mark.parametrize("change", [lambda place: place.contract, other_gate, other_training], ids=["same", "gate", "training"])
def test_a_promotion_is_a_fact_whatever_the_rerun_would_do(promoted_only, change):
    place = replace(promoted_only.place, contract=change(promoted_only.place))
    assert run_span(place, promoted_only.day(3)).result == "promoted"
    outcome = lanes.outcomes(place.store, LIVE)[-1]
    assert outcome.release_id == promoted_only.progress.candidate.release_id
    assert outcome.learnt
    assert run_span(promoted_only.place, promoted_only.day(4)).result in {"promoted", "held", "rejected"}


def test_a_redelivery_after_the_promotion_changes_nothing(promoted_only):
    key = f"landing/{promoted_only.day(3)}/more.parquet"
    delivered = promoted_only.place.store.get(f"landing/{promoted_only.day(3)}/rows.parquet")
    promoted_only.place.store.create(key, delivered.data)
    assert run_span(promoted_only.place, promoted_only.day(3)).release == promoted_only.progress.candidate.release_id


def test_the_next_day_waits_until_the_promotion_is_settled(promoted_only):
    with pytest.raises(OrderError, match=f"span {promoted_only.day(3)} of lane live is unsettled"):
        run_span(promoted_only.place, promoted_only.day(4))


def test_a_cleared_task_of_a_settled_day_does_nothing(begun):
    begun.deliver(3)
    progress = start(begun.place, begun.day(3))
    steps = (ingest, validate, train, dry_run, gate, publish, settle)
    for step in steps[:-1]:
        progress = step(begun.place, progress)
    settle(begun.place, progress)
    other = replace(begun.place, contract=other_training(begun.place))
    before = list(begun.place.store.keys(""))
    assert {step(other, progress).result for step in steps} == {lanes.outcomes(begun.place.store, LIVE)[-1].result}
    assert list(begun.place.store.keys("")) == before


@pytest.mark.parametrize(("n", "after"), [(3, True), (6, True), (8, False)])
def test_a_bootstrap_that_dies_near_its_end_is_finished_by_the_next(judged_history, n, after):
    """On the real server, with a real rehearsal: after its report, after the move of the pointer, before the last outcome."""
    dying = replace(judged_history.place, store=DyingStore(judged_history.place.store, n, after=after))
    with pytest.raises(StoreUnavailableError, match="the machine stopped"):
        bootstrap(dying, judged_history.day(0), judged_history.day(2))

    settled = lanes.settled_spans(judged_history.place.store, LIVE)
    if judged_history.day(2) not in settled:
        judged_history.deliver(3)
        if champion(judged_history.place.store, LIVE):
            with pytest.raises(OrderError, match="unsettled"):
                run_span(judged_history.place, judged_history.day(3))
    progress = bootstrap(judged_history.place, judged_history.day(0), judged_history.day(2))

    assert progress.release == judged_history.first.release
    assert [o.result for o in lanes.outcomes(judged_history.place.store, LIVE)] == ["learnt", "learnt", "promoted"]
    assert len(releases.releases(judged_history.place.store)) == 1


@pytest.mark.parametrize("n", [2, 14, 22])
def test_a_day_that_dies_at_a_write_is_finished_by_the_next_run(begun_apart, n):
    """On the real server, with a real rehearsal. Two writes make the snapshot, five the findings, ten the candidate."""
    begun_apart.deliver(3)
    dying = replace(begun_apart.place, store=DyingStore(begun_apart.place.store, n, after=n % 2 == 0))
    before = champion(begun_apart.place.store, LIVE)
    with pytest.raises(StoreUnavailableError, match="the machine stopped"):
        run_span(dying, begun_apart.day(3))
    readable = champion(begun_apart.place.store, LIVE)
    assert readable.release_id == before.release_id or readable.span == begun_apart.day(3)
    progress = run_span(begun_apart.place, begun_apart.day(3))
    assert progress.result in {"promoted", "held", "rejected"}
    assert [o.span for o in lanes.outcomes(begun_apart.place.store, LIVE)] == [begun_apart.day(n) for n in range(4)]
    assert sum(key.endswith("candidate.json") for key in begun_apart.place.store.keys("releases/")) == 2
