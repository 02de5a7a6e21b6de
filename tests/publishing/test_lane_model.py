"""Any history of days, promotions, rollbacks and freezes on one lane against a reference that keeps plain lists."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from widedeep.artifacts import LIVE, Release, Verdict
from widedeep.errors import StaleError, UsageError, WithheldError
from widedeep.publishing import lanes
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.moves import Because, freeze, promote, rollback, thaw
from widedeep.publishing.pointer import champion, moves, withdrawn
from widedeep.publishing.releases import load_manifest, publish, releases, stage

FIRST = date(2026, 1, 1)
NOW = datetime(2026, 1, 9, tzinfo=UTC)


class Reference:
    """What ought to be: moves as (kind, release), parents, spans, and sets."""

    def __init__(self) -> None:
        self.moves: list[tuple[str, str]] = []
        self.parent: dict[str, str | None] = {}
        self.span: dict[str, date] = {}
        self.promoted: list[str] = []
        self.withdrawn: set[str] = set()
        self.frozen = False

    @property
    def champion(self) -> str | None:
        return self.moves[-1][1] if self.moves else None

    def next_parent(self) -> str | None:
        standing = [release for release in self.promoted if release not in self.withdrawn]
        return max(standing, key=lambda release: self.span[release], default=None)

    def line(self, release: str | None) -> set[str]:
        return {release} | self.line(self.parent[release]) if release else set()

    def roll_back(self, release: str) -> None:
        later = {other for _, other in self.moves if self.span[other] > self.span[release]}
        self.withdrawn = (self.withdrawn | later) - self.line(release)
        self.moves.append(("rollback", release))


class Lane(RuleBasedStateMachine):
    lineage_of = verdict_on = outcome_of = None  # set by the test that runs it

    def __init__(self) -> None:
        super().__init__()
        self.store, self.reference, self.day = MemoryStore(), Reference(), FIRST
        self.scratch = TemporaryDirectory()
        (Path(self.scratch.name) / "weights").write_bytes(b"weights")
        self.waiting: list[tuple[Release, Verdict]] = []

    def teardown(self) -> None:
        self.scratch.cleanup()

    @rule(decision=st.sampled_from(["promote", "promote", "hold"]))
    def a_day_is_trained_and_judged(self, decision: str) -> None:
        parent = lanes.parent_as_of(lanes.history(self.store, LIVE, self.day), self.day, withdrawn(self.store, LIVE))
        assert parent == self.reference.next_parent()
        candidate = stage(self.store, Path(self.scratch.name), self.lineage_of(self.day, parent), inherited=())
        standing = champion(self.store, LIVE)
        compared = load_manifest(self.store, standing.release_id, published=True) if standing else None
        verdict = self.verdict_on(candidate, compared, decision)
        release = publish(self.store, candidate, verdict)
        self.reference.parent[release.release_id], self.reference.span[release.release_id] = parent, self.day
        self.waiting.append((release, verdict))
        self.day += timedelta(days=1)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def one_that_waits_is_promoted_or_refused(self, data: st.DataObject) -> None:
        release, verdict = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove((release, verdict))
        result, expected = "held", self._may_be_promoted(release, verdict)
        if expected is None:
            promote(self.store, LIVE, release, verdict, Because(NOW, "test", "better"))
            self.reference.moves.append(("promote", release.release_id))
            self.reference.promoted.append(release.release_id)
            result = "promoted"
        else:
            with pytest.raises(expected):
                promote(self.store, LIVE, release, verdict, Because(NOW, "test", "better"))
        lanes.settle(self.store, self.outcome_of(release.span, result, release.release_id))

    def _may_be_promoted(self, release: Release, verdict: Verdict) -> type[Exception] | tuple[type[Exception], ...] | None:
        if verdict.decision != "promote":
            return UsageError
        if self.reference.frozen or {release.release_id, self.reference.parent[release.release_id]} & self.reference.withdrawn:
            return WithheldError
        return None if verdict.champion == self.reference.champion else (StaleError, lanes.OrderError)

    @precondition(lambda self: self.reference.moves)
    @rule(data=st.data())
    def somebody_rolls_back(self, data: st.DataObject) -> None:
        former = sorted({release for _, release in self.reference.moves} - {self.reference.champion})
        if former:
            release = data.draw(st.sampled_from(former))
            rollback(self.store, LIVE, release, len(self.reference.moves), Because(NOW, "ann", "worse"))
            self.reference.roll_back(release)

    @precondition(lambda self: self.reference.moves)
    @rule()
    def somebody_freezes_or_thaws(self) -> None:
        (thaw if self.reference.frozen else freeze)(self.store, LIVE, Because(NOW, "ann", "incident"))
        self.reference.moves.append(("thaw" if self.reference.frozen else "freeze", self.reference.champion))
        self.reference.frozen = not self.reference.frozen

    @invariant()
    def the_lane_is_what_the_reference_says(self) -> None:
        read = list(moves(self.store, LIVE))
        assert [(move.kind, move.release_id) for move in reversed(read)] == self.reference.moves
        assert withdrawn(self.store, LIVE) == self.reference.withdrawn
        assert bool(read and read[0].frozen) == self.reference.frozen
        assert {release.release_id for release in releases(self.store)} == self.reference.parent.keys()


def test_a_lane_is_at_every_moment_what_its_moves_say(lineage_of, verdict_on, outcome_of) -> None:
    Lane.lineage_of, Lane.verdict_on, Lane.outcome_of = map(staticmethod, (lineage_of, verdict_on, outcome_of))
    run_state_machine_as_test(Lane, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))
