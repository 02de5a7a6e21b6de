"""The gate's law: promote what is shown to be good enough, reject what is shown to be worse, and say why in numbers."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import widedeep
from widedeep.artifacts import Candidate, DryRunReport, MetricReport
from widedeep.data.contract import Gate, SliceLimit
from widedeep.evaluation.gate import Anchor, Comparison, Contrast, Level, decide, worse_slices
from widedeep.evaluation.holdout import Holdout, Scored, compare, level
from widedeep.evaluation.metrics import Estimate, row_losses
from widedeep.evaluation.slices import Slice

CANDIDATE = Candidate(release_id="r-" + "1" * 16, span="2026-01-02", parent="r-" + "2" * 16, manifest_sha256="a" * 64)
LIMITS = Gate(margin=0.01, min_users=5, calibration_shift=0.03)
ROOT = Path(widedeep.__file__).parent
SEVERITY = {"promote": 0, "hold": 1, "reject": 2}


def rehearsed(*failures, manifest="a" * 64):
    return DryRunReport(
        release_id=CANDIDATE.release_id,
        manifest_sha256=manifest,
        failures=failures,
        files_verified=6,
        rows_scored=10,
        largest_score_error=0.0,
        load_s=0.1,
    )


def quality(**changes):
    good = {"rows": 500, "users": 50, "label_rate": 0.5, "log_loss": 0.6, "ne": 0.87, "auc": 0.7, "calibration": 1.0}
    return MetricReport(**{**good, **changes})


def estimate(lower, upper):
    """One whose interval at 95 % this is, of many users."""
    return Estimate((lower + upper) / 2, (upper - lower) / 2 / 1.959964, 1e9)


def contrast(lower, upper, name="All rows", margin=0.01):
    return Contrast(name, estimate(lower, upper), margin, 500, 50)


def against(lower, upper, **more):
    return Comparison("r-" + "2" * 16, "b" * 64, quality(), contrast(lower, upper), **more)


def judge(comparison, metrics=None, dry_run=None, limits=LIMITS):
    return decide(CANDIDATE, metrics or quality(), dry_run or rehearsed(), comparison, (), limits)


FINE = against(-0.02, 0.005)


@pytest.mark.parametrize(
    ("lower", "upper", "decision"),
    [(-0.02, 0.009, "promote"), (0.011, 0.03, "reject"), (-0.01, 0.02, "hold"), (0.009, 0.011, "hold")],
)
def test_the_interval_decides_against_the_margin(lower, upper, decision):
    assert judge(against(lower, upper)).decision == decision


@pytest.mark.parametrize("comparison", [against(-0.5, -0.4), None], ids=["champion", "first"])
def test_too_few_users_decide_nothing_however_good_or_bad_they_look(comparison):
    for metrics in (quality(users=4), quality(users=4, auc=0.1, calibration=9.0)):
        verdict = judge(comparison, metrics)
        assert (verdict.decision, "fewer than 5" in verdict.reasons[0]) == ("hold", True)


@pytest.mark.parametrize(("level", "told"), [(0.95, "(95% interval"), (0.995, "(99.5% interval"), (0.9999, "(99.99% interval")])
def test_no_interval_is_told_as_a_certain_one(level, told):
    reasons = judge(against(-0.01, 0.02), limits=LIMITS.model_copy(update={"confidence": level})).reasons
    assert told in reasons[0]


def test_a_contract_may_reject_what_is_undecided():
    assert judge(against(-0.01, 0.02), limits=LIMITS.model_copy(update={"undecided": "reject"})).decision == "reject"


def test_the_first_release_passes_by_absolute_checks_and_says_so():
    verdict = judge(None)
    assert verdict.decision == "promote"
    assert verdict.absolute_checks_only
    assert "absolute checks only" in verdict.reasons[0]


def test_rows_of_one_class_pass_no_check():
    verdict = judge(None, quality(auc=None, ne=None, calibration=None))
    assert (verdict.decision, "one class" in verdict.reasons[0]) == ("hold", True)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"auc": 0.5}, "AUC is 0.5000"), ({"ne": 1.1}, "normalised entropy is 1.1000"), ({"calibration": 2.0}, "calibration")],
)
def test_an_absolute_check_rejects_even_what_beats_the_champion(change, words):
    verdict = judge(against(-0.3, -0.2), metrics=quality(**change))
    assert verdict.decision == "reject"
    assert words in verdict.reasons[0]


def test_a_failed_dry_run_rejects_with_its_own_words():
    verdict = judge(against(-0.3, -0.2), dry_run=rehearsed("scores differ from the trainer's by 0.3"))
    assert (verdict.decision, verdict.reasons) == ("reject", ("scores differ from the trainer's by 0.3",))


def test_without_a_held_out_row_nothing_is_decided_and_the_contract_says_what_then():
    verdict = decide(CANDIDATE, None, rehearsed(), None, (), LIMITS)
    assert (verdict.decision, verdict.candidate_metrics) == ("hold", None)
    assert decide(CANDIDATE, None, rehearsed("NaN"), None, (), LIMITS).decision == "reject"


def test_the_dry_run_of_another_candidate_is_refused():
    with pytest.raises(ValueError, match="rehearsed"):
        judge(None, dry_run=rehearsed(manifest="f" * 64))


def test_a_slice_that_is_shown_to_be_worse_holds_what_is_better_over_all_and_is_named_with_its_numbers():
    bad, good = contrast(0.02, 0.04, "country = DE"), contrast(-0.01, 0.03, "country = FR")
    verdict = judge(replace(FINE, slices=(good, bad)))
    assert verdict.decision == "hold"
    assert "country = DE (500 rows of 50 users): loss differs by +0.0300" in verdict.reasons[0]
    assert not any("country = FR" in reason for reason in verdict.reasons)
    assert [each.name for each in verdict.slices] == ["country = FR", "country = DE"]
    assert judge(replace(FINE, slices=(good,))).decision == "promote"


def test_many_slices_make_one_that_is_worse_by_luck_no_reason():
    """One-sided, 2.3 standard errors above the margin are one in 93: shown for one slice, not for one of twenty."""
    lucky, fine = Contrast("a", Estimate(0.033, 0.01, 1e9), 0.01, 9, 9), contrast(-0.02, 0.0, "b")
    assert worse_slices([lucky], 0.95) == (lucky,)
    assert worse_slices([lucky, *[fine] * 19], 0.95) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_slices_are_shown_by_holms_rule(chances):
    """Against the definition: the smallest chances, as long as each of them is below its share of the level."""

    class Fixed:
        def __init__(self, chance):
            self.chance = lambda _bound: chance

    slices = [Contrast(str(i), Fixed(chance), 0.01, 9, 9) for i, chance in enumerate(chances)]
    ordered = np.sort(chances)
    passed = ordered <= 0.05 / np.arange(len(ordered), 0, -1)
    wanted = len(ordered) if passed.all() else int(np.argmin(passed))
    assert len(worse_slices(slices, 0.95)) == wanted


def test_a_candidate_that_is_not_shown_to_be_as_good_as_the_anchor_is_held():
    anchor = Anchor("r-" + "9" * 16, "c" * 64, contrast(0.004, 0.02))
    verdict = judge(replace(FINE, anchor=anchor))
    assert (verdict.decision, verdict.anchor) == ("hold", anchor.release_id)
    assert f"against the anchor {anchor.release_id} loss differs by +0.0120" in verdict.reasons[0]
    assert judge(replace(FINE, anchor=replace(anchor, contrast=contrast(-0.02, 0.009)))).decision == "promote"


@pytest.mark.parametrize(
    ("shift", "middle", "decision", "words"),
    [
        ((0.01, 0.029), (0.1, 0.2), "promote", "within the margin"),  # moved little
        ((0.04, 0.06), (0.01, 0.04), "reject", "away from what was observed"),
        ((0.04, 0.06), (-0.01, 0.04), "hold", "not shown to be right"),
        ((0.04, 0.06), (-0.05, -0.01), "promote", "nearer to what was observed"),
        ((-0.06, -0.04), (-0.05, -0.01), "reject", "away from what was observed"),
        ((-0.06, -0.04), (0.01, 0.05), "promote", "nearer to what was observed"),
        ((-0.06, 0.01), (-0.5, -0.4), "promote", "within the margin"),  # not shown to have moved
    ],
)
def test_the_mean_score_moves_far_only_towards_what_was_observed(shift, middle, decision, words):
    verdict = judge(replace(FINE, level=Level(estimate(*shift), estimate(*middle))))
    assert (verdict.decision, words in " ".join(verdict.reasons)) == (decision, True)


def test_what_is_too_good_to_be_true_waits_for_a_person():
    leaked = judge(FINE, quality(auc=0.76))
    assert (leaked.decision, "too good to be true" in leaked.reasons[0]) == ("hold", True)
    assert judge(FINE, quality(auc=0.72)).decision == "promote"
    assert judge(None, quality(auc=0.99)).decision == "hold"


def holdout(seed, rate):
    rng = np.random.default_rng(seed)
    users, labels = rng.integers(0, 30, 300), (rng.random(300) < rate).astype(float)
    groups = [Slice(f"g{i}", rng.random(300) < 0.3, SliceLimit(of="g")) for i in range(3)]
    weights = rng.uniform(0.5, 2, 300)
    return Holdout(labels, users, weights, slices=tuple(groups)), np.clip(rng.random((3, 300)), 0.01, 0.99)


def decided(asked, losses, champion, anchor):
    """By losses, with all else as the champion has it: what the laws speak of."""
    everywhere = np.ones(len(losses), np.bool_)
    report = asked.metrics(champion)
    theirs, older = (row_losses(asked.labels, scores) for scores in (champion, anchor))
    comparison = Comparison(
        "r-" + "2" * 16,
        "b" * 64,
        report,
        asked.contrast("All rows", everywhere, losses - theirs, 0.05),
        tuple(asked.contrast(each.name, each.inside, losses - theirs, 0.1) for each in asked.slices),
        anchor=Anchor("r-" + "9" * 16, "c" * 64, asked.contrast("anchor", everywhere, losses - older, 0.05)),
    )
    limits = LIMITS.model_copy(update={"auc_at_least": 0.0, "ne_at_most": 99.0, "calibration": (0.0, 99.0)})
    return judge(comparison, report, limits=limits).decision


@given(seed=st.integers(0, 2**16), extra=st.floats(0, 2), better=st.floats(0, 3), rate=st.floats(0.05, 0.95))
def test_the_same_added_loss_on_every_row_never_improves_a_verdict(seed, extra, better, rate):
    asked, (candidate, champion, anchor) = holdout(seed, rate)
    losses = row_losses(asked.labels, candidate) - better
    before, after = (decided(asked, losses + added, champion, anchor) for added in (0.0, extra))
    assert SEVERITY[after] >= SEVERITY[before]


@given(
    seed=st.integers(0, 2**16),
    share=st.floats(0, 1),
    size=st.floats(0, 50),
    better=st.floats(-1, 1),
    rate=st.floats(0.05, 0.95),
)
def test_added_loss_on_any_rows_never_turns_a_reject_into_a_promote(seed, share, size, better, rate):
    asked, (candidate, champion, anchor) = holdout(seed, rate)
    losses = row_losses(asked.labels, candidate) - better
    rng = np.random.default_rng(seed + 1)
    added = size * rng.random(300) * (rng.random(300) < share)
    if decided(asked, losses, champion, anchor) == "reject":
        assert decided(asked, losses + added, champion, anchor) != "promote"


def test_margins_in_units_of_normalised_entropy_are_shares_of_the_label_rates_own_loss():
    asked, (candidate, champion, _) = holdout(3, 0.2)
    nats = Gate(margin=0.005, slice_margin=0.01, min_users=5)
    entropy = float(
        np.average(row_losses(asked.labels, np.full(300, np.average(asked.labels, weights=asked.weights))), weights=asked.weights)
    )
    beside = Scored("r-" + "2" * 16, "b" * 64, champion)
    one, other = (compare(asked, candidate, beside, beside, limits) for limits in (nats, nats.model_copy(update={"unit": "ne"})))
    for mine, theirs in zip(
        (one.overall, one.anchor.contrast, *one.slices), (other.overall, other.anchor.contrast, *other.slices), strict=True
    ):
        assert theirs.margin == pytest.approx(mine.margin * entropy)
        assert theirs.difference == mine.difference


def test_scores_that_are_all_a_twentieth_higher_are_seen_to_have_moved_by_that_much():
    asked, (_, champion, _) = holdout(5, 0.3)
    moved = level(asked, champion * 1.05, champion)
    assert moved.shift.value == pytest.approx(np.log(1.05))
    assert moved.shift.error == pytest.approx(0, abs=1e-12)
    rate = np.average(asked.labels, weights=asked.weights)
    off = np.log(np.average(champion, weights=asked.weights) / rate)
    assert moved.middle.value == pytest.approx(off + np.log(1.05) / 2)
    assert level(Holdout(np.zeros(300), asked.users, asked.weights), champion, champion) is None


def test_only_the_gate_makes_verdicts():
    """All others get theirs from `decide`, or read it back from the store."""
    makers = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Verdict"
    }
    assert makers == {"evaluation/gate.py"}
