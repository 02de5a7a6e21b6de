"""The gate: may this candidate replace the champion? Only `decide` makes a `Verdict`, bound to the digests of what was judged.

With D = candidate − champion log loss on the same unseen rows:

- reject: the dry run failed, an absolute check failed, D is shown to be above the margin, or the mean score is shown to have
  moved away from the rate of positives;
- promote: D is shown to be below the margin, and nothing is in doubt: no slice is shown to be worse than its own margin, the
  candidate is shown to be as good as the anchor, the mean score has not moved without reason, nothing is too good to be true;
- `undecided`, as the contract says, in all other cases, and always with too few users.

Two laws, by the losses of rows with all else equal: loss that is added to any rows never turns a reject into a promote, and the
same loss added to every row never improves a verdict.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from widedeep.artifacts import (
    Candidate,
    Decision,
    Difference,
    Digest,
    DryRunReport,
    Manifest,
    MetricReport,
    Part,
    ReleaseId,
    Verdict,
)
from widedeep.data.contract import Gate
from widedeep.evaluation.metrics import Estimate


@dataclass(frozen=True)
class Contrast:
    """Candidate − another model's log loss of some rows: `margin` nats a row count as equal there."""

    name: str
    difference: Estimate
    margin: float
    rows: int
    users: int

    def told(self, level: float) -> Difference:
        interval = self.difference.interval(level)
        return Difference(name=self.name, interval=interval, margin=self.margin, rows=self.rows, users=self.users)


@dataclass(frozen=True)
class Level:
    """Log of candidate's over champion's mean score, and of the geometric mean of the two over the rate of positives.

    Where the first is positive and the second negative, the candidate's mean score lies nearer to what was observed.
    """

    shift: Estimate
    middle: Estimate


@dataclass(frozen=True)
class Anchor:
    """An earlier champion, and the paired difference from it."""

    release_id: ReleaseId
    manifest_sha256: Digest
    contrast: Contrast


@dataclass(frozen=True)
class Comparison:
    """The champion's side of the judgement: which release and, where rows were scored, its metrics and what lies between both."""

    release_id: ReleaseId
    manifest_sha256: Digest
    metrics: MetricReport | None = None
    overall: Contrast | None = None
    slices: tuple[Contrast, ...] = ()
    level: Level | None = None
    anchor: Anchor | None = None

    @classmethod
    def unscored(cls, champion: Manifest | None) -> "Comparison | None":
        return cls(champion.release_id, champion.content_digest()) if champion else None


def decide(
    candidate: Candidate,
    metrics: MetricReport | None,
    dry_run: DryRunReport,
    comparison: Comparison | None,
    holdout: tuple[Part, ...],
    limits: Gate,
    doubt: str | None = None,
) -> Verdict:
    """Judge a candidate; without a `comparison` (the first release ever) by the absolute checks only.

    With a `doubt`, in words, nothing is promoted that a person has not decided on. `metrics` is None where no held-out row could
    be scored: then a failed dry run rejects, and else nothing is decided.

    Raises:
        ValueError: the dry run rehearsed another candidate.
    """
    if dry_run.manifest_sha256 != candidate.manifest_sha256:
        raise ValueError(f"the dry run rehearsed {dry_run.release_id}, wanted {candidate.release_id}: run it for this candidate")
    decision, reasons = _weigh(metrics, dry_run.failures, comparison, limits, doubt)
    beside, level = comparison or Comparison("", ""), limits.confidence
    return Verdict(
        decision=decision,
        reasons=reasons,
        candidate=candidate.release_id,
        candidate_manifest_sha256=candidate.manifest_sha256,
        champion=beside.release_id or None,
        champion_manifest_sha256=beside.manifest_sha256 or None,
        holdout=holdout,
        candidate_metrics=metrics,
        champion_metrics=beside.metrics,
        loss_difference=beside.overall.difference.interval(level) if beside.overall else None,
        absolute_checks_only=comparison is None,
        anchor=beside.anchor.release_id if beside.anchor else None,
        anchor_manifest_sha256=beside.anchor.manifest_sha256 if beside.anchor else None,
        anchor_difference=beside.anchor.contrast.difference.interval(level) if beside.anchor else None,
        slices=tuple(each.told(level) for each in beside.slices),
        level=beside.level.shift.interval(level) if beside.level else None,
    )


