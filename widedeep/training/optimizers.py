"""Both optimizers touch only the rows that they are given; every other row stays bit-identical.

FTRL-Proximal: McMahan et al. 2013, Algorithm 1, per coordinate. AdaGrad: Duchi et al. 2011. `U` touched rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from widedeep.data.contract import AdaGrad, Ftrl


@dataclass(frozen=True)
class FtrlTable:
    """A column of weights with FTRL's state. The weights follow from z and n; they are kept so that readers need nothing else."""

    weights: torch.Tensor
    z: torch.Tensor
    n: torch.Tensor

    def step(self, rows: torch.Tensor, gradient: torch.Tensor, ftrl: Ftrl, *, l1: float) -> None:
        """Update the distinct `rows` (U,) in place by their `gradient` (U,), summed over the batch."""
        old = self.n[rows]
        new = old + gradient * gradient
        sigma = (new.sqrt() - old.sqrt()) / ftrl.alpha
        z = self.z[rows] + gradient - sigma * self.weights[rows]
        self.weights[rows], self.z[rows], self.n[rows] = ftrl_weights(z, new, ftrl, l1=l1), z, new


def ftrl_weights(z: torch.Tensor, n: torch.Tensor, ftrl: Ftrl, *, l1: float) -> torch.Tensor:
    """The weights that z and n stand for: exactly 0 where |z| <= l1."""
    shrunk = torch.sign(z) * l1 - z
    scale = (ftrl.beta + n.sqrt()) / ftrl.alpha + ftrl.l2
    return torch.where(z.abs() <= l1, 0.0, shrunk / scale)


def ftrl_z(table: FtrlTable, ftrl: Ftrl, *, l1: float) -> torch.Tensor:
    """The z for which `ftrl_weights` gives the table's weights: how weights survive a change of alpha, beta, l1 or l2."""
    scale = (ftrl.beta + table.n.sqrt()) / ftrl.alpha + ftrl.l2
    kept = -table.weights * scale - torch.sign(table.weights) * l1
    return torch.where(table.weights == 0, table.z.clamp(-l1, l1), kept)


def ftrl_faded(table: FtrlTable, ftrl: Ftrl, kept: float) -> tuple[torch.Tensor, torch.Tensor]:
    """z and n with the share `kept` of n: the step of Algorithm 1 for n alone, backwards. The weights stay those of the table.

    With a smaller n and the old z the weights would jump.
    """
    n = table.n * kept
    return table.z + (table.n.sqrt() - n.sqrt()) / ftrl.alpha * table.weights, n


def adagrad_step(
    weights: torch.Tensor, accumulator: torch.Tensor, gradient: torch.Tensor, adagrad: AdaGrad, *, learning_rate: float
) -> None:
    """Update a dense tensor in place by its gradient, averaged over the batch."""
    accumulator.addcmul_(gradient, gradient)
    weights.addcdiv_(gradient, accumulator.sqrt().add_(adagrad.epsilon), value=-learning_rate)


def distinct(entries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The distinct table rows (U,) of the entries (N,), and each entry's place among them (N,)."""
    rows, codes = torch.unique(entries, return_inverse=True)
    return rows, codes


def adagrad_row_step(
    weights: torch.Tensor, accumulator: torch.Tensor, rows: torch.Tensor, gradient: torch.Tensor, adagrad: AdaGrad
) -> None:
    """Update the distinct `rows` (U,) of an embedding table in place by their gradients (U, D), averaged over the batch."""
    touched, sums = weights[rows], accumulator[rows]
    adagrad_step(touched, sums, gradient, adagrad, learning_rate=adagrad.embedding_learning_rate)
    weights[rows], accumulator[rows] = touched, sums
