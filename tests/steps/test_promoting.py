"""A lane that was rebuilt from an earlier day takes the place of live's line, judged on rows that neither has learnt."""

from dataclasses import replace

import pyarrow.compute as pc
import pytest

from widedeep.artifacts import LIVE, Part, Ruling, Verdict
from widedeep.data.split import is_held_out
from widedeep.data.tables import among
from widedeep.errors import OrderError, PermanentError, StaleError, StoreUnavailableError, UsageError, WithheldError
from widedeep.publishing import lanes, layout, releases
from widedeep.publishing.moves import freeze, thaw
from widedeep.publishing.pointer import champion, withdrawn
from widedeep.publishing.releases import load_manifest
from widedeep.publishing.renewals import seen_by
from widedeep.publishing.snapshots import versions
from widedeep.steps import (
    adopted,
    compare_lane,
    lane_question,
    plan_lane_promotion,
    plan_replay,
    plan_rollback,
    promote_lane,
    review,
    roll_back,
    run_span,
)
from widedeep.steps.gating import held_out_rows
from widedeep.steps.verification import verify
from widedeep.steps.workplace import stored

AGAIN, WHY = "again", "day 4 was corrected"
DAYS = range(3, 8)


def dearer(rows):
    return rows.set_column(4, "price", pc.add(rows["price"], 1.0))


def with_gate(place, **changed):
    return replace(place, contract=place.contract.model_copy(update={"gate": place.contract.gate.model_copy(update=changed)}))


def verdict_of(place, key):
    return Verdict.from_bytes(stored(place.store, key))


def learnt(store, release_id):
    return load_manifest(store, release_id, published=True).seen()


@pytest.fixture(scope="module")
def made():
    """Stores as they were left by the fixtures below, by name: each is made once."""
    return {}


def once(made, name, chain, make):
    if name not in made:
        make(chain)
        made[name] = dict(chain.place.store.objects)
    chain.place.store.objects = dict(made[name])
    return chain


@pytest.fixture
def corrected(quick, made):
    """Five days were promoted in live, by a gate that 600 rows a day don't keep busy; the second was delivered again since."""
    quick.place = with_gate(quick.place, margin=0.5)

    def five_days(chain):
        for n in DAYS:
            chain.deliver(n)
            assert run_span(chain.place, chain.day(n)).result == "promoted"
        chain.deliver_again(4, dearer(chain.rows(4)))

    return once(made, "corrected", quick, five_days)


@pytest.fixture
def rebuilt(corrected, made):
    """The lane that learnt the second version, and all days after it."""

    def four_days(chain):
        for n in range(4, 8):
            assert run_span(chain.place, chain.day(n), AGAIN).result == "promoted"

    return once(made, "rebuilt", corrected, four_days)


def promoted(chain):
    plan = plan_lane_promotion(chain.place, AGAIN)
    return promote_lane(chain.place, AGAIN, compare_lane(chain.place, plan), WHY)


def test_a_corrected_day_is_rebuilt_in_a_lane_beside_live_and_live_goes_on_from_the_lane_once_it_is_promoted(corrected):
    place, day = corrected.place, corrected.day
    before = {key: data for key, data in place.store.objects.items() if key.startswith(layout.champion(LIVE)[:-13])}
    first, old = lanes.outcome(place.store, LIVE, day(3)).release_id, champion(place.store, LIVE).release_id
    remade = [run_span(place, day(n), AGAIN) for n in range(4, 8)]
    assert [progress.candidate.parent for progress in remade] == [first, *(progress.release for progress in remade[:-1])]
    own = {lanes.outcome(place.store, LIVE, day(n)).release_id for n in DAYS}
    assert not own & {progress.release for progress in remade}, "each later release is another one"
    assert {key: place.store.objects[key] for key in before} == before, "live is untouched"
    v1, v2 = (snapshot.digest for snapshot in versions(place.store, day(4)))
    for progress in remade:
        assert (day(4), v2, "train") in learnt(place.store, progress.release)
        assert (day(4), v1, "train") not in learnt(place.store, progress.release)

    pointer = promoted(corrected)

    assert (pointer.kind, pointer.release_id, pointer.reason) == ("adopt", remade[-1].release, WHY)
    assert old in withdrawn(place.store, LIVE)
    corrected.deliver(8)
    after = run_span(place, day(8))
    assert (after.candidate.parent, after.result) == (remade[-1].release, "promoted")
    assert (day(4), v1, "train") not in learnt(place.store, after.release)


