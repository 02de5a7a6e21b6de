"""A report from scores: both models on the same held-out rows, and both asked for lists by the same audience.

B rows; U asked users; L items of a list.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from widedeep.artifacts import Difference, MetricReport, ReleaseId
from widedeep.data.contract import Contract
from widedeep.evaluation.audience import Audience
from widedeep.evaluation.gate import Comparison
from widedeep.evaluation.holdout import Holdout
from widedeep.evaluation.metrics import row_losses
from widedeep.evaluation.report import measuring
from widedeep.evaluation.report.values import ChangedItem, Report, Side
from widedeep.features.growth import Vocabularies
from widedeep.features.quantiles import Quantiles
from widedeep.model.bundle import Bundle
from widedeep.model.scorer import scored_as_served

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Work:
    """What one model made of a holdout: (B,) scores, (U, L) items for the audience; and what it knows of the world."""

    release_id: ReleaseId
    scores: Floats
    lists: Numbers | None
    vocabularies: Vocabularies
    quantiles: Quantiles


def work(release_id: ReleaseId, bundle: Bundle, rows: pa.Table, audience: Audience | None, contract: Contract) -> Work:
    """Let a model score the held-out rows, and every pair of the audience, as a server would."""
    with scored_as_served(bundle, contract) as scores:
        lists = audience.top(scores, measuring.K) if audience else None
        return Work(release_id, scores(rows), lists, bundle.vocabularies, bundle.quantiles)


@dataclass(frozen=True)
class Measured:
    """One model's work, and the gate's metrics of it."""

    work: Work
    metrics: MetricReport


def compiled(
    bare: Report,
    holdout: Holdout,
    candidate: Measured,
    champion: Measured | None,
    comparison: Comparison | None,
    contract: Contract,
) -> Report:
    """The report with all that is measured; `comparison` is what the gate judges of the two."""
    level = contract.gate.confidence
    models = [candidate, *([champion] if champion else [])]
    edges = measuring.bin_edges(*(model.work.scores for model in models))
    # The crosses of both by the vocabularies of one, since the younger model has more of them.
    reference = next((model.work for model in models if model.work.vocabularies.features.crosses), None)
    sides = [_side(holdout, model, edges, reference, contract) for model in models]
    found = bare.model_copy(update={"candidate": sides[0], "edges": edges})
    if champion is None or comparison is None:
        return found
    mine, theirs = candidate.work, champion.work
    ndcg = measuring.ndcg_difference(holdout.labels, mine.scores, theirs.scores, holdout.users, level)
    return found.model_copy(
        update={
            "champion": sides[1],
            "ndcg": ndcg,
            "differences": tuple(_differences(holdout, mine, theirs, comparison, level)),
            "changed": _changed(holdout.audience, mine, theirs, contract),
        }
    )


def _differences(holdout: Holdout, candidate: Work, champion: Work, comparison: Comparison, level: float) -> Iterator[Difference]:
    """Of all rows, from the champion and from the anchor, and of the slices: those that are judged first."""
    contrasts = [comparison.overall, comparison.anchor and comparison.anchor.contrast, *comparison.slices]
    yield from (contrast.told(level) for contrast in contrasts if contrast)
    ours, theirs = (row_losses(holdout.labels, work.scores) for work in (candidate, champion))
    for part in holdout.slices:
        if not part.limit:
            shown = holdout.contrast(part.name, part.inside, ours - theirs, 0).told(level)
            yield shown.model_copy(update={"margin": None})


def _side(holdout: Holdout, model: Measured, edges: Sequence[float], reference: Work | None, contract: Contract) -> Side:
    made, audience, unseen = model.work, holdout.audience, None
    if audience and made.lists is not None and reference:
        unseen = measuring.unseen_crosses(audience, made.lists, reference.vocabularies, reference.quantiles, contract)
    return Side(
        release_id=made.release_id,
        metrics=model.metrics,
        calibration=measuring.calibration(holdout.labels, made.scores, holdout.users, holdout.weights, contract.gate.confidence),
        histogram=measuring.histogram(made.scores, tuple(edges), holdout.weights),
        recommendations=measuring.recommendations(holdout.labels, made.scores, holdout.users, audience, made.lists, unseen),
    )


def _changed(audience: Audience | None, candidate: Work, champion: Work, contract: Contract) -> tuple[ChangedItem, ...]:
    if audience is None or candidate.lists is None or champion.lists is None or contract.item is None:
        return ()
    return measuring.changed(audience, candidate.lists, champion.lists, contract.item, contract.title)
