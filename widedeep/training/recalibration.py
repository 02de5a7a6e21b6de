"""The last step of learning: the bias that makes the mean score of rows learnt last that of their labels.

Stochastic gradients leave the mean score where the last batches have put it: two orders of the same day differ by several per
cent of it, which costs next to no log loss, and which a gate can't tell from a model that is wrong by so much (He et al. 2014,
§4.1 on why calibration matters). Rows keep their order by score; no other weight changes.

`B` rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from widedeep.data.contract import Contract
from widedeep.features.encoding import labels, weights
from widedeep.model.bundle import Bundle
from widedeep.model.scoring import score_rows
from widedeep.training.optimizers import FtrlTable, ftrl_z

Floats = NDArray[np.float64]

FARTHEST = 30.0
"""Of the bias, in log-odds: beyond it every score is 0 or 1."""


def recalibrated(bundle: Bundle, rows: pa.Table, contract: Contract) -> tuple[Bundle, float]:
    """The bundle with another bias, and by how much it moved; 0 where the rows are of one class or a score is no number.

    FTRL's state moves with it, so the next batch steps from there.
    """
    y, scores = labels(rows, contract).astype(np.float64), score_rows(bundle, rows, contract)
    moved = bias_step(y, scores, _counted(y, rows, contract))
    if not moved or bundle.optimizer is None:
        return bundle, 0.0
    bias, state = bundle.weights["bias"] + moved, bundle.optimizer
    z = ftrl_z(FtrlTable(bias, state["bias.z"], state["bias.n"]), contract.training.ftrl, l1=0.0)
    return replace(bundle, weights={**bundle.weights, "bias": bias}, optimizer={**state, "bias.z": z}), moved


def bias_step(labels: Floats, scores: Floats, weights: Floats) -> float:
    """What to add to the logits (B,) of the scores so that Σwp = Σwy."""
    positives = float((weights * labels).sum())
    if not 0 < positives < weights.sum() or not ((scores > 0) & (scores < 1)).all():
        return 0.0
    logits: Floats = logit(scores)

    def off(step: float) -> float:
        return float((weights * expit(logits + step)).sum()) - positives

    return float(brentq(off, -FARTHEST, FARTHEST)) if off(-FARTHEST) < 0 < off(FARTHEST) else 0.0


def _counted(labels: Floats, rows: pa.Table, contract: Contract) -> Floats:
    """(B,) as how many rows each counts: a sampled negative stands for those that were left out."""
    counts, own = np.where(labels > 0, 1.0, 1 / contract.training.negative_rate), weights(rows, contract)
    return counts if own is None else counts * own
