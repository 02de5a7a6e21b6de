"""Chains on simulated days: each day is predicted, and then learnt. All of it is a function of the settings and the seed.

A figure of a day is its expectation over the labels: where a row would count as positive or negative, it counts as both, by its
true probability. So the luck of the labels that are scored, which a real set can't take out, adds nothing to the intervals.

`B` rows of a day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from widedeep.artifacts import Part
from widedeep.data.contract import Contract
from widedeep.evaluation.metrics import auc, row_losses
from widedeep.features.encoding import encode
from widedeep.model.bundle import Bundle
from widedeep.model.scoring import score_rows
from widedeep.simulation import SimulatedDay
from widedeep.training.candidate import train_candidate
from widedeep.training.loop import retrain

Days = Sequence[SimulatedDay]
Learner = Callable[[Bundle | None, SimulatedDay], Bundle]


@dataclass
class Chain:
    """A model that lives through days: `aucs`, `losses` and `cpu_s` (of learning) by day, from its second day on."""

    learner: Learner
    contract: Contract
    bundle: Bundle | None = None
    aucs: dict[int, float] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    cpu_s: dict[int, float] = field(default_factory=dict)

    def live(self, day: SimulatedDay) -> NDArray[np.float64] | None:
        """The day's scores (B,) by the model of that morning, None by none; then the day is learnt."""
        scores = None if self.bundle is None else score_rows(self.bundle, day.rows, self.contract)
        if scores is not None:
            self.aucs[day.day], self.losses[day.day] = expected_auc(day, scores), expected_log_loss(day, scores)
        began = time.process_time()
        self.bundle = self.learner(self.bundle, day)
        self.cpu_s[day.day] = time.process_time() - began
        return scores

    def branch(self) -> Chain:
        """Another future of the same model."""
        return replace(self, aucs=dict(self.aucs), losses=dict(self.losses), cpu_s=dict(self.cpu_s))


def once(contract: Contract, seed: int) -> Learner:
    """As a chain runs: one pass, all state kept."""
    return lambda parent, day: learnt(parent, [day], contract, seed)


def twice(contract: Contract, seed: int) -> Learner:
    """A second pass over each day, in another order."""

    def learner(parent: Bundle | None, day: SimulatedDay) -> Bundle:
        return again(learnt(parent, [day], contract, seed), day.rows, contract, seed)

    return learner


def without_state(contract: Contract, seed: int) -> Learner:
    """AdaGrad's sums are dropped before each day. FTRL's z and n are the wide weights themselves and stay."""

    def learner(parent: Bundle | None, day: SimulatedDay) -> Bundle:
        return learnt(parent and _dropped(parent), [day], contract, seed)

    return learner


def learnt(parent: Bundle | None, days: Days, contract: Contract, seed: int) -> Bundle:
    """The parent that has learnt the days in their order."""
    return train_candidate(parent, [(_part(day), day.rows) for day in days], contract, seed, lambda *_: None)[0]


def shuffled(days: Days, contract: Contract, seed: int, passes: int) -> Iterator[tuple[Bundle, float]]:
    """From scratch on all rows in random order, after each pass; and the CPU seconds up to there."""
    rows = pa.concat_tables([day.rows for day in days]).combine_chunks()
    rows = rows.take(np.random.default_rng(seed).permutation(rows.num_rows))
    began = time.process_time()
    bundle = train_candidate(None, [(_part(days[-1]), rows)], contract, seed, lambda *_: None)[0]
    yield bundle, time.process_time() - began
    for number in range(1, passes):
        bundle = again(bundle, rows, contract, 1000 * seed + number)
        yield bundle, time.process_time() - began


def again(bundle: Bundle, rows: pa.Table, contract: Contract, seed: int) -> Bundle:
    """Another pass: nothing is counted or admitted a second time."""
    encoded = encode(rows, bundle.vocabularies, bundle.quantiles, contract)
    return retrain(bundle, encoded, contract.training, seed + 1, lambda *_: None)


def expected_auc(day: SimulatedDay, scores: NDArray[np.float64]) -> float:
    return auc(day.probability, scores) or 0.0


def expected_log_loss(day: SimulatedDay, scores: NDArray[np.float64]) -> float:
    return float(row_losses(day.probability, scores).mean())


def changed(contract: Contract, changes: dict[str, Any]) -> Contract:
    """The contract with other values at places such as `training.ftrl.alpha`."""
    plain = contract.model_dump(mode="json")
    for place, value in changes.items():
        *path, name = place.split(".")
        section = plain
        for step in path:
            section = section[step]
        section[name] = value
    return Contract.model_validate(plain)


def _part(day: SimulatedDay) -> Part:
    return Part(span=day.span, version=1, digest="0" * 64, part="train")


def _dropped(bundle: Bundle) -> Bundle:
    state = bundle.optimizer or {}
    fresh = {name: torch.zeros_like(t) if name.endswith(".accumulator") else t for name, t in state.items()}
    return replace(bundle, optimizer=fresh)
