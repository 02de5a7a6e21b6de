"""Simulated stores with a parent that has learnt eight days, and candidates for the ninth: what the gate is tried on.

The true probability of every held-out row is known, so a candidate's true loss is, too: its expectation over the labels.

`B` held-out rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.quality.chains import changed, learnt
from widedeep.artifacts import Candidate, DryRunReport, Verdict
from widedeep.data.contract import Contract, load_contract
from widedeep.data.split import is_held_out
from widedeep.evaluation.gate import decide
from widedeep.evaluation.holdout import Holdout, Scored, compare
from widedeep.evaluation.metrics import row_losses
from widedeep.evaluation.slices import slices
from widedeep.features.encoding import labels
from widedeep.model.bundle import Bundle
from widedeep.model.scorer import scored_as_served
from widedeep.simulation import SimulatedDay, Simulation, simulation_settings

Floats = NDArray[np.float64]

APPSTORE = load_contract(Path(__file__).parents[2] / "dags" / "contracts" / "appstore.yaml")
MARGIN = 0.005
"""A loss of half a per cent of normalised entropy counts as equal: the true one that is promoted at most one time in twenty."""

CONTRACT = changed(
    APPSTORE,
    {
        "training.bootstrap_passes": 1,
        "training.batch_size": 256,
        "training.recalibrate_rows": 200_000,
        "gate": {
            "margin": MARGIN,
            "unit": "ne",
            "calibration_shift": 0.03,
            "slices": [{"of": name} for name in ("new users", "new items", "country", "large groups")],
        },
    },
)
ROWS, LEARNT, DAYS = 700_000, 200_000, 8
"""Of a day's rows 15 % are held out, some 105,000 of 10,500 users; of the others a candidate learns so many."""

HISTORY = 150_000
"""Rows of each of the parent's days."""

IDS = tuple(f"r-{digit * 16}" for digit in "123")


@dataclass(frozen=True)
class Judged:
    """A day's held-out rows, with the true probability of each (B,), and the rows that a candidate learns."""

    contract: Contract
    day: SimulatedDay
    rows: pa.Table
    truth: Floats
    train: SimulatedDay

    @classmethod
    def of(cls, day: SimulatedDay, contract: Contract, rows_learnt: int) -> "Judged":
        inside = is_held_out(day.rows[contract.user], contract, day.span).to_numpy()
        train = day.rows.filter(pa.array(~inside)).slice(0, rows_learnt)
        return cls(contract, day, day.rows.filter(pa.array(inside)), day.probability[inside], replace(day, rows=train))

    @cached_property
    def holdout(self) -> Holdout:
        users = pd.factorize(self.rows[self.contract.user].to_pandas())[0].astype(np.int64)
        return Holdout(labels(self.rows, self.contract).astype(np.float64), users, np.ones(self.rows.num_rows))

    def sliced(self, champion: Bundle) -> Holdout:
        asked = self.holdout
        return replace(asked, slices=slices(self.rows, asked.users, self.contract, champion.vocabularies))

    def scores(self, bundle: Bundle, rows: pa.Table | None = None) -> Floats:
        with scored_as_served(bundle, self.contract) as score:
            return score(self.rows if rows is None else rows)

    @cached_property
    def entropy(self) -> float:
        """Loss of the label rate alone, in nats: the unit of normalised entropy."""
        return float(row_losses(self.truth, np.full(len(self.truth), self.truth.mean())).mean())

    def true_ne(self, scores: Floats) -> float:
        return float(row_losses(self.truth, scores).mean()) / self.entropy


def candidate_of(parent: Bundle | None, judged: Judged, seed: int) -> Bundle:
    return learnt(parent, [judged.train], judged.contract, seed)


def world(seed: int, rows: int = ROWS, contract: Contract = CONTRACT, rows_learnt: int = LEARNT) -> tuple[Bundle, Judged]:
    """The parent, and the day after it."""
    past, last = [], None
    for day in Simulation(simulation_settings(rows_per_day=rows, seed=seed)).days(DAYS + 1):
        last = Judged.of(day, contract, rows_learnt if day.day == DAYS else HISTORY)
        if day.day < DAYS:
            past.append(last.train)
    assert last is not None
    return learnt(None, past, contract, seed), last


def stationary_days(seed: int, count: int, rows: int = ROWS, contract: Contract = CONTRACT) -> Iterator[Judged]:
    """Days of a store in which nothing changes."""
    for day in Simulation(simulation_settings(rows_per_day=rows, seed=seed).stationary()).days(count):
        yield Judged.of(day, contract, LEARNT)


def verdict(asked: Holdout, scores: Floats, champion: Floats, anchor: Floats | None, contract: Contract) -> Verdict:
    """What the gate says of a candidate with these scores, whose dry run went well."""
    candidate = Candidate(release_id=IDS[0], span="2026-01-09", parent=IDS[1], manifest_sha256="1" * 64)
    rehearsed = DryRunReport(release_id=IDS[0], manifest_sha256="1" * 64, failures=())
    theirs = Scored(IDS[1], "2" * 64, champion)
    older = None if anchor is None else Scored(IDS[2], "3" * 64, anchor)
    comparison = compare(asked, scores, theirs, older, contract.gate)
    return decide(candidate, asked.metrics(scores), rehearsed, comparison, (), contract.gate)
