"""A candidate is the parent that has learnt some parts once, in date order. Equal inputs give an equal candidate.

Only one without a parent may learn them again: there is nothing yet that further passes could overwrite.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
import pyarrow as pa

from widedeep.artifacts import Part, Value
from widedeep.data.contract import Contract
from widedeep.data.rows import Rows, chunks, column, rows_of, take
from widedeep.features.coverage import Counts, Coverage, Known, count_known
from widedeep.features.encoding import encode
from widedeep.features.growth import Growth, Vocabularies, grow, growth
from widedeep.features.quantiles import ENOUGH, Quantiles, drift, fit
from widedeep.model.bundle import Bundle
from widedeep.model.specification import Specification, row_bytes
from widedeep.training.ahead import one_ahead
from widedeep.training.distributed.machines import ALONE, Machines
from widedeep.training.loop import Chunk, retrain_chunks
from widedeep.training.recalibration import recalibrated
from widedeep.training.sampling import sampled_rows
from widedeep.training.warm_start import WarmStartReport, optimizer_of, warm_start

Parts = Sequence[tuple[Part, Rows | pa.Table]]
OnProgress = Callable[[int, int], None]


class PartReport(Value):
    """One part as it was learnt.

    rows: how many were learnt.
    left_out: rows of weight 0, and negatives that sampling left out; nothing below speaks of them.
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
    """What training did. It holds no times: equal inputs give an equal report. `log_loss` is None as in a part's.

    fitted: the numeric features whose quantile boundaries it fitted, and on how many values; from now on they are frozen.
    recalibrated: by how much the bias was moved in the end, in log-odds; None where the contract doesn't ask for it.
    """

    later = frozenset({"recalibrated"})

    rows: int
    steps: int
    log_loss: float | None
    warm_start: WarmStartReport
    parts: tuple[PartReport, ...]
    fitted: dict[str, int]
    recalibrated: float | None = None

    def warnings(self) -> Iterator[str]:
        """What a person should know of it."""
        yield from filter(None, (part.growth.warning() for part in self.parts))
        if few := [f"{name}: {count:,}" for name, count in sorted(self.fitted.items()) if count < ENOUGH]:
            yield (
                f"quantile boundaries were fitted on few values ({', '.join(few)}), wanted {ENOUGH:,} or more; they stay for the "
                "whole chain. A chain that is bootstrapped over more spans gets better ones."
            )


def train_candidate(
    parent: Bundle | None,
    parts: Parts,
    contract: Contract,
    seed: int,
    on_progress: OnProgress,
    machines: Machines = ALONE,
) -> tuple[Bundle, TrainingReport]:
    """Sample, grow, warm-start, and learn each part in date order; the next chunk is encoded while one is learnt.

    `on_progress(rows learnt, rows in all)` hears of the start and of each batch. `machines`: as in `retrain_chunks`.

    Raises:
        ContractError: rows lack a column that the contract names, or a label.
        UsageError: the parent was loaded to score, without its optimizer's state.
    """
    if parent is not None:
        optimizer_of(parent)
    delivered = sorted(((part, rows_of(rows)) for part, rows in parts), key=lambda own: (own[0].span, own[0].part, own[0].digest))
    learnt = [(part, sampled_rows(rows, contract, part, seed)) for part, rows in delivered]
    vocabularies, growths = _grown(parent, learnt, contract)
    frozen = Quantiles() if parent is None else parent.quantiles
    quantiles = _fitted(frozen, learnt, contract)
    coming = sum(rows.num_rows for _, rows in learnt)
    until = max((part.span for part, rows in learnt if rows.num_rows), default=None)
    bundle, warm = warm_start(parent, vocabularies, quantiles, contract, seed, coming, until)
    known = Known.of(Vocabularies.empty() if parent is None else parent.vocabularies, vocabularies)
    passes = contract.training.bootstrap_passes if parent is None else 1
    meter = _Meter([rows.num_rows for _, rows in learnt], passes, on_progress)
    encoded = one_ahead(_encoded(learnt, bundle, contract, seed, known, passes))
    bundle = retrain_chunks(bundle, meter.followed(encoded), contract.training, meter.hear, machines)
    bundle, moved = _recalibrated(bundle, learnt, contract)
    reports = [
        PartReport(
            part=part,
            rows=rows.num_rows,
            left_out=whole.num_rows - rows.num_rows,
            log_loss=meter.loss(i),
            coverage=meter.counts[i].coverage(),
            growth=growths[i],
            drift=_drifted(quantiles, rows, vocabularies.features.numeric),
        )
        for i, ((part, rows), (_, whole)) in enumerate(zip(learnt, delivered, strict=True))
    ]
    counts = {"rows": meter.rows, "steps": meter.steps}
    fitted = {name: count for name, count in quantiles.fitted_on.items() if name not in frozen.boundaries}
    report = TrainingReport(**counts, log_loss=meter.loss(), warm_start=warm, parts=tuple(reports), fitted=fitted)
    return bundle, report.model_copy(update={"recalibrated": moved})


