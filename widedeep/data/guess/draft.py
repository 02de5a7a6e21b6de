"""The whole contract as a document, with the reason of each of its entries by place.

Places that could not be told are `DECIDE`: the contract is refused, with that place, until somebody has decided.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from widedeep.data.guess import names
from widedeep.data.guess.days import checks_of, training_of
from widedeep.data.guess.describe import Described, describe
from widedeep.data.guess.keys import Keys, keys_of, time_of
from widedeep.data.guess.limits import plain
from widedeep.data.guess.sample import Sample
from widedeep.data.guess.seen import Columns, look

UNDECIDED = "DECIDE"
SURELY_UNIQUE = 100  # rows
CROSSES = 3
CROSSED_VALUES = 300  # pairs of a cross: of more, a small day has few rows each

Entry = tuple[str, Any, str]
"""A place in the document, its value, and the reason."""


@dataclass(frozen=True)
class Draft:
    """`document` is what the YAML says; `why` gives reasons by place. `undecided`: places that somebody has to fill in."""

    sample: Sample
    document: Mapping[str, Any]
    why: Mapping[str, str]
    columns: tuple[Described, ...]
    undecided: tuple[str, ...]


def draft(sample: Sample, name: str) -> Draft:
    """Guess a contract. Equal samples give equal drafts."""
    sample, columns = _by_its_days(sample, look(sample))
    keys = keys_of(columns, sample)
    described = tuple(describe(seen, columns, keys, sample) for seen in columns.values())
    entries = list(_entries(sample, columns, keys, described, name))
    checks = list(checks_of(sample, columns, keys))
    document = {"name": name} | {place: value for place, value, _ in entries}
    document["checks"] = {place: value for place, value, _ in checks}
    why = {place: said for place, _, said in entries} | {f"checks.{place}": said for place, _, said in checks}
    return Draft(sample, document, why, described, keys.undecided)


def _by_its_days(sample: Sample, columns: Columns) -> tuple[Sample, Columns]:
    """Where no folder tells the days, the rows' own times do."""
    time = time_of(columns, sample).column
    if sample.spans != (None,) or time is None:
        return sample, columns
    times = columns[time].values.fill_null(columns[time].labels[0]).to_numpy(zero_copy_only=False)
    dates, day = np.unique(times.astype("datetime64[D]"), return_inverse=True)
    volumes = np.bincount(day) * sample.volumes[0] / sample.table.num_rows
    told = replace(sample, day=day, spans=tuple(dates.tolist()), volumes=tuple(round(volume) for volume in volumes))
    return told, look(told)


def _entries(sample: Sample, columns: Columns, keys: Keys, described: Sequence[Described], name: str) -> Iterator[Entry]:
    """Sections of the document in their order."""
    yield from _special(keys, described)
    yield "columns", {d.name: dict(d.entries) for d in described if d.entries}, ""
    if crosses := _crosses(described):
        yield "crosses", crosses, "pairs that the wide part remembers: suggested, not tried"
    yield from training_of(sample, columns, keys, name)
    yield "checks", {}, ""
    yield _delivery(sample)
    yield "gate", {"margin": 0.01}, "a candidate may be so much worse, in log loss per row, and still counts as equal"


def _special(keys: Keys, described: Sequence[Described]) -> Iterator[Entry]:
    """The columns with a special meaning."""
    yield "user", keys.user.column or UNDECIDED, keys.user.why
    yield "time", keys.time.column or UNDECIDED, keys.time.why
    if keys.item.column:
        yield "item", keys.item.column, keys.item.why
        if title := _title(described, keys.item.column):
            yield "title", title, f"each {keys.item.column} has one"
    if key := _key(described, keys):
        yield "key", [key], f"no value of {key} was there twice"
    at_least = {} if keys.label.at_least is None else {"at_least": plain(keys.label.at_least)}
    yield "label", {"column": keys.label.column or UNDECIDED, **at_least}, keys.label.why


def _title(described: Sequence[Described], item: str) -> str | None:
    texts = [d.name for d in described if d.entries.get("of") == "item" and d.seen.kind == "string" and d.name != item]
    named = [text for text in texts if names.named(text, names.TITLE)]
    return max(named, key=lambda text: names.named(text, names.TITLE), default=None)


def _key(described: Sequence[Described], keys: Keys) -> str | None:
    """A column that is named as an id and has a value of its own in each row."""
    for d in described:
        unique = SURELY_UNIQUE <= d.seen.different == len(d.seen.codes)
        if unique and d.seen.kind in {"string", "integer"} and names.is_id(d.name) and d.name not in keys.named:
            return d.name
    return None


def _crosses(described: Sequence[Described]) -> list[dict[str, Any]]:
    """What users had before by what is shown, then other categories by items' categories, while both have few values."""
    sides = [d for d in described if d.entries.get("role") in {"categorical", "multivalent"}]
    items = [d for d in sides if d.entries.get("of") == "item"]
    before = [d for d in sides if d.entries["role"] == "multivalent" and d.entries.get("of") == "user"]
    histories = [{"of": [left.name, right.name], "min_count": 3} for left in before for right in items[:2]]
    plain_sides = [d for d in sides if d.entries["role"] == "categorical" and d not in items]
    pairs = [(left, right) for left in plain_sides for right in items if right.entries["role"] == "categorical"]
    few = [pair for pair in pairs if pair[0].seen.different * pair[1].seen.different <= CROSSED_VALUES]
    return (histories + [{"of": [left.name, right.name]} for left, right in few])[:CROSSES]


def _delivery(sample: Sample) -> Entry:
    if sample.prefix is None:
        return (
            "delivery",
            {"prefix": "landing/{span}/"},
            "where each day's files have to arrive: the sample's folders tell no days",
        )
    marker = {"marker": sample.marker} if sample.marker else {}
    return "delivery", {"prefix": sample.prefix, **marker}, "where the sample lies"
