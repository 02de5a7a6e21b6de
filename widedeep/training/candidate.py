"""A candidate is the parent that has learnt some parts once, in date order. Equal inputs give an equal candidate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from widedeep.artifacts import Part, Value
from widedeep.data.contract import Contract
from widedeep.features.columns import Features
from widedeep.features.encoding import Coverage, EncodedBatch, coverage, encode
from widedeep.features.growth import Growth, Vocabularies, grow, growth
from widedeep.features.quantiles import Quantiles, drift, fit
from widedeep.model.bundle import Bundle
from widedeep.model.specification import Specification, row_bytes
from widedeep.training.loop import retrain
from widedeep.training.sampling import sampled
from widedeep.training.warm_start import WarmStartReport, warm_start

Tables = Sequence[tuple[Part, pa.Table]]
OnProgress = Callable[[int, int], None]


class PartReport(Value):
    """One part as it was learnt.

    rows: how many were learnt.
    left_out: negatives that sampling left out; nothing below speaks of them.
    log_loss: progressive, each row predicted before it was learnt, as the loss sees it: a mean weighted by the rows' weights, at
        the label rate after sampling. None without rows, or if the model diverged.
    coverage: what the parent's vocabularies knew of it.
    growth: which rows it gave and took.
    drift: how far its numeric features are from uniform over the frozen quantiles.
    """

    part: Part
    rows: int
    left_out: int
    log_loss: float | None
    coverage: Coverage
    growth: Growth
    drift: dict[str, float]


class TrainingReport(Value):
    """What training did. It holds no times: equal inputs give an equal report. `log_loss` is None as in a part's."""

    rows: int
    steps: int
    log_loss: float | None
    warm_start: WarmStartReport
    parts: tuple[PartReport, ...]


def train_candidate(
    parent: Bundle | None, parts: Tables, contract: Contract, seed: int, on_progress: OnProgress
) -> tuple[Bundle, TrainingReport]:
    """Sample, grow, warm-start, and learn each part once, in date order.

    `on_progress(rows learnt, rows in all)` hears of the start and of each batch.

    Raises:
        ContractError: rows lack a column that the contract names, or a label.
        UsageError: the parent was loaded to score, without its optimizer's state.
    """
    delivered = sorted(parts, key=lambda item: (item[0].span, item[0].part, item[0].digest))
    ordered = [(part, sampled(table, contract, part, seed)) for part, table in delivered]
    vocabularies, growths = _grown(parent, ordered, contract)
    quantiles = _fitted(parent, ordered, contract)
    bundle, warm = warm_start(parent, vocabularies, quantiles, contract, seed)
    meter = _Meter(sum(table.num_rows for _, table in ordered), on_progress)
    reports = []
    for (part, table), (_, whole), grew in zip(ordered, delivered, growths, strict=True):
        encoded = encode(table, vocabularies, quantiles, contract)
        meter.start_part(encoded)
        bundle = retrain(bundle, encoded, contract.training, _shuffle_seed(seed, part), meter.hear)
        known, drifted = _coverage(parent, table, contract, part), drift(quantiles, table, vocabularies.features.numeric)
        counts = {"rows": len(encoded), "left_out": whole.num_rows - len(encoded)}
        loss = meter.part_loss()
        reports.append(PartReport(part=part, **counts, log_loss=loss, coverage=known, growth=grew, drift=drifted))
    loss = meter.loss()
    return bundle, TrainingReport(rows=meter.rows, steps=len(meter.losses), log_loss=loss, warm_start=warm, parts=tuple(reports))


def _grown(parent: Bundle | None, ordered: Tables, contract: Contract) -> tuple[Vocabularies, list[Growth]]:
    """The parent's vocabularies grown by every part, and what each part did to them."""
    vocabularies = Vocabularies.empty() if parent is None else parent.vocabularies
    row, growths = row_bytes(Specification.of(contract)), []
    for part, table in ordered:
        before, vocabularies = vocabularies, grow(vocabularies, table, contract, part.span, row)
        growths.append(growth(before, vocabularies, contract, row))
    return vocabularies, growths


def _fitted(parent: Bundle | None, ordered: Tables, contract: Contract) -> Quantiles:
    """The parent's quantiles, with boundaries for features that had none."""
    quantiles = Quantiles() if parent is None else parent.quantiles
    if not ordered:
        return quantiles
    rows = pa.concat_tables([table for _, table in ordered], promote_options="default")
    return fit(quantiles, rows, contract.with_role("numeric"), contract.model.quantiles)


def _coverage(parent: Bundle | None, table: pa.Table, contract: Contract, part: Part) -> Coverage:
    """Coverage by the parent's vocabularies, of the features that the contract names now."""
    features = Features.of(contract)
    known = Vocabularies.empty() if parent is None else parent.vocabularies
    values = known.values.with_oov([*features.categorical, *features.multivalent], part.span)
    known = replace(known, values=values, features=features)
    return coverage(encode(table, known, Quantiles(), contract), known)


def _shuffle_seed(seed: int, part: Part) -> int:
    return int(np.random.SeedSequence([seed, part.span.toordinal()]).generate_state(1)[0])


class _Meter:
    """Counts rows, their weight and their progressive losses as they come in."""

    def __init__(self, total: int, on_progress: OnProgress) -> None:
        self.rows, self.losses = 0, list[float]()
        self._weights = list[float]()
        self._total, self._on_progress = total, on_progress
        on_progress(0, total)

    def start_part(self, encoded: EncodedBatch) -> None:
        self._start = len(self.losses)
        self._weights.append(len(encoded) if encoded.weights is None else float(encoded.weights.sum(dtype=np.float64)))

    def hear(self, rows: int, loss: float) -> None:
        self.rows += rows
        self.losses.append(loss)
        self._on_progress(self.rows, self._total)

    def part_loss(self) -> float | None:
        return _mean(math.fsum(self.losses[self._start :]), self._weights[-1])

    def loss(self) -> float | None:
        return _mean(math.fsum(self.losses), math.fsum(self._weights))


def _mean(total: float, weight: float) -> float | None:
    """None also where the total is not a number: JSON has no NaN, and a model that diverged must still reach the gate."""
    return total / weight if weight and math.isfinite(total) else None
