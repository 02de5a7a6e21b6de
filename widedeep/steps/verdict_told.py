"""What a verdict says, line by line, for whoever reads it outside its report."""

from collections.abc import Iterator

from widedeep.artifacts import MetricReport, Verdict


def verdict_told(verdict: Verdict) -> Iterator[str]:
    """Its reasons, then its figures."""
    yield from verdict.reasons
    if verdict.candidate_metrics:
        spans = ", ".join(sorted({str(part.span) for part in verdict.holdout}))
        yield f"on {verdict.candidate_metrics.rows:,} held-out rows of {spans or 'no span'}"
        yield f"candidate: {_metrics(verdict.candidate_metrics)}"
    if verdict.champion_metrics:
        yield f"champion {verdict.champion}: {_metrics(verdict.champion_metrics)}"
    if verdict.loss_difference:
        d = verdict.loss_difference
        yield f"difference in log loss {d.estimate:+.4f}, {d.percent} interval {d.lower:+.4f} to {d.upper:+.4f}"


def _metrics(metrics: MetricReport) -> str:
    told = {"AUC": metrics.auc, "NE": metrics.ne, "calibration": metrics.calibration}
    return ", ".join(
        [f"log loss {metrics.log_loss:.4f}", *(f"{name} {value:.4f}" for name, value in told.items() if value is not None)]
    )