def test_what_a_person_approves_names_both_the_days_and_what_is_taken_back(rebuilt):
    place = rebuilt.place
    plan = plan_lane_promotion(place, AGAIN)
    old = [lanes.outcome(place.store, LIVE, rebuilt.day(n)).release_id for n in range(4, 8)]
    assert (plan.champion, plan.withdrawn, plan.pending) == (old[-1], tuple(sorted(old)), ())
    assert plan.own == tuple(rebuilt.day(n) for n in range(4, 8))
    key = compare_lane(place, plan)
    told = lane_question(place, plan, key)
    verdict, page = verdict_of(place, key), layout.decision_report(key)
    assert place.store.get(page)
    for said in (plan.candidate.release_id, old[0], str(rebuilt.day(7)), verdict.reasons[0], f"{place.store.url}/{page}"):
        assert said in told
    assert "difference in log loss" in told
    assert (verdict.champion, verdict.anchor) == (old[-1], rebuilt.first.release)


def test_a_lane_that_begins_after_the_day_that_was_delivered_again_is_what_live_is_and_says_so(corrected):
    for n in (5, 6, 7):
        run_span(corrected.place, corrected.day(n), AGAIN)
    assert adopted(corrected.place, AGAIN) is None
    with pytest.raises(OrderError, match=r"is live's already: .* replay from the first day that was delivered again"):
        plan_lane_promotion(corrected.place, AGAIN)


def test_a_question_about_other_champions_than_were_compared_is_not_asked(rebuilt):
    place = rebuilt.place
    plan = plan_lane_promotion(place, AGAIN)
    key = compare_lane(place, plan)
    with pytest.raises(StaleError, match=f"was compared with {plan.champion}, and now .* Compare the lane again"):
        lane_question(place, plan.model_copy(update={"champion": "r-" + "0" * 16}), key)


def test_no_judged_row_was_learnt_by_either(rebuilt):
    place = rebuilt.place
    plan = plan_lane_promotion(place, AGAIN)
    assert {part.span for part in plan.holdout} == {rebuilt.day(7)}
    ours, theirs = (load_manifest(place.store, r, published=True) for r in (plan.candidate.release_id, plan.champion))
    rows, _ = held_out_rows(place, plan.holdout, plan.left_out)
    assert rows.num_rows > 50
    for part in {*ours.lineage.learnt, *ours.inherited, *theirs.lineage.learnt, *theirs.inherited}:
        assert not among(rows, held_out_rows(place, (part,))[0]).any(), part


def test_rows_that_live_trained_on_are_not_judged_on_although_the_corrected_day_holds_their_user_out(corrected):
    """Without the users that were held out somebody else is: all of that one's rows are in live's champion."""
    place, last, rows = corrected.place, corrected.day(7), corrected.rows(7)
    corrected.deliver_again(7, rows.filter(pc.invert(is_held_out(rows["customer"], place.contract, last))))
    assert run_span(place, last, AGAIN).result == "held"
    review(place, last, "accept", "nobody else is held out", AGAIN)
    plan = plan_lane_promotion(place, AGAIN)
    (part,) = plan.holdout
    assert (part.span, part.version) == (last, 2)
    own = lanes.outcome(place.store, LIVE, last).snapshot
    trained = held_out_rows(place, (Part(span=last, version=own.version, digest=own.digest, part="train"),))[0]
    assert among(held_out_rows(place, plan.holdout)[0], trained).all()
    assert held_out_rows(place, plan.holdout, plan.left_out)[0].num_rows == 0
    verdict = verdict_of(place, compare_lane(place, plan))
    assert (verdict.decision, verdict.candidate_metrics) == ("hold", None)


