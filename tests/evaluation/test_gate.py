"""The gate's law: promote what is shown to be good enough, reject what is shown to be worse, and say why in numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.artifacts import Candidate, DryRunReport, Interval, MetricReport
from widedeep.data.contract import Gate
from widedeep.evaluation.gate import Comparison, decide
from widedeep.evaluation.metrics import measure, paired_difference, row_losses

CANDIDATE = Candidate(release_id="r-" + "1" * 16, span="2026-01-02", parent="r-" + "2" * 16, manifest_sha256="a" * 64)
LIMITS = Gate(margin=0.01, min_users=5)
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


def against(lower, upper, users=50):
    interval = Interval(estimate=(lower + upper) / 2, lower=lower, upper=upper, level=0.95)
    return Comparison("r-" + "2" * 16, "b" * 64, quality(users=users), interval)


def judge(comparison, metrics=None, dry_run=None, limits=LIMITS):
    return decide(CANDIDATE, metrics or quality(), dry_run or rehearsed(), comparison, (), limits)


@pytest.mark.parametrize(
    ("lower", "upper", "decision"),
    [(-0.02, 0.009, "promote"), (0.011, 0.03, "reject"), (-0.01, 0.02, "hold"), (0.009, 0.011, "hold")],
)
def test_the_interval_decides_against_the_margin(lower, upper, decision):
    assert judge(against(lower, upper)).decision == decision


def test_too_few_users_decide_nothing_however_good_the_interval():
    assert judge(against(-0.5, -0.4, users=4)).decision == "hold"


def test_a_contract_may_reject_what_is_undecided():
    assert judge(against(-0.01, 0.02), limits=LIMITS.model_copy(update={"undecided": "reject"})).decision == "reject"


def test_the_first_release_passes_by_absolute_checks_and_says_so():
    verdict = judge(None)
    assert verdict.decision == "promote"
    assert verdict.absolute_checks_only
    assert "absolute checks only" in verdict.reasons[0]


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


@given(seed=st.integers(0, 2**16), extra=st.floats(0, 2), rate=st.floats(0.05, 0.95))
def test_the_same_added_loss_on_every_row_never_improves_a_verdict(seed, extra, rate):
    rng = np.random.default_rng(seed)
    users, labels = rng.integers(0, 30, 300), (rng.random(300) < rate).astype(float)
    champion, candidate = np.clip(rng.random((2, 300)), 0.01, 0.99)
    losses, base = row_losses(labels, candidate), row_losses(labels, champion)
    report = measure(labels, champion, users)

    def verdict(added):
        comparison = Comparison("r-" + "2" * 16, "b" * 64, report, paired_difference(losses + added, base, users, 0.95))
        return SEVERITY[judge(comparison).decision]

    assert verdict(extra) >= verdict(0.0)
