"""What a dry run measured, held against the contract's limits, in words. Worse in anything never passes where better failed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from widedeep.data.contract import DryRun

ROUNDING = 1e-6
"""Scores that lie within it are one score: float32 tells no more apart."""


@dataclass(frozen=True)
class Served:
    """One server. `ms`: of each timed request. In MB: what its process held as it began and at its peak, what it grew by, and
    what a reader loads of the release: of tables that are mapped, a process holds no more than what it has read.
    """

    load_s: float
    ms: tuple[float, ...]
    base_mb: float
    peak_mb: float
    growth_mb: float = 0.0
    files_mb: float = 0.0

    @property
    def own_mb(self) -> float:
        """What the release takes: at the peak, beyond what any server's process holds."""
        return self.peak_mb - self.base_mb

    def percentile(self, q: float) -> float | None:
        """ms; None where nothing was timed."""
        return float(np.percentile(self.ms, q)) if self.ms else None


@dataclass(frozen=True)
class Scores:
    """Of `rows` real rows: the extremes, and by how much one is off the trainer's at most."""

    rows: int
    lowest: float
    highest: float
    largest_error: float


@dataclass(frozen=True)
class Measured:
    """`faults`: requests that were not answered as they have to be, in words.

    `repeated`: by how much scores differ between two answers to one request. `agreement`: with the champion's rankings; None
    where there are none to compare.
    """

    candidate: Served
    champion: Served | None
    scores: Scores
    repeated: float
    agreement: float | None
    faults: tuple[str, ...] = ()

    def with_files(self, files_mb: float, champions_mb: float) -> Self:
        """The same, of releases whose readers load so much."""
        beside = self.champion and replace(self.champion, files_mb=champions_mb)
        return replace(self, candidate=replace(self.candidate, files_mb=files_mb), champion=beside)


def failures(measured: Measured, limits: DryRun, precision: str) -> tuple[str, ...]:
    """Why the candidate may not serve; empty: it may."""
    return (*unfit(measured, limits, precision), *slow(measured, limits))


def unfit(measured: Measured, limits: DryRun, precision: str) -> tuple[str, ...]:
    """All reasons but those of latency."""
    return (*measured.faults, *_of_scores(measured, limits.largest_error(precision), limits), *_of_costs(measured, limits))


def slow(measured: Measured, limits: DryRun) -> tuple[str, ...]:
    """The reasons of latency alone: noise can make one, so it is worth a second look."""
    return tuple(_of_times(measured.candidate, measured.champion, limits))


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Spearman's, of two scorings of one list; equal scores have their mean rank. None where one has only equal ones."""
    ranks = [_ranks(scores) for scores in (one, other)]
    if any(np.ptp(each) == 0 for each in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: NDArray[np.float64] = (ends - counts + ends - 1) / 2
    return means[places]


def _of_scores(measured: Measured, largest_error: float, limits: DryRun) -> Iterator[str]:
    found = measured.scores
    if not found.rows:
        yield "no real row was scored, wanted at least one"
        return
    if not found.largest_error <= largest_error:
        yield f"scores differ from the trainer's by up to {found.largest_error:.2e}, wanted at most {largest_error:.0e}"
    extremes = f"scores of {found.rows} real rows lie between {found.lowest:.6g} and {found.highest:.6g}"
    if found.lowest < 0 or found.highest > 1:
        yield f"{extremes}, wanted probabilities"
    if found.rows > 1 and found.highest - found.lowest <= ROUNDING:
        yield f"{extremes}: all the same, wanted some that differ"
    if measured.repeated > 0:
        yield f"the same request got scores that differ by {measured.repeated:.2e}, wanted the same scores"
    if measured.agreement is not None and measured.agreement < limits.agreement:
        told = f"{measured.agreement:.2f} on average, wanted at least {limits.agreement}"
        yield f"ranks items unlike the champion: rank correlation {told}"


def _of_costs(measured: Measured, limits: DryRun) -> Iterator[str]:
    ours, theirs, load_s = measured.candidate, measured.champion, limits.load.total_seconds()
    if ours.load_s > load_s:
        yield f"took {ours.load_s:.1f} s to load, wanted at most {load_s:.0f} s"
    if ours.peak_mb > limits.memory_mb:
        yield f"memory: its server held {ours.peak_mb:,.0f} MB, wanted at most {limits.memory_mb:,} MB"
    if theirs:
        yield from _beside("the release takes", ours.own_mb, theirs.own_mb, limits)
        yield from _beside("its files have", ours.files_mb, theirs.files_mb, limits)
    if ours.growth_mb > limits.growth_mb:
        yield f"memory grew by {ours.growth_mb:,.0f} MB while it was asked, wanted at most {limits.growth_mb:,} MB"


def _beside(what: str, our_mb: float, their_mb: float, limits: DryRun) -> Iterator[str]:
    """No more than so many times the champion's; what a process may grow by anyway is too little to tell releases apart."""
    most_mb = max(limits.growth_mb, limits.memory_of_champion * their_mb)
    if our_mb > most_mb:
        yield f"memory: {what} {our_mb:,.0f} MB, the champion's {their_mb:,.0f} MB, wanted at most {most_mb:,.0f} MB"


def _of_times(ours: Served, theirs: Served | None, limits: DryRun) -> Iterator[str]:
    for q, most in ((50, limits.p50_ms), (95, limits.p95_ms), (99, limits.p99_ms)):
        found = ours.percentile(q)
        if found is not None and found > most:
            yield f"slow: p{q} of a request is {found:.1f} ms, wanted at most {most:g} ms"
    median, champions = ours.percentile(50), theirs and theirs.percentile(50)
    if median is not None and champions and median > limits.p50_of_champion * champions:
        beside = f"the champion's {champions:.1f} ms, wanted at most {limits.p50_of_champion:g} times that"
        yield f"slow: p50 of a request is {median:.1f} ms, {beside}"