def test_a_day_whose_held_out_rows_either_has_learnt_in_another_version_is_not_judged_on(corrected):
    """Live's last day is its own; the lane ends a day later, in which live's candidate was rejected, and has learnt that day."""
    place = corrected.place
    plan_days = range(4, 9)
    corrected.deliver(8)
    assert run_span(with_gate(place, auc_at_least=1.0), corrected.day(8)).result == "rejected"
    corrected.deliver_again(7, dearer(corrected.rows(7)))
    for n in plan_days:
        assert run_span(place, corrected.day(n), AGAIN).result == "promoted"
    plan = plan_lane_promotion(place, AGAIN)
    learnt_by_both = seen_by(place.store, load_manifest(place.store, plan.candidate.release_id, published=True))
    assert corrected.day(7) in {span for span, _, part in learnt_by_both if part == "holdout"}
    assert {part.span for part in plan.holdout} == {corrected.day(8)}


def test_done_twice_it_is_one_move(rebuilt):
    place = rebuilt.place
    plan = plan_lane_promotion(place, AGAIN)
    key = compare_lane(place, plan)
    done = promote_lane(place, AGAIN, key, WHY)
    objects = dict(place.store.objects)
    assert promote_lane(place, AGAIN, key, "again") == done
    assert adopted(place, AGAIN) == done
    assert place.store.objects == objects
    with pytest.raises(OrderError, match="is live's already"):
        plan_lane_promotion(place, AGAIN)


def test_a_comparison_with_a_champion_that_live_has_left_since_moves_nothing(rebuilt):
    place = rebuilt.place
    plan = plan_lane_promotion(place, AGAIN)
    key = compare_lane(place, plan)
    rebuilt.deliver(8)
    later = run_span(place, rebuilt.day(8)).release
    with pytest.raises(StaleError, match=f"got {later} as champion, wanted {plan.champion}"):
        promote_lane(place, AGAIN, key, WHY)
    assert champion(place.store, LIVE).release_id == later


class OvertakenStore:
    """Passes everything on; right before the swap of live's pointer somebody else moves it."""

    def __init__(self, store, move):
        self._store, self._move = store, move

    def __getattr__(self, name):
        return getattr(self._store, name)

    def swap(self, key, data, etag):
        if key == layout.champion(LIVE):
            self._move()
        return self._store.swap(key, data, etag)


def test_who_moves_the_pointer_at_the_same_moment_wins_and_the_lane_is_compared_again(rebuilt):
    place = rebuilt.place
    plan = plan_lane_promotion(place, AGAIN)
    key = compare_lane(place, plan)
    overtaken = OvertakenStore(place.store, lambda: freeze(place.store, LIVE, place.because("incident 12")))
    with pytest.raises(StaleError):
        promote_lane(replace(place, store=overtaken), AGAIN, key, WHY)
    assert champion(place.store, LIVE).frozen == "incident 12"
    thaw(place.store, LIVE, place.because("over"))
    assert promote_lane(place, AGAIN, key, WHY).release_id == plan.candidate.release_id


def test_a_comparison_of_a_champion_that_the_lane_has_left_since_moves_nothing(rebuilt):
    place = rebuilt.place
    plan = plan_lane_promotion(place, AGAIN)
    key = compare_lane(place, plan)
    roll_back(place, plan_rollback(place, AGAIN), "worse")
    with pytest.raises(StaleError, match=f"lane again: got r-.* as champion, wanted {plan.candidate.release_id}"):
        promote_lane(place, AGAIN, key, WHY)


def test_what_the_gate_rejects_is_promoted_by_nobody(rebuilt):
    place = with_gate(rebuilt.place, auc_at_least=1.0)
    plan, before = plan_lane_promotion(place, AGAIN), champion(place.store, LIVE)
    key = compare_lane(place, plan)
    assert verdict_of(place, key).decision == "reject"
    with pytest.raises(PermanentError, match=r"the gate rejects r-.*: AUC is .* Live's champion stays; look at the report"):
        promote_lane(place, AGAIN, key, WHY)
    assert champion(place.store, LIVE) == before


def test_a_failed_dry_run_is_a_reject_with_its_reasons(rebuilt):
    place = rebuilt.place
    plan = plan_lane_promotion(place, AGAIN)
    manifest = load_manifest(place.store, plan.candidate.release_id, published=True)
    weights = next(file for file in manifest.files if file.name == "weights.safetensors")
    place.store.objects[layout.release_file(manifest.release_id, weights)] = b"torn"
    verdict = verdict_of(place, compare_lane(place, plan))
    assert (verdict.decision, verdict.candidate_metrics) == ("reject", None)


