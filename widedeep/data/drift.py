"""Whether a span is like those that the champion has learnt: each watched column, the label rate and the volume, by a limit each.

Drift alone warns. What lies past the contract's drastic limit, and is more than chance and past spans account for, asks for a
person. Of all clean days no more than `drift.false_alarms` warn: each measure gets its part of that (Bonferroni).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from widedeep.data.calibration import ENOUGH, by_chance, calibrated
from widedeep.data.contract import Contract
from widedeep.data.distances import Distance
from widedeep.data.measures import Measure, measures
from widedeep.data.profiles import Profile

SAME_WEEKDAY = 2  # from so many spans on, those of the same weekday are the reference; before, all are


@dataclass(frozen=True)
class Move:
    """How far one thing has moved. `column` may be "label rate" or "rows"; `drastic` is None where nothing stops the span.

    `sentence`: what moved, by how much, from what to what, what was wanted.
    """

    column: str
    measure: str
    effect: float
    limit: float
    drastic: float | None
    level: Literal["none", "warning", "drastic"]
    sentence: str


def moves(profile: Profile, past: Sequence[Profile], contract: Contract) -> tuple[Move, ...]:
    """Everything that can be measured against the past spans of `drift.look_back` days; older ones too show what is usual.

    Where nothing was learnt for so long, as in a frozen lane, it is measured against the last days that were.
    """
    past = [p for p in past if p.span < profile.span and p.rows]
    weekly = len(_reference(profile, past, contract, weekly=True)) >= SAME_WEEKDAY
    reference = _reference(profile, past, contract, weekly=weekly)
    if not reference or not profile.rows:
        return ()
    pairs = [(p, others) for p in past if (others := _reference(p, past, contract, weekly=weekly))]
    found = [(m, now, _usual(m, pairs)) for m in measures(contract, profile) if (now := m.between(profile, reference))]
    known = [(m, now, usual) for m, now, usual in found if len(usual) >= ENOUGH or _by_allowance(m, usual, profile, reference)]
    return tuple(
        _move(m, contract, profile, reference, now, _limit(m, contract, now, usual, contract.drift.false_alarms / len(known)))
        for m, now, usual in known
    )


def _reference(profile: Profile, past: Sequence[Profile], contract: Contract, *, weekly: bool) -> list[Profile]:
    """The spans before it that are near enough, of its weekday if `weekly`; after a pause those before the pause."""
    newest = max((p.span for p in past if p.span < profile.span), default=profile.span)
    days = timedelta(days=contract.drift.look_back)
    oldest = profile.span - days if profile.span - days <= newest else newest + timedelta(days=1) - days
    return [p for p in past if oldest <= p.span < profile.span and (not weekly or p.span.weekday() == profile.span.weekday())]


def _usual(measure: Measure, pairs: Sequence[tuple[Profile, list[Profile]]]) -> list[Distance]:
    """How far each past span was from its own reference."""
    return [distance for one, others in pairs if (distance := measure.between(one, others))]


def _by_allowance(measure: Measure, usual: list[Distance], profile: Profile, reference: list[Profile]) -> bool:
    """Not of a column that has one value a span, such as a weekday, until a past span shows that it is another one each time."""
    single = all(measure.subject in p.constant for p in (profile, *reference))
    return measure.allowance is not None and (bool(usual) or not single)


def _limit(measure: Measure, contract: Contract, now: Distance, usual: list[Distance], false_alarms: float) -> tuple[float, str]:
    """The limit, and where it comes from."""
    explicit, smallest = measure.explicit(contract), contract.drift.smallest
    if explicit is not None:
        return explicit, "the contract's drift_limit"
    farthest = max((d.effect for d in usual), default=0.0)
    if len(usual) >= ENOUGH:
        limit, why = (
            calibrated(now, usual, false_alarms, measure.largest),
            f"{len(usual)} past spans moved by at most {farthest:.3f}",
        )
    else:
        limit = max(by_chance(now, false_alarms) + (measure.allowance or 0.0), farthest)
        why = f"chance and an allowance of {measure.allowance:g}, as only {len(usual)} past spans show what is usual"
    return (smallest, "less is never told: drift.smallest") if limit < smallest else (limit, why)


def _move(
    measure: Measure, contract: Contract, profile: Profile, reference: list[Profile], now: Distance, limit: tuple[float, str]
) -> Move:
    drastic, (wanted, why) = measure.drastic(contract, profile, reference), limit
    held = drastic is not None and now.effect > max(drastic, wanted)
    person = f"; beyond {drastic:.3f} a person decides" if held else ""
    said = (
        f"{measure.title}: drifted by {now.effect:.3f} ({measure.name}) since {_told(reference)}, "
        f"wanted at most {wanted:.3f} ({why}); {measure.moved(profile, reference)}{person}"
    )
    return Move(
        column=measure.subject,
        measure=measure.name,
        effect=now.effect,
        limit=wanted,
        drastic=drastic,
        level="drastic" if held else "warning" if now.effect > wanted else "none",
        sentence=said,
    )


def _told(reference: Sequence[Profile]) -> str:
    first, last = reference[0].span, reference[-1].span
    return f"span {first}" if first == last else f"{len(reference)} spans from {first} to {last}"
