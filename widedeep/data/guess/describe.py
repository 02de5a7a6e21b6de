"""What each column is, as the contract says it, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from widedeep.data.guess import names
from widedeep.data.guess.keys import Keys, positives
from widedeep.data.guess.limits import FEW_VALUES, limits_of, null_limit
from widedeep.data.guess.owners import owner_of
from widedeep.data.guess.relations import GIVES_AWAY, label_entropy
from widedeep.data.guess.roles import role_of
from widedeep.data.guess.sample import Sample
from widedeep.data.guess.seen import Columns, Seen

RARE = 0.5  # share of the values that were seen once
MANY = 1_000
SEEN_OFTEN = 3  # sightings before such a value gets a row


@dataclass(frozen=True)
class Described:
    """A column as the contract says it; no `entries`: it can't. `gives_away`: it alone tells the label."""

    seen: Seen
    entries: Mapping[str, Any]
    why: tuple[str, ...]
    gives_away: bool = False

    @property
    def name(self) -> str:
        return self.seen.name


def describe(seen: Seen, columns: Columns, keys: Keys, sample: Sample) -> Described:
    if seen.kind is None:
        return Described(seen, {}, (f"of type {seen.values.type}, which no contract has: convert it to use it",))
    owner = owner_of(seen, columns, keys)
    entropy = _entropy(seen, columns, keys)
    role, why_role = role_of(seen, keys, owner, sample, entropy)
    limits = limits_of(seen, len(sample.spans), is_label=seen.name == keys.label.column, is_name=_is_name(seen, keys, role))
    nullable = seen.null_share > 0 and seen.name not in keys.required
    optional = {
        "role": role,
        "of": owner.of,
        "nullable": nullable or None,
        "max_null_share": null_limit(seen) if nullable else None,
        **limits.entries,
        "min_count": SEEN_OFTEN if role in {"categorical", "multivalent"} and _mostly_rare(seen) else None,
    }
    entries = {"type": seen.kind} | {name: value for name, value in optional.items() if value is not None}
    why = tuple(said for said in (why_role, owner.why, *_counted(seen, role), *limits.why) if said)
    return Described(seen, entries, why, entropy is not None)


def _entropy(seen: Seen, columns: Columns, keys: Keys) -> float | None:
    """That of the label given this column, if the column gives it away."""
    if keys.label.column is None or seen.name in keys.named or seen.constant:
        return None
    entropy = label_entropy(seen, positives(columns[keys.label.column], keys.label.at_least))
    return entropy if entropy is not None and entropy < GIVES_AWAY else None


def _is_name(seen: Seen, keys: Keys, role: str | None) -> bool:
    """Whether the values name something, so that new ones are expected, and numbers are no quantity."""
    if seen.name in {keys.user.column, keys.item.column} or names.is_id(seen.name):
        return True
    return role == "categorical" and seen.kind in {"string", "integer"} and seen.different > 2 * FEW_VALUES


def _mostly_rare(seen: Seen) -> bool:
    counts = np.asarray(seen.items.value_counts().field("counts")) if seen.kind == "list" else seen.counts
    return len(counts) > MANY and float(np.mean(counts == 1)) > RARE


def _counted(seen: Seen, role: str | None) -> Iterator[str]:
    """How many values, and how many are missing."""
    if role == "multivalent":
        yield f"{len(pc.unique(seen.items)):,} different items"
    elif role == "categorical":
        yield f"{seen.different:,} different values"
    if seen.null_share and seen.known:
        yield f"{seen.null_share:.1%} null, limit twice that" if null_limit(seen) else f"{seen.null_share:.1%} null"
