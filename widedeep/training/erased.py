"""A user who is forgotten has no row left in a bundle: no key, and in every table with a row per entry nothing but zeros.

What layers, quantiles and other rows have learnt from that user's examples stays in them: that takes training without those
examples (docs/erasure.md).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from widedeep.artifacts import Digest
from widedeep.data.erased import rows_of_users
from widedeep.features.bags import Int64s
from widedeep.features.growth import Vocabularies, without_values
from widedeep.features.vocabulary import Vocabulary
from widedeep.model.bundle import Bundle, Tensors
from widedeep.model.specification import is_table


def without_users(bundle: Bundle, feature: str, users: Collection[Digest]) -> Bundle:
    """The bundle without the values of a feature that have these digests, and without their crosses; it may be trained on.

    The rows become free: the next newcomers get them, with another generation.
    """
    known = _not_waiting(bundle.vocabularies, feature, users)
    rows = np.flatnonzero(_of_users(known.values.rows, feature, users))
    vocabularies = without_values(known, rows)
    crosses = np.flatnonzero(known.crosses.held() & ~vocabularies.crosses.held())
    return replace(
        bundle,
        vocabularies=vocabularies,
        weights=_reset(bundle.weights, rows, crosses),
        optimizer=bundle.optimizer and _reset(bundle.optimizer, rows, crosses),
    )


def _not_waiting(vocabularies: Vocabularies, feature: str, users: Collection[Digest]) -> Vocabularies:
    """The vocabularies without such values among those that wait for a row."""
    values = vocabularies.values
    waiting = values.waiting.filter(pa.array(~_of_users(values.waiting, feature, users)))
    return replace(vocabularies, values=Vocabulary(values.rows, waiting))


def _of_users(table: pa.Table, feature: str, users: Collection[Digest]) -> NDArray[np.bool_]:
    """(N,) whether an entry is one of these values of the feature."""
    found = np.zeros(table.num_rows, np.bool_)
    own = pc.equal(table["feature"], feature).fill_null(False).to_numpy()
    found[own] = rows_of_users(table["key"].filter(pa.array(own)), users)
    return found


def _reset(tensors: Tensors, rows: Int64s, crosses: Int64s) -> dict[str, torch.Tensor]:
    """The tensors, with zeros in these rows of every table."""
    cold = dict(tensors)
    for name in filter(is_table, tensors):
        cold[name] = tensors[name].clone()
        cold[name][torch.from_numpy(crosses if name.startswith("wide.crosses") else rows)] = 0
    return cold