def test_what_the_gate_holds_is_promoted_by_the_person_and_the_answer_is_kept_under_the_verdict(rebuilt):
    place = replace(with_gate(rebuilt.place, min_users=1_000_000), actor="shell:ann")
    plan = plan_lane_promotion(place, AGAIN)
    key = compare_lane(place, plan)
    verdict = verdict_of(place, key)
    assert verdict.decision == "hold"
    pointer = promote_lane(place, AGAIN, key, WHY)
    assert (pointer.kind, pointer.release_id, pointer.moved_by) == ("adopt", plan.candidate.release_id, "shell:ann")
    answer = Ruling.from_bytes(stored(place.store, layout.ruling(rebuilt.day(7), verdict.content_digest())))
    assert (answer.answer, answer.reviewed_by, answer.reason) == ("accept", "shell:ann", WHY)


def test_who_has_said_no_to_the_same_verdict_is_heard(rebuilt):
    place = with_gate(rebuilt.place, min_users=1_000_000)
    plan = plan_lane_promotion(place, AGAIN)
    key = compare_lane(place, plan)
    verdict = verdict_of(place, key)
    told = {"span": rebuilt.day(7), "release_id": verdict.candidate, "verdict_sha256": verdict.content_digest()}
    by = {"answer": "reject", "reason": "no", "reviewed_at": place.clock(), "reviewed_by": "shell:bob"}
    place.store.create(layout.ruling(rebuilt.day(7), verdict.content_digest()), Ruling(**told, **by).to_bytes())
    with pytest.raises(UsageError, match=r"rejected by shell:bob .* The first answer to a verdict stands"):
        promote_lane(place, AGAIN, key, WHY)
    assert champion(place.store, LIVE).release_id == plan.champion


@pytest.mark.parametrize("blank", ["", " \n"])
def test_without_a_reason_nothing_is_promoted(rebuilt, blank):
    plan = plan_lane_promotion(rebuilt.place, AGAIN)
    with pytest.raises(UsageError, match="reason: got nothing"):
        promote_lane(rebuilt.place, AGAIN, compare_lane(rebuilt.place, plan), blank)


def test_live_is_not_promoted_over_itself_nor_a_lane_that_nobody_has_begun_or_that_promoted_nothing(quick):
    with pytest.raises(UsageError, match="can't be promoted over itself"):
        plan_lane_promotion(quick.place, LIVE)
    with pytest.raises(OrderError, match="there is no such lane, wanted one of: there is none yet"):
        plan_lane_promotion(quick.place, "nowhere")
    quick.deliver(3)
    run_span(quick.place, quick.day(3))
    plan_replay(quick.place, quick.day(3), AGAIN)
    with pytest.raises(OrderError, match=f"there is no such lane, wanted one of: {AGAIN}"):
        plan_lane_promotion(quick.place, "nowhere")
    with pytest.raises(OrderError, match=f"lane {AGAIN}: it has settled no day yet"):
        plan_lane_promotion(quick.place, AGAIN)
    assert run_span(with_gate(quick.place, auc_at_least=1.0), quick.day(3), AGAIN).result == "rejected"
    with pytest.raises(OrderError, match=rf"lane {AGAIN}: none of its 1 day\(s\) was promoted"):
        plan_lane_promotion(quick.place, AGAIN)
    with pytest.raises(UsageError, match="wanted small letters"):
        plan_lane_promotion(quick.place, "No Lane")


def test_a_lane_that_lags_behind_live_is_refused_with_how_many_days_and_what_rebuilds_them(corrected):
    for n in (4, 5):
        run_span(corrected.place, corrected.day(n), AGAIN)
    with pytest.raises(OrderError) as refused:
        plan_lane_promotion(corrected.place, AGAIN)
    said, first = str(refused.value), corrected.day(6)
    assert f"its head is {corrected.day(5)}, wanted live's, {corrected.day(7)}: 2 day(s) of live are later" in said
    assert f"`widedeep replay --from {first} --lane {AGAIN}`" in said
    assert f'the DAG widedeep_replay with {{"from": "{first}", "lane": "{AGAIN}"}}' in said


def test_a_lane_that_has_gone_past_live_is_refused(rebuilt):
    rebuilt.deliver(8)
    run_span(rebuilt.place, rebuilt.day(8), AGAIN)
    with pytest.raises(OrderError, match=f"its head is {rebuilt.day(8)}, wanted live's, {rebuilt.day(7)}"):
        plan_lane_promotion(rebuilt.place, AGAIN)


