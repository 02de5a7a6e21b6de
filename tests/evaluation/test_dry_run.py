"""What a dry run measured is judged by laws: worse in anything never passes where better failed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from widedeep.artifacts import DryRunReport
from widedeep.data.contract import DryRun
from widedeep.evaluation.dry_run import Measured, Scores, Served, failures, rank_correlation, slow, unfit

LIMITS = DryRun()
FORMATS = Path(__file__).parents[1] / "formats"
FINE = Measured(
    candidate=Served(load_s=1.0, ms=(3.0,) * 40, base_mb=300.0, peak_mb=400.0, growth_mb=5.0, files_mb=10.0),
    champion=Served(load_s=1.0, ms=(3.0,) * 40, base_mb=300.0, peak_mb=400.0, files_mb=10.0),
    scores=Scores(rows=256, lowest=0.1, highest=0.9, largest_error=1e-9),
    repeated=0.0,
    agreement=0.9,
)

WORSE = {
    "load_s": lambda m, by: replace(m, candidate=replace(m.candidate, load_s=m.candidate.load_s + by)),
    "ms": lambda m, by: replace(m, candidate=replace(m.candidate, ms=tuple(ms + by for ms in m.candidate.ms))),
    "peak": lambda m, by: replace(m, candidate=replace(m.candidate, peak_mb=m.candidate.peak_mb + by)),
    "growth": lambda m, by: replace(m, candidate=replace(m.candidate, growth_mb=m.candidate.growth_mb + by)),
    "files": lambda m, by: replace(m, candidate=replace(m.candidate, files_mb=m.candidate.files_mb + by)),
    "error": lambda m, by: replace(m, scores=replace(m.scores, largest_error=m.scores.largest_error + by)),
    "above": lambda m, by: replace(m, scores=replace(m.scores, highest=max(1.0, m.scores.highest) + by)),
    "below": lambda m, by: replace(m, scores=replace(m.scores, lowest=min(0.0, m.scores.lowest) - by)),
    "repeated": lambda m, by: replace(m, repeated=m.repeated + by),
    "agreement": lambda m, by: replace(m, agreement=None if m.agreement is None else m.agreement - by),
    "faults": lambda m, by: replace(m, faults=(*m.faults, f"{by} more")),
}

amounts = st.floats(min_value=0, max_value=1e5)
times = st.lists(st.floats(min_value=0.1, max_value=1e4), max_size=40).map(tuple)
served = st.builds(Served, load_s=amounts, ms=times, base_mb=amounts, peak_mb=amounts, growth_mb=amounts, files_mb=amounts)
measurements = st.builds(
    Measured,
    candidate=served,
    champion=st.none() | served,
    scores=st.builds(
        Scores,
        rows=st.integers(0, 1000),
        lowest=st.floats(-2, 1),
        highest=st.floats(1, 3) | st.floats(0.5, 1),
        largest_error=st.floats(0, 1),
    ),
    repeated=st.sampled_from([0.0, 1e-9, 0.1]),
    agreement=st.none() | st.floats(-1, 1),
    faults=st.sampled_from([(), ("good requests: 1 of 3 failed",)]),
)


def test_what_is_fine_has_no_failure():
    assert failures(FINE, LIMITS, "float32") == ()
    assert failures(replace(FINE, champion=None, agreement=None), LIMITS, "float32") == ()


@given(
    measurements, st.sampled_from(sorted(WORSE)), st.floats(min_value=0, max_value=1e5), st.sampled_from(["float32", "bfloat16"])
)
def test_worse_never_passes_where_better_failed(measured, what, by, precision):
    worse = WORSE[what](measured, by)
    assert not failures(measured, LIMITS, precision) or failures(worse, LIMITS, precision)


@given(measurements)
def test_a_reason_is_of_latency_or_another_and_none_is_lost(measured):
    told = failures(measured, LIMITS, "float32")
    assert told == (*unfit(measured, LIMITS, "float32"), *slow(measured, LIMITS))
    assert all(reason.startswith("slow: ") for reason in slow(measured, LIMITS))
    assert not any(reason.startswith("slow: ") for reason in unfit(measured, LIMITS, "float32"))


@pytest.mark.parametrize(
    ("worse", "reason"),
    [
        (WORSE["load_s"](FINE, 130), "took 131.0 s to load, wanted at most 120 s"),
        (WORSE["ms"](FINE, 7), "slow: p50 of a request is 10.0 ms, the champion's 3.0 ms, wanted at most 3 times that"),
        (WORSE["peak"](FINE, 250), "memory: the release takes 350 MB, the champion's 100 MB, wanted at most 300 MB"),
        (WORSE["files"](FINE, 190), "memory: its files have 200 MB, the champion's 10 MB, wanted at most 128 MB"),
        (WORSE["growth"](FINE, 195), "memory grew by 200 MB while it was asked, wanted at most 128 MB"),
        (WORSE["error"](FINE, 2e-6), "scores differ from the trainer's by up to 2.00e-06, wanted at most 1e-06"),
        (WORSE["above"](FINE, 0.5), "scores of 256 real rows lie between 0.1 and 1.5, wanted probabilities"),
        (WORSE["repeated"](FINE, 1e-9), "the same request got scores that differ by 1.00e-09, wanted the same scores"),
        (WORSE["agreement"](FINE, 0.8), "ranks items unlike the champion: rank correlation 0.10 on average, wanted at least 0.2"),
        (
            replace(FINE, scores=Scores(256, 0.5, 0.5, 0.0)),
            "scores of 256 real rows lie between 0.5 and 0.5: all the same, wanted some that differ",
        ),
        (replace(FINE, scores=Scores(0, 0.0, 0.0, 0.0)), "no real row was scored, wanted at least one"),
    ],
)
def test_each_reason_says_what_was_found_and_what_was_wanted(worse, reason):
    assert reason in failures(worse, LIMITS, "float32")


def test_without_a_champion_only_the_absolute_limits_hold():
    alone = replace(WORSE["ms"](WORSE["files"](FINE, 1000), 100), champion=None)
    assert failures(alone, LIMITS, "float32") == ()
    (p50,) = slow(replace(WORSE["ms"](FINE, 300), champion=None), LIMITS)
    assert p50 == "slow: p50 of a request is 303.0 ms, wanted at most 250 ms"


def test_bfloat16_has_a_tolerance_of_its_own():
    off = WORSE["error"](FINE, 0.01)
    assert failures(off, LIMITS, "bfloat16") == ()
    assert failures(off, LIMITS, "float32")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_the_rank_correlation_is_spearmans(pairs):
    one, other = (np.array(side, float) for side in zip(*pairs, strict=True))
    found = rank_correlation(one, other)
    if found is None:
        assert np.ptp(one) == 0 or np.ptp(other) == 0
    else:
        assert found == pytest.approx(spearmanr(one, other).statistic)


@pytest.mark.parametrize("stored", sorted(FORMATS.glob("*/store/evidence/*/dry-run-*.json")), ids=lambda path: path.parent.name)
def test_a_report_from_before_there_was_so_much_to_tell_is_read_and_written_as_it_was(stored):
    assert DryRunReport.from_bytes(stored.read_bytes()).to_bytes() == stored.read_bytes()
