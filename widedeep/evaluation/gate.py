"""The gate: may this candidate replace the champion? Only `decide` makes a `Verdict`, bound to the digests of what was judged.

With D = candidate − champion log loss on the same unseen rows: promote when D is shown to be below the margin, reject when it is
shown to be above it or an absolute check fails, and otherwise `undecided` as the contract says.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from widedeep.artifacts import (
    Candidate,
    Decision,
    Digest,
    DryRunReport,
    Interval,
    Manifest,
    MetricReport,
    Part,
    ReleaseId,
    Verdict,
)
from widedeep.data.contract import Gate


@dataclass(frozen=True)
class Comparison:
    """The champion's side of the judgement: which release and, where rows were scored, its metrics and the paired difference."""

    release_id: ReleaseId
    manifest_sha256: Digest
    metrics: MetricReport | None
    difference: Interval | None

    @classmethod
    def unscored(cls, champion: Manifest | None) -> "Comparison | None":
        return cls(champion.release_id, champion.content_digest(), None, None) if champion else None


def decide(
    candidate: Candidate,
    metrics: MetricReport | None,
    dry_run: DryRunReport,
    comparison: Comparison | None,
    holdout: tuple[Part, ...],
    limits: Gate,
) -> Verdict:
    """Judge a candidate; without a `comparison` (the first release ever) by the absolute checks only.

    `metrics` is None where no held-out row could be scored: then a failed dry run rejects, and else nothing is decided.

    Raises:
        ValueError: the dry run rehearsed another candidate.
    """
    if dry_run.manifest_sha256 != candidate.manifest_sha256:
        raise ValueError(f"the dry run rehearsed {dry_run.release_id}, wanted {candidate.release_id}: run it for this candidate")
    decision, reasons = _weigh(metrics, dry_run.failures, comparison, limits)
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


def _weigh(
    metrics: MetricReport | None, dry_run_failures: tuple[str, ...], comparison: Comparison | None, limits: Gate
) -> tuple[Decision, tuple[str, ...]]:
    failures = (*dry_run_failures, *(_absolute_failures(metrics, limits) if metrics else ()))
    if failures:
        return "reject", failures
    if metrics is None:
        return limits.undecided, (f"no held-out row to judge by; {_undecided(limits)}",)
    return _compare(comparison, limits)


def _undecided(limits: Gate) -> str:
    return f"undecided, which the contract takes as {limits.undecided}"


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
    if comparison.difference is None or comparison.metrics is None:
        return limits.undecided, (f"no row to compare on; {_undecided(limits)}",)
    d, users = comparison.difference, comparison.metrics.users
    interval = f"{d.level:.0%} interval {d.lower:+.4f} to {d.upper:+.4f}, {users} users"
    found = f"loss differs from the champion's by {d.estimate:+.4f} ({interval})"
    if users < limits.min_users:
        return limits.undecided, (f"{found}: fewer than {limits.min_users} users can't decide; {_undecided(limits)}",)
    if d.upper < limits.margin:
        return "promote", (f"{found}: shown to be within the margin of {limits.margin}",)
    if d.lower > limits.margin:
        return "reject", (f"{found}: shown to be worse than the margin of {limits.margin}",)
    return limits.undecided, (
        f"{found}: neither shown to be inside nor outside the margin of {limits.margin}; {_undecided(limits)}",
    )
