"""The limit of memorisation, made visible: what share of a span's values and crosses a model had never had rows for.

Counted on rows as the grown vocabularies encode them, chunk by chunk. `V` rows of `values`, `C` rows of `crosses`.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from widedeep.artifacts import Value
from widedeep.features.columns import Features
from widedeep.features.encoding import EncodedBatch
from widedeep.features.growth import Vocabularies
from widedeep.features.vocabulary import Vocabulary


class Coverage(Value):
    """The limit of memorisation: the share of values out of the vocabulary and of crosses without a row; None of none."""

    oov_share: float | None
    unseen_cross_share: float | None


@dataclass(frozen=True)
class Known:
    """What a vocabulary knew before it grew to the present one: which of its V value rows, and which of its C cross rows."""

    values: NDArray[np.bool_]
    crosses: NDArray[np.bool_]

    @classmethod
    def of(cls, before: Vocabularies, now: Vocabularies) -> Known:
        """OOV rows stand for what is not known."""
        values = _kept(before.values, now.values)
        values[list(now.values.oov_rows().values())] = False
        return cls(values, _kept(before.crosses, now.crosses))


@dataclass(frozen=True)
class Counts:
    """Entries of rows that a model knows, of how many."""

    values: int = 0
    known_values: int = 0
    crosses: int = 0
    known_crosses: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(one + another for one, another in zip(astuple(self), astuple(other), strict=True)))

    def coverage(self) -> Coverage:
        return Coverage(
            oov_share=round(1 - self.known_values / self.values, 6) if self.values else None,
            unseen_cross_share=round(1 - self.known_crosses / self.crosses, 6) if self.crosses else None,
        )


def count_known(encoded: EncodedBatch, features: Features, known: Known) -> Counts:
    """How much of these rows was known; `features` are those that encoded them."""
    entries = [encoded.rows.reshape(-1), *(bag.flat for bag in encoded.bags)]
    crosses = encoded.wide.flat[encoded.wide.flat >= encoded.sizes[0]] - encoded.sizes[0]
    return Counts(
        values=sum(len(flat) for flat in entries),
        known_values=sum(int(known.values[flat].sum()) for flat in entries),
        crosses=sum(_pair_count(encoded, features, sides) for sides in features.crosses),
        known_crosses=int(known.crosses[crosses].sum()),
    )


def _kept(before: Vocabulary, now: Vocabulary) -> NDArray[np.bool_]:
    """Whether each row of `now` belongs to whom it belonged to before."""
    kept = np.zeros(len(now), np.bool_)
    kept[: len(before)] = before.held()
    kept[now.recycled_since(before)] = False
    return kept


def _pair_count(encoded: EncodedBatch, features: Features, sides: tuple[str, str]) -> int:
    one_each = np.ones(len(encoded), np.int64)
    lengths = {name: bag.lengths() for name, bag in zip(features.multivalent, encoded.bags, strict=True)}
    return int((lengths.get(sides[0], one_each) * lengths.get(sides[1], one_each)).sum())
