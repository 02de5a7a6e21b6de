"""What of a span is measured against earlier ones: each watched column, which values are new, the label rate and the volume."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Generic, Protocol, TypeVar

from widedeep.data import moved
from widedeep.data.contract import Contract
from widedeep.data.distances import (
    Distance,
    between_gaps,
    between_label_rates,
    between_ranks,
    between_shares,
    between_volumes,
    label_rate,
    unknown,
    usual_rows,
)
from widedeep.data.profiles import Profile
from widedeep.data.ranks import Ranks
from widedeep.data.shares import Shares

C = TypeVar("C", Shares, Ranks)
Others = Sequence[Profile]
LABEL_RATE, ROWS = "label rate", "rows"


class Measure(Protocol):
    """`subject` is a column, "label rate" or "rows". `allowance` is what may be beyond chance while too few past spans show what
    is usual; None: nothing is told then. `largest`: no effect is larger.

    between: None where there is nothing to compare. moved: what moved most, from what to what. explicit: the contract's own
    limit. drastic: the effect from which on the contract wants a person to look.
    """

    @property
    def subject(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def allowance(self) -> float | None: ...
    @property
    def largest(self) -> float: ...
    def between(self, one: Profile, others: Others) -> Distance | None: ...
    def moved(self, one: Profile, others: Others) -> str: ...
    def explicit(self, contract: Contract) -> float | None: ...
    def drastic(self, contract: Contract, one: Profile, others: Others) -> float | None: ...


def measures(contract: Contract, profile: Profile) -> Iterator[Measure]:
    """All that the profile has. After one span nearly all values may be new: these are told of once it is known what is usual."""
    for name, column in profile.columns.items():
        if isinstance(column, Ranks):
            yield OfColumn(name, "Kolmogorov-Smirnov distance", 0.2, Ranks, between_ranks, moved.ranks)
        else:
            # .2 is a share that goes from 50 to 69 %
            yield OfColumn(name, "Jensen-Shannon distance", 0.2, Shares, between_shares, moved.shares)
            if column.nulls or column.empty:
                yield OfColumn(name, "Jensen-Shannon distance of gaps", 0.2, Shares, between_gaps, moved.gaps)
            if column.buckets is not None and name != contract.user:
                yield OfColumn(name, "share of unknown values", None, Shares, unknown, moved.unknown)
    yield OfLabel()
    yield OfVolume()


@dataclass(frozen=True)
class OfColumn(Generic[C]):
    """A column that both sides have, of one kind."""

    subject: str
    name: str
    allowance: float | None
    kind: type[C]
    distance: Callable[[C, Sequence[C]], Distance]
    told: Callable[[C, Sequence[C]], str]
    largest: float = 1.0

    def between(self, one: Profile, others: Others) -> Distance | None:
        column, before = self._columns([one]), self._columns(others)
        return self.distance(column[0], before) if column and before else None

    def moved(self, one: Profile, others: Others) -> str:
        return self.told(self._columns([one])[0], self._columns(others))

    @property
    def title(self) -> str:
        return f"column {self.subject!r}"

    def explicit(self, contract: Contract) -> float | None:
        return contract.columns[self.subject].drift_limit if self.allowance is not None else None

    def drastic(self, contract: Contract, one: Profile, others: Others) -> float | None:  # noqa: ARG002
        return contract.drastic.drift

    def _columns(self, profiles: Others) -> list[C]:
        return [column for p in profiles if isinstance(column := p.columns.get(self.subject), self.kind)]


@dataclass(frozen=True)
class OfLabel:
    """The drastic limits are ratios of rates: each is an effect, by the way that the rate has gone."""

    subject: str = LABEL_RATE
    name: str = "log odds ratio"
    title: str = LABEL_RATE
    allowance: float | None = 0.7  # twice the odds
    largest: float = inf

    def between(self, one: Profile, others: Others) -> Distance | None:
        labelled = [o for o in others if o.labelled]
        return between_label_rates(one, labelled) if one.labelled and labelled else None

    def moved(self, one: Profile, others: Others) -> str:
        return f"from {label_rate(others):.4f} to {label_rate([one]):.4f}"

    def explicit(self, contract: Contract) -> float | None:  # noqa: ARG002
        return None

    def drastic(self, contract: Contract, one: Profile, others: Others) -> float | None:
        if contract.drastic.label_rate is None:
            return None
        low, high = contract.drastic.label_rate
        before, now = label_rate(others), label_rate([one])
        bound = before * (high if now > before else low)
        return abs(_log_odds(bound) - _log_odds(before)) if bound < 1 else None


@dataclass(frozen=True)
class OfVolume:
    """Rows, against the geometric mean of the other spans."""

    subject: str = ROWS
    name: str = "log ratio"
    title: str = ROWS
    allowance: float | None = 1.1  # a third of the rows, or three times as many
    largest: float = inf

    def between(self, one: Profile, others: Others) -> Distance | None:
        return between_volumes(one, others)

    def moved(self, one: Profile, others: Others) -> str:
        return f"from {usual_rows(others):,.0f} to {one.rows:,} rows"

    def explicit(self, contract: Contract) -> float | None:  # noqa: ARG002
        return None

    def drastic(self, contract: Contract, one: Profile, others: Others) -> float | None:
        if contract.drastic.volume is None:
            return None
        low, high = contract.drastic.volume
        return abs(log(high if one.rows > usual_rows(others) else low))


def _log_odds(rate: float) -> float:
    return log(rate / (1 - rate))
