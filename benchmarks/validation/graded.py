"""Small faults, whose size decides from how many rows on anybody could find them: that is said of each here, beforehand.

    python -m benchmarks.validation.graded      # how many standard errors each fault is, by rows; writes no file

A fault moves a statistic, such as the share of nulls. What a clean day's statistic differs by from the days of its weekday before
it, in stores that are not judged, is the standard error, by chance and by what moves stores. A check that warns of .5 % of clean
days, over `MEASURES` measures, and finds 95 % of the faults, needs faults of `NEEDED` standard errors, even if it knew what to
look for. `from_rows` follows from that alone. None: not even of 100,000 rows, where what moves a store is larger than chance; or
the contract calls the effect too small to be told (`drift.smallest`).
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import norm

from benchmarks.validation.faults import Fault
from benchmarks.validation.good import HISTORY, clean_days, contract
from benchmarks.validation.mutations import Mutation, Rng, put, scaled, some, thinned, where, without_positives
from benchmarks.validation.seeds import NOISE
from widedeep.data.contract import Contract

Statistic = Callable[[pa.Table], float]
NOISE_SIZES = (3_000, 100_000)
MEASURES = 20
NEEDED = float(norm.isf(0.005 / 2 / MEASURES) + norm.isf(0.05))  # 5.3
WEEK, WEEKS = 7, 4
ROWS_OF_A_USER = 10


@dataclass(frozen=True, kw_only=True)
class Graded(Fault):
    """`chance`: the variance of the statistic times the rows, where the simulated stores hold still what is chance elsewhere."""

    statistic: Statistic
    chance: float = 0.0


def nulls_in_ages(t: pa.Table) -> float:
    return t["age"].null_count / t.num_rows


def share(name: str, *values: object) -> Statistic:
    return lambda t: float(pc.is_in(t[name], pa.array(values, t[name].type)).to_numpy().mean())


def mean_log_size(t: pa.Table) -> float:
    return float(np.log(t["size_mb"].to_numpy()).mean())


def log_odds(t: pa.Table) -> float:
    rate = float(t["acquired"].to_numpy().mean())
    return log(rate / (1 - rate))


def log_rows(t: pa.Table) -> float:
    return log(t.num_rows)


def empty_lists(t: pa.Table) -> float:
    return float(pc.equal(pc.list_value_length(t["installed_apps"]), 0).to_numpy().mean())


def later(t: pa.Table, _: Rng) -> pa.Table:
    return put(t, "hour", pa.array((t["hour"].to_numpy() + 1) % 24))


def emptied(portion: float) -> Mutation:
    def without(t: pa.Table, rng: Rng) -> pa.Table:
        lists = t["installed_apps"].combine_chunks()
        return put(t, "installed_apps", pc.if_else(some(t, rng, portion), pa.scalar([], lists.type), lists))

    return without


TOLD = ("warning", "held")


def sizes(factor: float, from_rows: int | None) -> Graded:
    words = ("size_mb", "drifted", "median from")
    return Graded(f"sizes × {factor:g}", TOLD, words, scaled("size_mb", factor), from_rows=from_rows, statistic=mean_log_size)


def nulls(portion: float, from_rows: int | None) -> Graded:
    words = ("age", "drifted", "nulls, from")
    name, spoil = f"{portion:.0%} of the ages are lost", where("age", portion, None)
    return Graded(name, TOLD, words, spoil, from_rows=from_rows, statistic=nulls_in_ages)


def devices(portion: float, from_rows: int | None) -> Graded:
    name, words = f"{portion:.0%} of the devices become tablets", ("device", "drifted", "'tablet', from")
    return Graded(name, TOLD, words, where("device", portion, "tablet"), from_rows=from_rows, statistic=share("device", "tablet"))


def categories(portion: float, from_rows: int | None) -> Graded:
    name, words, new = f"{portion:.0%} of the categories have a new name", ("category", "drifted", "'other', from 0.0%"), "other"
    return Graded(name, TOLD, words, where("category", portion, new), from_rows=from_rows, statistic=share("category", new))


def labels(portion: float, from_rows: int | None) -> Graded:
    name, words = f"{portion:.0%} of the positives are lost", ("label rate: drifted", "log odds")
    return Graded(name, TOLD, words, without_positives(portion), from_rows=from_rows, statistic=log_odds)


def volume(portion: float, from_rows: int | None) -> Graded:
    name, words, spoil = f"{1 - portion:.0%} of the users are lost", ("rows: drifted", "log ratio"), thinned(portion)
    return Graded(name, TOLD, words, spoil, from_rows=from_rows, statistic=log_rows, chance=ROWS_OF_A_USER * (1 + 1 / WEEKS))


def lists(portion: float, from_rows: int | None) -> Graded:
    name, words = f"{portion:.0%} of the lists are emptied", ("installed_apps", "drifted", "(empty list)")
    return Graded(name, TOLD, words, emptied(portion), from_rows=from_rows, statistic=empty_lists)


GRADED: tuple[Graded, ...] = (
    sizes(1.05, None),
    sizes(1.2, None),
    sizes(1.6, 0),
    sizes(3, 0),
    nulls(0.02, None),
    nulls(0.1, 100_000),
    devices(0.02, None),
    devices(0.1, 100_000),
    devices(0.3, 0),
    categories(0.02, 0),
    categories(0.1, 0),
    labels(0.1, None),
    labels(0.3, 100_000),
    labels(0.5, 0),
    volume(0.9, 100_000),
    volume(0.7, 0),
    volume(0.5, 0),
    lists(0.1, 0),
    lists(0.3, 0),
    Graded(
        "the hour is an hour late", TOLD, ("hour", "drifted"), later, from_rows=100_000, statistic=share("hour", 22, 23, 0, 1, 2)
    ),
)


def standard_errors(rule: Contract, rows: int) -> dict[str, float]:
    """Of how many each fault is, in spans of so many rows."""
    apart: dict[str, list[float]] = {fault.name: [] for fault in GRADED}
    moved: dict[str, list[float]] = {fault.name: [] for fault in GRADED}
    for seed in NOISE:
        days: dict[str, list[float]] = {fault.name: [] for fault in GRADED}
        for _, table in clean_days(rule, seed, rows, HISTORY + 1):
            for fault in GRADED:
                days[fault.name].append(fault.statistic(table))
        for fault in GRADED:
            spoilt = fault.spoil(table, np.random.default_rng(seed))
            moved[fault.name].append(abs(fault.statistic(spoilt) - days[fault.name][-1]))
            apart[fault.name].extend(_apart(days[fault.name]))
    return {f.name: float(np.mean(moved[f.name]) / _error(apart[f.name], f.chance / rows)) for f in GRADED}


def _apart(days: Sequence[float]) -> list[float]:
    """Each day from the mean of those of its weekday before it, where there are two."""
    return [days[d] - float(np.mean(days[d % WEEK : d : WEEK][-WEEKS:])) for d in range(2 * WEEK, len(days))]


def _error(apart: Sequence[float], chance: float) -> float:
    return max(float(np.sqrt(np.mean(np.square(apart)))), chance**0.5, float(np.finfo(float).tiny))


def main() -> None:
    found = {rows: standard_errors(contract(), rows) for rows in NOISE_SIZES}
    sys.stdout.write(f"needed: {NEEDED:.1f}\n")
    for fault in GRADED:
        sys.stdout.write(
            f"{fault.name:44} {fault.from_rows!s:10} {[round(found[rows][fault.name], 1) for rows in NOISE_SIZES]}\n"
        )


if __name__ == "__main__":
    main()
