"""One forward pass for the trainer, the dry run and ranking. A row's score depends on that row alone, up to rounding (< 1e-6).

`B` rows, `F` categorical and `M` multivalent features, `K` numeric features, `D` embedding width, `V` values, `C` crosses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from widedeep.errors import IntegrityError
from widedeep.features.bags import Bag
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import Bundle, Tensors
from widedeep.model.linear import linear

SCORING_BATCH = 512


def scores(bundle: Bundle, encoded: EncodedBatch) -> NDArray[np.float64]:
    """(B,) float64 probabilities.

    Raises:
        IntegrityError: the rows were encoded by other vocabularies than the bundle's.
    """
    require_own(bundle, encoded)
    return probabilities(bundle.weights, encoded)


def probabilities(weights: Tensors, encoded: EncodedBatch) -> NDArray[np.float64]:
    """(B,) float64, by a bundle's weights and rows that its vocabularies encoded."""
    starts = range(0, len(encoded), SCORING_BATCH)
    with torch.inference_mode():
        batches = [_logits(weights, encoded.slice(start, min(start + SCORING_BATCH, len(encoded)))) for start in starts]
    logits = torch.cat(batches).to(torch.float64) if batches else torch.empty(0, dtype=torch.float64)
    found: NDArray[np.float64] = torch.sigmoid(logits).numpy()
    return found


def contributions(bundle: Bundle, encoded: EncodedBatch) -> dict[str, NDArray[np.float64]]:
    """(B,) float64 log-odds each: what `bias`, `wide` and `deep` add to a row's score. A part that is off adds nothing.

    Raises:
        IntegrityError: as `scores`.
    """
    require_own(bundle, encoded)
    weights = bundle.weights
    starts = range(0, len(encoded), SCORING_BATCH)
    with torch.inference_mode():
        batches = [encoded.slice(start, min(start + SCORING_BATCH, len(encoded))) for start in starts]
        each = [(_bias(weights, batch), _wide(weights, batch), _deep(weights, batch)) for batch in batches]
    names = ("bias", "wide", "deep")
    return {name: torch.cat([parts[i] for parts in each]).to(torch.float64).numpy() for i, name in enumerate(names)}


def wide_logits(table: torch.Tensor, flat: torch.Tensor, row_of: torch.Tensor, rows: int) -> torch.Tensor:
    """(B,) float32: each row's sum of its entries' weights in `table` (V + C,). Entry i is table row flat[i] of row row_of[i]."""
    return _summed(table[flat], row_of, rows)


def deep_logits(
    embedding: torch.Tensor,
    rows: torch.Tensor,
    bags: Sequence[tuple[torch.Tensor, torch.Tensor]],
    dense: torch.Tensor,
    layers: Tensors,
) -> torch.Tensor:
    """(B,) float32 without the bias.

    embedding (·, D); rows (B, F) and the bags' (flat, offsets) index it; dense (B, 2K).
    A bag is mean-pooled, an empty one gives zeros. The products are of the layers' type.
    """
    x = deep_inputs(embedding, rows, bags, dense).to(layers["output.weight"].dtype)
    for i in range(sum(name.endswith(".bias") for name in layers)):
        x = linear(x, layers[f"hidden.{i}.weight"], layers[f"hidden.{i}.bias"], relu=True)
    return linear(x, layers["output.weight"]).squeeze(1).float()


def deep_inputs(
    embedding: torch.Tensor, rows: torch.Tensor, bags: Sequence[tuple[torch.Tensor, torch.Tensor]], dense: torch.Tensor
) -> torch.Tensor:
    """(B, (F + M) D + 2K) float32: what the first layer reads, the features in this order."""
    univalent = functional.embedding(rows, embedding).flatten(1)
    pooled = [functional.embedding_bag(flat, embedding, offsets, mode="mean", include_last_offset=True) for flat, offsets in bags]
    return torch.cat([univalent, *pooled, dense], dim=1)


def deep_layers(weights: Tensors) -> dict[str, torch.Tensor]:
    """The fully connected layers, without their optimizer's state; empty if the deep part is off."""
    names = [name for name in weights if name.startswith(("hidden.", "output.")) and not name.endswith(".accumulator")]
    return {name: weights[name] for name in names}


def bag_tensors(bags: Sequence[Bag]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.from_numpy(bag.flat), torch.from_numpy(bag.offsets)) for bag in bags]


def require_own(bundle: Bundle, encoded: EncodedBatch) -> None:
    """Raises IntegrityError if the rows were encoded by other vocabularies than the bundle's, or by an earlier state of them."""
    values, crosses = bundle.vocabularies.values, bundle.vocabularies.crosses
    own = (len(values), len(crosses)), values.passed_on + crosses.passed_on
    if (encoded.sizes, encoded.passed_on) != own:
        raise IntegrityError(
            f"rows were encoded by vocabularies of {encoded.sizes} values and crosses, {encoded.passed_on} rows passed on; "
            f"the bundle has {own[0]} and {own[1]}. Encode them with the bundle's own vocabularies."
        )


def _logits(weights: Tensors, batch: EncodedBatch) -> torch.Tensor:
    logits = _bias(weights, batch)
    if "wide.values" in weights:
        logits = logits + _wide(weights, batch)
    if "embedding" in weights:
        logits = logits + _deep(weights, batch)
    return logits


def _bias(weights: Tensors, batch: EncodedBatch) -> torch.Tensor:
    return weights["bias"].expand(len(batch))


def _wide(weights: Tensors, batch: EncodedBatch) -> torch.Tensor:
    if "wide.values" not in weights:
        return torch.zeros(len(batch))
    picked = _picked(weights["wide.values"], weights["wide.crosses"], torch.from_numpy(batch.wide.flat))
    return _summed(picked, torch.from_numpy(batch.wide.row_of()), len(batch))


def _deep(weights: Tensors, batch: EncodedBatch) -> torch.Tensor:
    if "embedding" not in weights:
        return torch.zeros(len(batch))
    rows, dense = torch.from_numpy(batch.rows), torch.from_numpy(batch.dense)
    return deep_logits(weights["embedding"], rows, bag_tensors(batch.bags), dense, deep_layers(weights))


def _picked(values: torch.Tensor, crosses: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
    """The weight of each entry of `flat` (N,): a value's row, or V plus a cross's. Joining the tables would copy them all."""
    is_cross = flat >= len(values)
    picked = values.new_empty(len(flat))
    picked[~is_cross] = values[flat[~is_cross]]
    picked[is_cross] = crosses[flat[is_cross] - len(values)]
    return picked


def _summed(entries: torch.Tensor, row_of: torch.Tensor, rows: int) -> torch.Tensor:
    """(B,) float32: the sum of each row's entries."""
    return torch.zeros(rows, device=entries.device).index_add_(0, row_of, entries)
