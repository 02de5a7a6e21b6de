"""The gate: may this candidate replace the champion? Only `decide` makes a `Verdict`, bound to the digests of what was judged.

With D = candidate − champion log loss on the same unseen rows: promote when D is shown to be below the margin, reject when it is
shown to be above it or an absolute check fails, and otherwise `undecided` as the contract says.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from widedeep.artifacts import Candidate, Decision, Digest, DryRunReport, Interval, MetricReport, Part, ReleaseId, Verdict
from widedeep.data.contract import Gate


@dataclass(frozen=True)
class Comparison:
    """The champion's side of the judgement: which release, how good, and the paired difference in loss."""

    release_id: ReleaseId
    manifest_sha256: Digest
    metrics: MetricReport
    difference: Interval


def decide(
    candidate: Candidate,
    metrics: MetricReport,
    dry_run: DryRunReport,
    comparison: Comparison | None,
    holdout: tuple[Part, ...],
    limits: Gate,
) -> Verdict:
    """Judge a candidate; without a `comparison` (the first release ever) by the absolute checks only.

    Raises:
        ValueError: the dry run rehearsed another candidate.
    """
    if dry_run.manifest_sha256 != candidate.manifest_sha256:
        raise ValueError(f"the dry run rehearsed {dry_run.release_id}, wanted {candidate.release_id}: run it for this candidate")
    failures = (*dry_run.failures, *_absolute_failures(metrics, limits))
    decision, reasons = ("reject", failures) if failures else _compare(comparison, limits)
    return Verdict(
        decision=decision,
        reasons=reasons,
        candidate=candidate.release_id,
        candidate_manifest_sha256=candidate.manifest_sha256,
        champion=comparison.release_id if comparison else None,
        champion_manifest_sha256=comparison.manifest_sha256 if comparison else None,
        holdout=holdout,
        candidate_metrics=metrics,
        champion_metrics=comparison.metrics if comparison else None,
        loss_difference=comparison.difference if comparison else None,
        absolute_checks_only=comparison is None,
    )


def _absolute_failures(metrics: MetricReport, limits: Gate) -> Iterator[str]:
    low, high = limits.calibration
    if metrics.auc is not None and metrics.auc < limits.auc_at_least:
        yield f"AUC is {metrics.auc:.4f}, wanted at least {limits.auc_at_least}"
    if metrics.ne is not None and metrics.ne > limits.ne_at_most:
        yield f"normalised entropy is {metrics.ne:.4f}, wanted at most {limits.ne_at_most}: the label rate alone predicts better"
    if metrics.calibration is not None and not low <= metrics.calibration <= high:
        yield f"calibration (predicted / observed positives) is {metrics.calibration:.3f}, wanted {low} to {high}"


def _compare(comparison: Comparison | None, limits: Gate) -> tuple[Decision, tuple[str, ...]]:
    if comparison is None:
        return "promote", ("first release of the chain: absolute checks only, and all passed",)
    d, users = comparison.difference, comparison.metrics.users
    interval = f"{d.level:.0%} interval {d.lower:+.4f} to {d.upper:+.4f}, {users} users"
    found = f"loss differs from the champion's by {d.estimate:+.4f} ({interval})"
    undecided = f"undecided, which the contract takes as {limits.undecided}"
    if users < limits.min_users:
        return limits.undecided, (f"{found}: fewer than {limits.min_users} users can't decide; {undecided}",)
    if d.upper < limits.margin:
        return "promote", (f"{found}: shown to be within the margin of {limits.margin}",)
    if d.lower > limits.margin:
        return "reject", (f"{found}: shown to be worse than the margin of {limits.margin}",)
    return limits.undecided, (f"{found}: neither shown to be inside nor outside the margin of {limits.margin}; {undecided}",)
