"""Any history of two lanes against a reference that keeps plain lists: days, promotions whose answers get lost or that come late,
rollbacks, freezes, adoptions and prunes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from widedeep.artifacts import LIVE, Candidate, FileRef, Manifest, Release, Snapshot, Verdict
from widedeep.data.contract import Pending, Retention
from widedeep.errors import IntegrityError, OrderError, StaleError, StoreUnavailableError, UsageError, WithheldError
from widedeep.publishing import lanes, layout
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.moves import Because, adopt, freeze, promote, rollback, thaw
from widedeep.publishing.pointer import champion, moves, withdrawn
from widedeep.publishing.prune import plan
from widedeep.publishing.releases import load_manifest, publish, releases, stage
from widedeep.publishing.removal import carry_out

FIRST = date(2026, 1, 1)
NOW = datetime(2026, 1, 9, tzinfo=UTC)
LONG_AFTER = datetime.now(UTC) + timedelta(days=500)
BETTER, WORSE = Because(NOW, "test", "better"), Because(NOW, "ann", "worse")
AGAIN = "again"
EITHER = st.sampled_from([LIVE, LIVE, AGAIN])
FAULT = st.sampled_from([None, None, "answer lost", "answer lost, then frozen or thawed"])
CHAMPIONS_AND_THE_NEWEST = Retention(releases=1, candidates_days=1, snapshots_days=None, quarantine_days=None)


@dataclass
class LaneReference:
    """What ought to be in one lane: moves as (kind, release, until where `again` is adopted), spans, and sets."""

    moves: list[tuple[str, str, date | None]] = field(default_factory=list)
    settled: set[date] = field(default_factory=set)
    promoted: dict[date, str] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    frozen: bool = False

    @property
    def champion(self) -> str | None:
        return self.moves[-1][1] if self.moves else None

    @property
    def adopted(self) -> date | None:
        return self.moves[-1][2] if self.moves else None


class Reference:
    """Both lanes, and which release was trained from which."""

    def __init__(self) -> None:
        self.lanes = {LIVE: LaneReference(), AGAIN: LaneReference()}
        self.parent: dict[str, str | None] = {}
        self.span: dict[str, date] = {}
        self.published: set[str] = set()

    def line(self, release: str | None) -> set[str]:
        return {release} | self.line(self.parent[release]) if release else set()

    def stands(self, lane: str, release: str) -> bool:
        return not self.line(release) & (self.lanes[lane].withdrawn | self.lanes[LIVE].withdrawn)

    def promotions(self, lane: str, before: date) -> dict[date, str]:
        """Of each day that counts in the lane, what was promoted."""
        own = self.lanes[lane]
        if lane == LIVE:
            taken = {d for d in self.lanes[AGAIN].settled if own.adopted and d <= own.adopted}
            found = {d: r for d, r in own.promoted.items() if d not in taken}
            found |= {d: r for d, r in self.lanes[AGAIN].promoted.items() if d in taken}
        else:
            found = self.promotions(LIVE, min({before, *own.settled})) | own.promoted
        return {d: r for d, r in found.items() if d < before}

    def next_parent(self, lane: str, day: date) -> str | None:
        champion = self.lanes[lane].champion
        if champion and self.span[champion] < day and self.stands(lane, champion):
            return champion
        standing = {d: r for d, r in self.promotions(lane, day).items() if self.stands(lane, r)}
        return standing[max(standing)] if standing else None

    def compared_with(self, lane: str, day: date) -> str | None:
        champion = self.lanes[lane].champion
        if champion and self.stands(lane, champion):
            return champion
        return self.next_parent(lane, day) if lane != LIVE else None

    def roll_back(self, lane: str, release: str) -> None:
        own = self.lanes[lane]
        adopted = next(until for _, other, until in reversed(own.moves) if other == release)
        later = {other for _, other, _ in own.moves if self.span[other] > self.span[release]}
        last = max(number for number, (_, other, _) in enumerate(own.moves) if other == release)
        since = {other for _, other, _ in own.moves[last:]}
        own.withdrawn = (own.withdrawn | later | since) - self.line(release)
        own.moves.append(("rollback", release, adopted))

    def adopt(self) -> None:
        live, again = self.lanes[LIVE], self.lanes[AGAIN]
        gone = {release for _, release, _ in live.moves} | live.withdrawn | again.withdrawn
        live.withdrawn = gone - self.line(again.champion)
        live.moves.append(("adopt", again.champion, max(again.settled, default=self.span[again.champion])))

    def freeze_or_thaw(self, lane: str) -> None:
        own = self.lanes[lane]
        own.moves.append(("thaw" if own.frozen else "freeze", own.champion, own.adopted))
        own.frozen = not own.frozen


class FaultyStore(MemoryStore):
    """Makes a move of a pointer and loses its answer; where `meanwhile` is given, a second try meets what that has written."""

    lose, meanwhile = False, None

    def swap(self, key: str, data: bytes, expected_etag: str | None) -> str:
        etag = super().swap(key, data, expected_etag)
        if self.lose:
            self.lose, meanwhile, self.meanwhile = False, self.meanwhile, None
            if meanwhile is None:
                raise StoreUnavailableError("the answer never arrived")
            meanwhile()
            raise StaleError("somebody else was first")
        return etag


@dataclass(frozen=True)
class Judged:
    lane: str
    release: Release
    verdict: Verdict


class Lanes(RuleBasedStateMachine):
    lineage_of = verdict_on = outcome_of = None  # set by the test that runs it

    def __init__(self) -> None:
        super().__init__()
        self.store, self.reference = FaultyStore(), Reference()
        self.scratch = TemporaryDirectory()
        (Path(self.scratch.name) / "weights").write_bytes(b"weights")
        self.waiting: list[Judged] = []
        self.days: dict[str, date] = {LIVE: FIRST}

    def teardown(self) -> None:
        self.scratch.cleanup()

    @initialize(number=st.integers(1, 4))
    def the_other_lane_begins_on_a_day(self, number: int) -> None:
        self.days[AGAIN] = FIRST + timedelta(days=number)

    @rule(lane=EITHER, fault=FAULT)
    def a_day_runs_through(self, lane: str, fault: str | None) -> None:
        self._promoted_or_refused(self._judged(lane, "promote"), fault)

    @rule(lane=EITHER, decision=st.sampled_from(["promote", "promote", "hold"]))
    def a_day_is_trained_and_judged(self, lane: str, decision: str) -> None:
        self.waiting.append(self._judged(lane, decision))

    def _judged(self, lane: str, decision: str) -> Judged:
        day = self.days[lane]
        parent = lanes.parent(self.store, lane, lanes.history(self.store, lane, day), day)
        assert parent == self.reference.next_parent(lane, day)
        snapshot = Snapshot(span=day, version=1, digest="0" * 64, rows=1, file=FileRef(name="r", size_bytes=1, sha256="0" * 64))
        self.store.create(layout.version(day, 1), snapshot.to_bytes())
        lineage = self.lineage_of(day, parent, seed=[LIVE, AGAIN].index(lane))
        candidate = stage(self.store, Path(self.scratch.name), lineage, inherited=())
        verdict = self.verdict_on(candidate, self._manifest(parent), decision)
        release = publish(self.store, candidate, verdict)
        self.reference.parent[release.release_id], self.reference.span[release.release_id] = parent, day
        self.reference.published.add(release.release_id)
        self.days[lane] += timedelta(days=1)
        return Judged(lane, release, verdict)

    def _manifest(self, release: str | None) -> Manifest | None:
        return load_manifest(self.store, release, published=True) if release else None

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def another_run_settles_a_day_that_waits(self, data: st.DataObject) -> None:
        judged = data.draw(st.sampled_from(self.waiting))
        self._settle(judged, "rejected")

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), fault=FAULT)
    def one_that_waits_is_promoted_or_refused(self, data: st.DataObject, fault: str | None) -> None:
        judged = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(judged)
        self._promoted_or_refused(judged, fault)

    def _promoted_or_refused(self, judged: Judged, fault: str | None) -> None:
        expected, own = self._refusal(judged), self.reference.lanes[judged.lane]

        def call() -> object:
            return promote(self.store, judged.lane, judged.release, judged.verdict, BETTER)

        if expected:
            with pytest.raises(expected):
                call()
            self._settle(judged, "held")
            return

        def happened() -> None:
            own.moves.append(("promote", judged.release.release_id, own.adopted))
            own.promoted[judged.release.span] = judged.release.release_id

        self._moved(judged.lane, call, happened, fault)
        self._settle(judged, "promoted")

    def _settle(self, judged: Judged, result: str) -> None:
        lanes.settle(self.store, self.outcome_of(judged.release.span, result, judged.release.release_id, judged.lane))
        self.reference.lanes[judged.lane].settled.add(judged.release.span)

    def _refusal(self, judged: Judged) -> type[Exception] | None:
        """What the first check that fails raises."""
        own, release = self.reference.lanes[judged.lane], judged.release.release_id
        if judged.verdict.decision != "promote":
            return UsageError
        if release not in self.reference.published:
            return IntegrityError
        if own.frozen or not self.reference.stands(judged.lane, release):
            return WithheldError
        if own.champion and self.reference.span[own.champion] > judged.release.span:
            return OrderError
        compared = self.reference.compared_with(judged.lane, judged.release.span)
        return None if judged.verdict.champion == compared else StaleError

    def _moved(self, lane: str, call: Callable[[], object], happened: Callable[[], None], fault: str | None) -> None:
        """The move is made once, and told as made, whatever becomes of its answer."""
        happened()
        self.store.lose = fault is not None
        if fault == "answer lost":
            with pytest.raises(StoreUnavailableError):
                call()
        elif fault:
            frozen = self.reference.lanes[lane].frozen
            self.store.meanwhile = lambda: (thaw if frozen else freeze)(self.store, lane, WORSE)
        call()
        if fault and fault != "answer lost":
            self.reference.freeze_or_thaw(lane)

    @precondition(lambda self: any(len(own.moves) > 1 for own in self.reference.lanes.values()))
    @rule(data=st.data(), lane=EITHER, fault=FAULT)
    def somebody_rolls_back(self, data: st.DataObject, lane: str, fault: str | None) -> None:
        own = self.reference.lanes[lane]
        former = sorted({release for _, release, _ in own.moves} - {own.champion})
        if former:
            release, sequence = data.draw(st.sampled_from(former)), len(own.moves)
            call = lambda: rollback(self.store, lane, release, sequence, WORSE)  # noqa: E731
            self._moved(lane, call, lambda: self.reference.roll_back(lane, release), fault)

    @precondition(lambda self: any(len(own.moves) > 1 for own in self.reference.lanes.values()))
    @rule(lane=EITHER)
    def somebody_freezes_or_thaws(self, lane: str) -> None:
        own = self.reference.lanes[lane]
        if own.champion:
            (thaw if own.frozen else freeze)(self.store, lane, WORSE)
            self.reference.freeze_or_thaw(lane)

    @precondition(lambda self: all(own.champion for own in self.reference.lanes.values()))
    @rule(fault=FAULT)
    def live_adopts_the_other_lane_or_refuses(self, fault: str | None) -> None:
        live, again = self.reference.lanes[LIVE], self.reference.lanes[AGAIN]
        theirs, standing = self._manifest(again.champion), self._manifest(live.champion)
        parent, digest = theirs.lineage.parent, theirs.content_digest()
        span = theirs.lineage.span
        candidate = Candidate(release_id=theirs.release_id, span=span, parent=parent, manifest_sha256=digest)
        verdict = self.verdict_on(candidate, standing)
        if theirs.release_id == live.champion:
            return
        if max(again.settled, default=span) > max(live.settled, default=date.min):
            expected = OrderError
        else:
            expected = WithheldError if live.frozen or self.reference.line(theirs.release_id) & live.withdrawn else None
        if expected:
            with pytest.raises(expected):
                adopt(self.store, AGAIN, verdict, BETTER)
        else:
            self._moved(LIVE, lambda: adopt(self.store, AGAIN, verdict, BETTER), self.reference.adopt, fault)

    @precondition(lambda self: len(self.reference.published) > 4)
    @rule()
    def everything_old_is_pruned(self) -> None:
        planned = plan(self.store, CHAMPIONS_AND_THE_NEWEST, LONG_AFTER, Pending(), pool_spans=1)
        gone = {item.name for item in carry_out(self.store, planned, lambda _: None).items}
        followed = {release for own in self.reference.lanes.values() for _, release, _ in own.moves}
        newest = sorted(self.reference.published, key=lambda r: (self.reference.span[r], r))[-1:]
        kept = followed | {*newest} | {self.reference.parent[release] for release in (*followed, *newest)}
        assert gone == self.reference.published - kept
        self.reference.published -= gone

    @invariant()
    def both_lanes_are_what_the_reference_says(self) -> None:
        for lane, own in self.reference.lanes.items():
            read = list(moves(self.store, lane))
            assert [(m.kind, m.release_id) for m in reversed(read)] == [(kind, release) for kind, release, _ in own.moves]
            assert bool(read and read[0].frozen) == own.frozen
            gone = withdrawn(self.store, lane)
            assert own.withdrawn <= gone
            assert not any(self.reference.stands(lane, release) for release in gone)
            assert {o.span: o.release_id for o in lanes.outcomes(self.store, lane) if o.result == "promoted"} == {
                day: release for day, release in own.promoted.items() if day in own.settled
            }

    @invariant()
    def every_champion_is_whole(self) -> None:
        for pointer in (champion(self.store, lane) for lane in self.reference.lanes):
            manifest = load_manifest(self.store, pointer.release_id, published=True) if pointer else None
            assert all(
                layout.release_file(pointer.release_id, file) in self.store.objects
                for file in (manifest.files if manifest else ())
            )
        assert {release.release_id for release in releases(self.store)} == self.reference.published


def test_two_lanes_are_at_every_moment_what_their_moves_say(lineage_of, verdict_on, outcome_of) -> None:
    Lanes.lineage_of, Lanes.verdict_on, Lanes.outcome_of = map(staticmethod, (lineage_of, verdict_on, outcome_of))
    run_state_machine_as_test(Lanes, settings=settings(max_examples=150, stateful_step_count=40, deadline=None))
