"""Vocabularies grow on training rows only, and only by appending: growing twice by the same span gives the same rows once.

Values grow first; a cross is a pair of value rows, so a pair counts from the span on in which both its sides have rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from widedeep.data.contract import Contract
from widedeep.features.bags import Bag
from widedeep.features.columns import Features, Keys, categorical_keys, cross_name, multivalent_keys
from widedeep.features.crosses import cross
from widedeep.features.vocabulary import CROSS_KEY, VALUE_KEY, Sightings, Vocabulary


@dataclass(frozen=True)
class Vocabularies:
    """What a model knows of the world. `features` are those that it reads; rows of features dropped since are kept."""

    values: Vocabulary
    crosses: Vocabulary
    features: Features

    @classmethod
    def empty(cls) -> Vocabularies:
        return cls(Vocabulary.empty(VALUE_KEY), Vocabulary.empty(CROSS_KEY), Features())


def grow(vocabularies: Vocabularies, table: pa.Table, contract: Contract, span: date) -> Vocabularies:
    """Give rows to the new values and crosses of one span's training rows, for the features that the contract names.

    Raises:
        ContractError: the rows lack a column that the contract names.
    """
    features = Features.of(contract)
    keys = keys_of(table, features)
    values = vocabularies.values.with_oov(keys, span).grown([_count(name, k, contract) for name, k in keys.items()], span)
    pairs = pairs_of(value_rows(values, keys), features)
    min_count = {c.of: c.min_count for c in contract.crosses}
    crosses = vocabularies.crosses.grown([_count_pairs(sides, bag, min_count[sides]) for sides, bag in pairs.items()], span)
    return Vocabularies(values, crosses, features)


def keys_of(table: pa.Table, features: Features) -> dict[str, Keys]:
    """The keys of every categorical and multivalent feature."""
    univalent = {name: categorical_keys(table, name) for name in features.categorical}
    return univalent | {name: multivalent_keys(table, name) for name in features.multivalent}


def value_rows(values: Vocabulary, keys: dict[str, Keys]) -> dict[str, Bag]:
    """Each feature's bag of rows of `values`, -1 where a value has none."""
    return {name: Bag(values.lookup(name, k.unique)[k.bag.flat], k.bag.offsets) for name, k in keys.items()}


def pairs_of(rows: dict[str, Bag], features: Features) -> dict[tuple[str, str], Bag]:
    """Each cross's bag of keys."""
    return {sides: cross(rows[sides[0]], rows[sides[1]]) for sides in features.crosses}


def _count(name: str, keys: Keys, contract: Contract) -> Sightings:
    counts = np.bincount(keys.bag.flat, minlength=len(keys.unique))
    return Sightings(name, keys.unique, counts, contract.columns[name].min_count)


def _count_pairs(sides: tuple[str, str], bag: Bag, min_count: int) -> Sightings:
    unique, counts = np.unique(bag.flat, return_counts=True)
    return Sightings(cross_name(sides), pa.array(unique, pa.int64()), counts, min_count)
