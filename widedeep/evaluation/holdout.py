"""The held-out rows that a candidate is judged on, and what lies between it and other models there.

B rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from widedeep.artifacts import Digest, MetricReport, ReleaseId
from widedeep.data.contract import Contract, Gate
from widedeep.evaluation.audience import Audience
from widedeep.evaluation.gate import Anchor, Comparison, Contrast, Level
from widedeep.evaluation.metrics import measure, over_users, paired, row_losses
from widedeep.evaluation.slices import Slice

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

ALL_ROWS = "All rows"


@dataclass(frozen=True)
class Holdout:
    """The rows that count: (B,) labels in {0, 1}, numbers of users, positive weights; who is asked for lists; and its parts.

    Metrics get intervals of that `confidence`, or none.
    """

    labels: Floats
    users: Numbers
    weights: Floats
    audience: Audience | None = None
    slices: tuple[Slice, ...] = ()
    confidence: float | None = None

    def metrics(self, scores: Floats) -> MetricReport:
        return measure(self.labels, scores, self.users, self.weights, self.confidence)

    def contrast(self, name: str, inside: NDArray[np.bool_], differences: Floats, margin: float) -> Contrast:
        """Of the rows inside; `differences` are (B,) candidate − other losses."""
        losses, users, weights = differences[inside], self.users[inside], self.weights[inside]
        found = paired(losses, np.zeros_like(losses), users, weights)
        return Contrast(name, found, margin, len(losses), int(np.count_nonzero(np.bincount(users))))


@dataclass(frozen=True)
class Scored:
    """An earlier release, and its (B,) scores."""

    release_id: ReleaseId
    manifest_sha256: Digest
    scores: Floats


def compare(holdout: Holdout, scores: Floats, champion: Scored, anchor: Scored | None, limits: Gate) -> Comparison:
    """All that the gate judges of a candidate's (B,) scores beside the champion's and the anchor's."""
    metrics = holdout.metrics(champion.scores)
    unit = nats_of(metrics, limits)
    margin, losses = limits.margin * unit, row_losses(holdout.labels, scores)
    worse = losses - row_losses(holdout.labels, champion.scores)
    everywhere, elsewhere = np.ones(len(losses), np.bool_), unit * (limits.slice_margin or 2 * limits.margin)
    judged = [(part, part.limit.margin) for part in holdout.slices if part.limit]
    return Comparison(
        champion.release_id,
        champion.manifest_sha256,
        metrics,
        holdout.contrast(ALL_ROWS, everywhere, worse, margin),
        tuple(holdout.contrast(part.name, part.inside, worse, own * unit if own else elsewhere) for part, own in judged),
        level(holdout, scores, champion.scores),
        _anchored(holdout, losses, anchor, unit * (limits.anchor_margin or limits.margin)) if anchor else None,
    )


def debt(holdout: Holdout, champion: Floats, twin: Floats, contract: Contract) -> Contrast:
    """The champion's loss less that of its twin from scratch, by the (B,) scores of both, with what it may be."""
    worse, everywhere = row_losses(holdout.labels, champion) - row_losses(holdout.labels, twin), np.ones(len(champion), np.bool_)
    limit = contract.audit.limit or contract.gate.margin
    return holdout.contrast(ALL_ROWS, everywhere, worse, limit * nats_of(holdout.metrics(champion), contract.gate))


def nats_of(metrics: MetricReport, limits: Gate) -> float:
    """How many nats a row the unit is in which the contract gives margins, on these rows."""
    return metrics.log_loss / metrics.ne if limits.unit == "ne" and metrics.ne else 1.0


def level(holdout: Holdout, scores: Floats, others: Floats) -> Level | None:
    """How far the mean score moved, and whither; None where nothing is positive, or a model scores nothing above 0."""
    w = holdout.weights
    mine, theirs, positives = w * scores, w * others, w * holdout.labels
    if not all(column.sum() > 0 for column in (mine, theirs, positives)):
        return None
    return Level(
        shift=over_users(lambda p, q, _: np.log(p) - np.log(q), holdout.users, mine, theirs, w),
        middle=over_users(lambda p, q, y, _: (np.log(p) + np.log(q)) / 2 - np.log(y), holdout.users, mine, theirs, positives, w),
    )


def _anchored(holdout: Holdout, losses: Floats, anchor: Scored, margin: float) -> Anchor:
    name, worse = f"Against the anchor {anchor.release_id}", losses - row_losses(holdout.labels, anchor.scores)
    return Anchor(
        anchor.release_id, anchor.manifest_sha256, holdout.contrast(name, np.ones(len(losses), np.bool_), worse, margin)
    )