def worse_slices(slices: Sequence[Contrast], level: float) -> tuple[Contrast, ...]:
    """Those shown to be worse than their margin, the surest first: among all of them one in 1 / (1 − level) times by luck alone.

    One-sided, by the step-down procedure of Holm (1979), which holds however slices overlap.
    """
    chances = sorted(((each.difference.chance(each.margin), each) for each in slices), key=lambda pair: pair[0])
    shown = []
    for place, (chance, each) in enumerate(chances):
        if chance > (1 - level) / (len(chances) - place):
            break
        shown.append(each)
    return tuple(shown)


def _weigh(
    metrics: MetricReport | None,
    dry_run_failures: tuple[str, ...],
    comparison: Comparison | None,
    limits: Gate,
    doubt: str | None,
) -> tuple[Decision, tuple[str, ...]]:
    if dry_run_failures:
        return "reject", dry_run_failures
    if metrics is None or metrics.users < limits.min_users:
        return _undecided([_too_few(metrics, limits)], limits)
    suspicions = [*_too_good(metrics, comparison, limits)]
    if failures := [*_absolute_failures(metrics, limits), *_shown_worse(comparison, limits)]:
        return "reject", (*failures, *suspicions)
    if doubts := [*_unmeasured(metrics), *_doubts(comparison, limits), *suspicions, *filter(None, [doubt])]:
        return _undecided(doubts, limits)
    return "promote", tuple(_fine(comparison, limits))


def _undecided(doubts: list[str], limits: Gate) -> tuple[Decision, tuple[str, ...]]:
    return limits.undecided, (*doubts[:-1], f"{doubts[-1]}; undecided, which the contract takes as {limits.undecided}")


def _too_few(metrics: MetricReport | None, limits: Gate) -> str:
    if metrics is None:
        return "no held-out row to judge by"
    return f"{metrics.rows} held-out rows of {metrics.users} users: fewer than {limits.min_users} users can't decide"


def _absolute_failures(metrics: MetricReport, limits: Gate) -> Iterator[str]:
    low, high = limits.calibration
    if metrics.auc is not None and metrics.auc < limits.auc_at_least:
        yield f"AUC is {metrics.auc:.4f}, wanted at least {limits.auc_at_least}"
    if metrics.ne is not None and metrics.ne > limits.ne_at_most:
        yield f"normalised entropy is {metrics.ne:.4f}, wanted at most {limits.ne_at_most}: the label rate alone predicts better"
    if metrics.calibration is not None and not low <= metrics.calibration <= high:
        yield f"calibration (predicted / observed positives) is {metrics.calibration:.3f}, wanted {low} to {high}"


def _unmeasured(metrics: MetricReport) -> Iterator[str]:
    """Checks that could not be made are not passed."""
    if metrics.auc is None or metrics.calibration is None:
        yield f"all {metrics.rows} held-out rows are of one class: neither AUC nor normalised entropy can be measured"


def _shown_worse(comparison: Comparison | None, limits: Gate) -> Iterator[str]:
    if comparison is None:
        return
    if comparison.overall and comparison.overall.difference.interval(limits.confidence).lower > comparison.overall.margin:
        yield f"{_overall(comparison.overall, limits)}: shown to be worse than the margin of {comparison.overall.margin:.4g}"
    if comparison.level and _moved(comparison.level, limits) == "away":
        yield f"{_level(comparison.level, limits)}: shown to have moved away from what was observed"


