"""What the days of the sample tell of all days: volume, label rate, and how many users the gate can hold out."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from widedeep.data.guess.keys import Keys, positives
from widedeep.data.guess.limits import nice
from widedeep.data.guess.sample import Sample
from widedeep.data.guess.seen import Columns

VOLUME_SLACK = 3  # a third to three times: weekends and growth pass, a tenth and ten times don't
DUPLICATES = 0.01  # the contract's default
SMALL_DAY = 50_000  # rows; the paper's layers learn from millions
HOLDOUT = 0.15
HELD_OUT_USERS = 50  # that the gate should see, more than twice the least that it takes
MOST_POOLED = 28  # spans

Entry = tuple[str, Any, str]


def training_of(sample: Sample, columns: Columns, keys: Keys, name: str) -> Iterator[Entry]:
    """The model's size and the split."""
    rows = int(np.median(sample.volumes))
    if rows < SMALL_DAY:
        paper = "the default, the paper's, is embedding 32, hidden [1024, 512, 256]"
        yield "model", {"embedding": 16, "hidden": [64, 32]}, f"small layers for {rows:,} rows a day; {paper}"
    pool, said = {}, f"{HOLDOUT:.0%} of each day's users are held out; the salt decides who: never change it"
    if keys.user.column:
        user = columns[keys.user.column].codes
        users = float(np.mean([len(np.unique(user[sample.day == day])) for day in range(len(sample.spans))]))
        held_out = max(1.0, users * HOLDOUT)
        if held_out < HELD_OUT_USERS:
            pool = {"pool_spans": min(MOST_POOLED, math.ceil(HELD_OUT_USERS / held_out))}
            said += f"; that is some {held_out:.0f} a day, so the gate scores those of {pool['pool_spans']} days together"
    yield "split", {"salt": f"{name}-1", "holdout_share": HOLDOUT, **pool}, said


def checks_of(sample: Sample, columns: Columns, keys: Keys) -> Iterator[Entry]:
    """Entries of `checks`."""
    yield _volume(sample)
    yield from (*_label_rate(sample, columns, keys), *_duplicates(columns))


def _volume(sample: Sample) -> Entry:
    low, high = min(sample.volumes), max(sample.volumes)
    limits = [max(1, int(nice(low / VOLUME_SLACK, up=False))), math.ceil(nice(high * VOLUME_SLACK, up=True))]
    days = len(sample.volumes)
    seen = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    reckoned = "" if sample.whole else ", reckoned from the part that was read"
    said = f"{seen} rows a day in {days} day{'s' * (days > 1)}{reckoned}; limits a third and three times that"
    return "rows", limits, said


def _label_rate(sample: Sample, columns: Columns, keys: Keys) -> Iterator[Entry]:
    """Half and twice the rates that were seen, of the rarer class."""
    if keys.label.column is None:
        return
    positive = positives(columns[keys.label.column], keys.label.at_least)
    days = [positive[(sample.day == day) & np.isfinite(positive)] for day in range(len(sample.spans))]
    rates = [float(day.mean()) for day in days if len(day)]
    low, high = min(rates), max(rates)
    limits = [nice(low / 2, up=False), min(nice(high * 2, up=True), round(1 - (1 - high) / 2, 4))]
    seen = f"{low:.1%} to {high:.1%} positive" if len(rates) > 1 else f"{low:.1%} positive"
    yield "label_rate", limits, f"{seen}; limits half and twice that"


def _duplicates(columns: Columns) -> Iterator[Entry]:
    rows = np.zeros(len(next(iter(columns.values())).codes), np.int64)
    for seen in columns.values():
        _, rows = np.unique(rows * (seen.different + 1) + seen.codes + 1, return_inverse=True)
    share = 1 - (rows.max() + 1) / len(rows)
    if share > DUPLICATES / 2:
        yield (
            "duplicates",
            min(1, nice(2 * share, up=True)),
            f"{share:.1%} of the rows equal another one; limit twice that",
        )