def _recalibrated(bundle: Bundle, learnt: Sequence[tuple[Part, Rows]], contract: Contract) -> tuple[Bundle, float | None]:
    """By rows that are spread evenly over the last part."""
    most, rows = contract.training.recalibrate_rows, learnt[-1][1] if learnt else None
    if not most or rows is None or not rows.num_rows:
        return bundle, None
    wanted = min(most, rows.num_rows)
    return recalibrated(bundle, take(rows, [i * rows.num_rows // wanted for i in range(wanted)]), contract)


@dataclass(frozen=True)
class _Encoded:
    """A chunk of a part, the number of that part, and how much of the chunk the parent knew: None in passes after the first."""

    part: int
    chunk: Chunk
    counts: Counts | None


def _encoded(
    learnt: Sequence[tuple[Part, Rows]], bundle: Bundle, contract: Contract, seed: int, known: Known, passes: int
) -> Iterator[_Encoded]:
    for again, (number, (part, rows)) in product(range(passes), enumerate(learnt)):
        own = _shuffle_seed(seed + again, part)
        for i, table in enumerate(chunks(rows, shuffle=own)):
            encoded = encode(table, bundle.vocabularies, bundle.quantiles, contract)
            counts = None if again else count_known(encoded, bundle.vocabularies.features, known)
            yield _Encoded(number, Chunk(encoded, own + i), counts)


def _grown(parent: Bundle | None, learnt: Sequence[tuple[Part, Rows]], contract: Contract) -> tuple[Vocabularies, list[Growth]]:
    """The parent's vocabularies grown by every part, and what each part did to them."""
    vocabularies = Vocabularies.empty() if parent is None else parent.vocabularies
    row, growths = row_bytes(Specification.of(contract)), []
    for part, rows in learnt:
        before, vocabularies = vocabularies, grow(vocabularies, rows, contract, part.span, row)
        growths.append(growth(before, vocabularies, contract, row))
    return vocabularies, growths


def _fitted(quantiles: Quantiles, learnt: Sequence[tuple[Part, Rows]], contract: Contract) -> Quantiles:
    """The parent's quantiles, with boundaries for features that had none."""
    for name in contract.with_role("numeric"):  # one at a time: a column of a big span is some 100 MB
        tables = [column(rows, name) for _, rows in learnt if name not in quantiles.boundaries]
        if tables:
            whole = pa.concat_tables(tables, promote_options="default")
            quantiles = fit(quantiles, whole, (name,), contract.model.quantiles)
    return quantiles


def _drifted(quantiles: Quantiles, rows: Rows, names: tuple[str, ...]) -> dict[str, float]:
    return {name: far for one in names for name, far in drift(quantiles, column(rows, one), (one,)).items()}


def _shuffle_seed(seed: int, part: Part) -> int:
    return int(np.random.SeedSequence([seed, part.span.toordinal()]).generate_state(1)[0])


class _Meter:
    """Counts what the first pass learns of each part: rows, their weights, progressive losses, and what of them was known."""

    def __init__(self, parts: list[int], passes: int, on_progress: OnProgress) -> None:
        self.rows = self.steps = self._learnt = 0
        self.counts = [Counts()] * len(parts)
        self._losses, self._weights = [list[float]() for _ in parts], [list[float]() for _ in parts]
        self._coming = deque[tuple[int | None, int]]()
        self._total, self._on_progress = passes * sum(parts), on_progress
        on_progress(0, self._total)

    def followed(self, encoded: Iterator[_Encoded]) -> Iterator[Chunk]:
        """The chunks; what is heard is counted for their parts, in their order, however far ahead of it they are asked for."""
        for item in encoded:
            rows = item.chunk.encoded
            if len(rows):
                self._coming.append((item.part if item.counts else None, len(rows)))
            if item.counts:
                self.counts[item.part] += item.counts
                self._weights[item.part].append(len(rows) if rows.weights is None else float(rows.weights.sum(dtype=np.float64)))
            yield item.chunk

    def hear(self, rows: int, loss: float) -> None:
        self._learnt += rows
        self.steps += 1
        part, left = self._coming.popleft()
        if left > rows:
            self._coming.appendleft((part, left - rows))
        if part is not None:
            self.rows += rows
            self._losses[part].append(loss)
        self._on_progress(self._learnt, self._total)

    def loss(self, part: int | None = None) -> float | None:
        """Mean log loss of a part, or of all. None without rows, and where it is no number: JSON has no NaN, and a model that
        diverged must still reach the gate."""
        own = slice(None) if part is None else slice(part, part + 1)
        total, weight = math.fsum(chain(*self._losses[own])), math.fsum(chain(*self._weights[own]))
        return total / weight if weight and math.isfinite(total) else None