def _doubts(comparison: Comparison | None, limits: Gate) -> Iterator[str]:
    """Why a candidate that is not shown to be bad is not shown to be good."""
    if comparison is None:
        return
    overall = comparison.overall
    if overall is None:
        yield "no row to compare on"
        return
    if not _below(overall, limits):
        yield f"{_overall(overall, limits)}: neither shown to be inside nor outside the margin of {overall.margin:.4g}"
    for each in worse_slices(comparison.slices, limits.confidence):
        where = f"{each.name} ({each.rows:,} rows of {each.users:,} users)"
        told = f"{where}: {_differs(each, limits)}: shown to be worse than the margin of {each.margin:.4g} there"
        yield f"{told}, among {len(comparison.slices)} slices"
    if comparison.anchor and not _below(comparison.anchor.contrast, limits):
        contrast = comparison.anchor.contrast
        told = f"against the anchor {comparison.anchor.release_id} {_differs(contrast, limits)}"
        yield f"{told}: not shown to be within the margin of {contrast.margin:.4g}. Days that are each a little worse add up"
    if comparison.level and _moved(comparison.level, limits) == "unclear":
        yield f"{_level(comparison.level, limits)}: not shown to be right"


def _too_good(metrics: MetricReport, comparison: Comparison | None, limits: Gate) -> Iterator[str]:
    leak = "too good to be true: does a feature know the label?"
    theirs = comparison.metrics.auc if comparison and comparison.metrics else None
    if metrics.auc is not None and metrics.auc > limits.auc_at_most:
        yield f"AUC is {metrics.auc:.4f}, more than {limits.auc_at_most}; {leak}"
    if metrics.auc is not None and theirs is not None and metrics.auc - theirs > limits.auc_gain_at_most:
        yield f"AUC is {metrics.auc:.4f}, the champion's {theirs:.4f}: a gain of more than {limits.auc_gain_at_most}; {leak}"


def _fine(comparison: Comparison | None, limits: Gate) -> Iterator[str]:
    if comparison is None or comparison.overall is None:
        yield "first release of the chain: absolute checks only, and all passed"
        return
    yield f"{_overall(comparison.overall, limits)}: shown to be within the margin of {comparison.overall.margin:.4g}"
    if comparison.slices:
        yield f"none of {len(comparison.slices)} slices is shown to be worse than its margin"
    if comparison.anchor:
        contrast = comparison.anchor.contrast
        told = f"against the anchor {comparison.anchor.release_id} {_differs(contrast, limits)}"
        yield f"{told}: within the margin of {contrast.margin:.4g}"
    if comparison.level and _moved(comparison.level, limits) == "right":
        yield f"{_level(comparison.level, limits)}: shown to lie nearer to what was observed"


def _below(contrast: Contrast, limits: Gate) -> bool:
    return contrast.difference.interval(limits.confidence).upper < contrast.margin


def _overall(contrast: Contrast, limits: Gate) -> str:
    return _differs(contrast, limits, " from the champion's") + f", {contrast.users:,} users"


def _differs(contrast: Contrast, limits: Gate, whose: str = "") -> str:
    d = contrast.difference.interval(limits.confidence)
    return f"loss differs{whose} by {d.estimate:+.4f} ({d.percent} interval {d.lower:+.4f} to {d.upper:+.4f})"


def _level(level: Level, limits: Gate) -> str:
    moved, lies = level.shift.interval(limits.confidence), level.middle.value - level.shift.value / 2
    return (
        f"the mean score moved by {moved.estimate:+.1%} ({moved.percent} interval {moved.lower:+.1%} to {moved.upper:+.1%}) "
        f"from the champion's, which lay {lies:+.1%} off the rate of positives"
    )


def _moved(level: Level, limits: Gate) -> Literal["little", "right", "away", "unclear"]:
    """Whether the mean score is shown to have moved by more than the contract lets pass, and then whether for a reason.

    "right": the middle between both models is shown to lie on the other side of what was observed, so it moved towards that.
    """
    shift, middle = level.shift.interval(limits.confidence), level.middle.interval(limits.confidence)
    most = limits.calibration_shift
    if most is None or (shift.lower <= most and shift.upper >= -most):
        return "little"
    below, above = middle.upper < 0, middle.lower > 0
    if shift.estimate < 0:
        below, above = above, below
    return "right" if below else "away" if above else "unclear"
