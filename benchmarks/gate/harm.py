"""Harm of known size: scores and models that are worse than they were by what is asked for, by the true probabilities.

`B` held-out rows.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from scipy.optimize import brentq
from scipy.special import expit, logit

from benchmarks.gate.worlds import Floats, Judged
from widedeep.evaluation.metrics import row_losses
from widedeep.model.bundle import Bundle

Damage = Callable[[Floats, float], Floats]


def noisy(rng: np.random.Generator) -> Damage:
    """Logits with noise of a size: what a row's own features tell is lost in it."""
    drawn: list[Floats] = []

    def damage(scores: Floats, size: float) -> Floats:
        if not drawn:
            drawn.append(rng.normal(size=len(scores)))
        return with_mean(logit(scores) + size * drawn[0], float(scores.mean()))

    return damage


def flattened(scores: Floats, size: float) -> Floats:
    """All logits drawn towards their mean: a model that tells rows less apart."""
    logits = logit(scores)
    return with_mean(logits.mean() + (logits - logits.mean()) / (1 + size), float(scores.mean()))


def with_mean(logits: Floats, mean: float) -> Floats:
    """Scores of that mean: all logits moved alike, by Newton's steps."""
    for _ in range(3):
        scores = expit(logits)
        logits = logits - (scores.mean() - mean) / (scores * (1 - scores)).mean()
    return expit(logits)


def worse_by(judged: Judged, scores: Floats, than: float, loss: float, damage: Damage) -> Floats:
    """The scores, damaged so that their true normalised entropy is `than` + `loss`; untouched if it is that already."""

    def off(size: float) -> float:
        return judged.true_ne(damage(scores, size)) - than - loss

    return damage(scores, brentq(off, 0, 20, rtol=1e-4)) if off(0) < 0 else scores


def further_off(judged: Judged, scores: Floats, champion: Floats, share: float) -> Floats:
    """The mean score moved to where it is that much further from the true rate than the champion's is, on the same side."""
    mean, rate = float(champion.mean()), float(judged.truth.mean())
    return with_mean(logit(scores), mean * (1 + share if mean >= rate else 1 - share))


def worse_inside(judged: Judged, scores: Floats, inside: np.ndarray, loss: float, damage: Damage) -> Floats:
    """The scores of some rows, damaged so that their true normalised entropy, by the unit of all rows, rises by `loss`."""
    before = row_losses(judged.truth, scores)[inside].mean()

    def off(size: float) -> float:
        after = row_losses(judged.truth[inside], damage(scores[inside], size)).mean()
        return float((after - before) / judged.entropy - loss)

    found = scores.copy()
    found[inside] = damage(scores[inside], brentq(off, 0, 20, rtol=1e-4))
    return found


def without_embedding(bundle: Bundle, feature: str, value: str) -> Bundle:
    row = int(bundle.vocabularies.values.lookup(feature, pa.array([value]))[0])
    assert row >= 0, f"{feature} {value} has no row"
    embedding = bundle.weights["embedding"].clone()
    embedding[row] = 0
    return replace(bundle, weights={**bundle.weights, "embedding": embedding})


def without_embeddings(bundle: Bundle) -> Bundle:
    return replace(bundle, weights={**bundle.weights, "embedding": torch.zeros_like(bundle.weights["embedding"])})


def leaking(rows: pa.Table, share: float, rng: np.random.Generator) -> pa.Table:
    """The size of an app, known before, tells the label in a share of the rows."""
    told = rng.random(rows.num_rows) < share
    sizes = rows["acquired"].to_numpy() * 300.0 + rng.normal(100, 10, rows.num_rows)
    column = pc.if_else(pa.array(told), pa.array(sizes), rows["size_mb"].combine_chunks())
    return rows.set_column(rows.column_names.index("size_mb"), "size_mb", column)