@pytest.mark.parametrize("lane", [LIVE, AGAIN])
def test_nothing_is_promoted_into_or_out_of_a_frozen_lane(rebuilt, lane):
    plan = plan_lane_promotion(rebuilt.place, AGAIN)
    key = compare_lane(rebuilt.place, plan)
    freeze(rebuilt.place.store, lane, rebuilt.place.because("incident 12"))
    with pytest.raises(WithheldError, match=f"lane {lane} is frozen: incident 12"):
        plan_lane_promotion(rebuilt.place, AGAIN)
    if lane == LIVE:
        with pytest.raises(WithheldError, match="lane live is frozen: incident 12"):
            promote_lane(rebuilt.place, AGAIN, key, WHY)


def test_a_lane_that_descends_from_what_live_took_back_is_refused(corrected):
    place = corrected.place
    run_span(place, corrected.day(7), AGAIN)
    corrected.deliver(8)
    run_span(place, corrected.day(8), AGAIN)
    run_span(place, corrected.day(8))
    back = lanes.outcome(place.store, LIVE, corrected.day(5)).release_id
    plan = plan_rollback(place, LIVE, back)
    roll_back(place, plan, "worse")
    with pytest.raises(WithheldError, match=f"is or descends from ({'|'.join(plan.withdrawn)}), which a rollback withdrew"):
        plan_lane_promotion(place, AGAIN)


def test_after_a_rollback_the_lane_is_not_promoted_again_by_whoever_does_it_again(rebuilt):
    place, old = rebuilt.place, champion(rebuilt.place.store, LIVE).release_id
    plan = plan_lane_promotion(place, AGAIN)
    key = compare_lane(place, plan)
    new = promote_lane(place, AGAIN, key, WHY).release_id
    back = plan_rollback(place, LIVE, old)
    assert back.withdrawn == (new,)
    assert roll_back(place, back, "worse").release_id == old
    with pytest.raises(WithheldError, match=f"{new}, which a rollback withdrew"):
        plan_lane_promotion(place, AGAIN)
    with pytest.raises(WithheldError, match=f"{new} was withdrawn by a rollback"):
        promote_lane(place, AGAIN, key, "a task that was cleared")


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


def test_whatever_write_it_dies_at_readers_have_a_champion_and_doing_it_again_converges(rebuilt):
    begun, old = dict(rebuilt.place.store.objects), champion(rebuilt.place.store, LIVE).release_id
    new = champion(rebuilt.place.store, AGAIN).release_id
    held, n = with_gate(rebuilt.place, min_users=1_000_000), 0
    while True:
        n += 1
        for after in (False, True):
            rebuilt.place.store.objects = dict(begun)
            dying = replace(held, store=DyingStore(rebuilt.place.store, n, after=after))
            try:
                plan = plan_lane_promotion(dying, AGAIN)
                promote_lane(dying, AGAIN, compare_lane(dying, plan), WHY)
            except StoreUnavailableError:
                pass
            else:
                assert n > 7, "dry run, page, report, verdict, decision, answer, and the move"
                return
            assert champion(rebuilt.place.store, LIVE).release_id in {old, new}
            if adopted(held, AGAIN) is None:
                plan = plan_lane_promotion(held, AGAIN)
                promote_lane(held, AGAIN, compare_lane(held, plan), WHY)
            kinds = [key for key in rebuilt.place.store.objects if key.startswith(layout.evidences(new)) and key not in begun]
            assert sum("/verdict-" in key for key in kinds) == 1
            assert sum("/dry-run-" in key for key in kinds) == 1
            assert adopted(held, AGAIN).sequence == 7


def test_where_signatures_are_required_evidence_and_move_are_signed_and_the_release_verifies(signed):
    place = signed.place = with_gate(signed.place, margin=0.5)
    for n in (3, 4):
        signed.deliver(n)
        assert run_span(place, signed.day(n)).result == "promoted"
    signed.deliver_again(4, dearer(signed.rows(4)))
    assert run_span(place, signed.day(4), AGAIN).result == "promoted"
    pointer = promoted(signed)
    found = verify(place, pointer.release_id, lambda *_: None)
    assert found.problems == ()
    assert len(releases.releases(place.store)) == 4
