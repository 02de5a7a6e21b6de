"""Sums of squared gradients fade from span to span, so that steps don't shrink for ever (docs/adr/0007-forgetting.md).

No weight moves. How much fades follows from the spans' dates and rows alone, never from the clock: a replay forgets the same.
"""

from __future__ import annotations

import torch

from widedeep.data.contract import Training
from widedeep.model.bundle import Tensors
from widedeep.model.specification import Specification
from widedeep.training.optimizers import FtrlTable, ftrl_faded


def faded(tensors: Tensors, training: Training, days: int, rows: int) -> dict[str, torch.Tensor]:
    """The state of the optimizers before they learn `rows` that lie so many days on, by name; empty where nothing fades.

    `tensors` are a model's weights and state. Small spans fade little: they have little to put in the place of what is forgotten.
    """
    if training.half_life_days is None:
        return {}
    kept = 0.5 ** min(days / training.half_life_days, rows / training.half_life_rows)
    state = {name: tensor * kept for name, tensor in tensors.items() if name.endswith(".accumulator")}
    for name in (name for name in tensors if f"{name}.z" in tensors):
        table = FtrlTable(tensors[name], tensors[f"{name}.z"], tensors[f"{name}.n"])
        state[f"{name}.z"], state[f"{name}.n"] = ftrl_faded(table, training.ftrl, kept)
    return state


def days_between(parent: Specification, child: Specification) -> int:
    """From the parent's latest span to its child's."""
    before, after = parent.learnt_until, child.learnt_until
    return (after - before).days if before and after else 0
