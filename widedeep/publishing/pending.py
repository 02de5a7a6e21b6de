"""The fifth law: nothing is learnt twice, nothing valid is lost, and no gate scores a row that either model trained on.

A span's training rows are pending from the day it is settled until a release in the parent's line has learnt them. Its held-out
rows serve the gate for `pool_spans` spans, its own included, and are pending from then on. Quarantined and empty spans never are,
nor is one that is held for a person, until its rows are added.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from widedeep.artifacts import Outcome, Part, Snapshot, sha256
from widedeep.data.contract import Pending, SplitRule

NO_ROWS = sha256(b"")
"""Stands for the version that a span has before anything of it was delivered."""

VALID = {"promoted", "held", "rejected", "learnt", "added"}

PartName = Literal["train", "holdout"]
PARTS: tuple[PartName, ...] = ("holdout", "train")
"""In the order in which a candidate learns those of one span."""

Seen = frozenset[tuple[date, str, str]]
"""(span, snapshot digest, part) of everything that the parent or an ancestor of it trained on: `Manifest.seen()`."""


@dataclass(frozen=True)
class Plan:
    """What one candidate learns, in date order; whose held-out rows the gate pools; and which spans wait for a person."""

    learnt: tuple[Part, ...]
    pooled: tuple[Snapshot, ...]
    set_aside: tuple[date, ...]


def plan(outcomes: Iterable[Outcome], own: Snapshot, seen: Seen, split: SplitRule, pending: Pending) -> Plan:
    """What the candidate of span `own` learns after these outcomes, as a child of the parent that has `seen` so much.

    - Training rows: the `max_spans` oldest pending spans, then its own. The oldest go first, so that none starves; what is left
      stays pending. A span whose training rows were in `attempts` rejected candidates is set aside, so it can't block the others.
    - Held-out rows: of all earlier spans that have left the pool. Those of a span that is set aside wait with it.
    - With rule `drop`, a span that the parent has not learnt is forgotten: neither its training rows nor its held-out rows are
      ever learnt. Its held-out rows still serve the gate while they are in the pool. What was added since waits all the same:
      no candidate could learn it with its day.
    """
    past = sorted((o for o in outcomes if o.span < own.span), key=lambda o: o.span)
    waiting = unlearnt(past, seen)
    rejections = _rejections(past)
    forgotten = _forgotten(past, waiting, pending)
    given_up = [s for s in waiting if s in forgotten or rejections[s.span] >= pending.attempts]
    carried = [s for s in waiting if s not in given_up][: pending.max_spans]
    first_pooled = own.span - timedelta(days=split.pool_spans - 1)
    unseen = unlearnt(past, seen, "holdout")
    released = [s for s in unseen if s.span < first_pooled and s not in given_up]
    parts = [_part(s, "train") for s in carried] + [_part(s, "holdout") for s in released]
    return Plan(
        learnt=(*sorted(parts, key=lambda p: (p.span, p.part)), _part(own, "train")),
        pooled=(*(s for s in unseen if s.span >= first_pooled), own),
        set_aside=tuple(s.span for s in given_up if pending.rule == "carry"),
    )


def awaited(outcomes: Iterable[Outcome], seen: Seen, pool_spans: int, pending: Pending) -> list[Snapshot]:
    """Of which spans any later candidate may still learn rows, or be judged on them, as a child of what has `seen` so much.

    With rule `drop` a span that was not learnt is forgotten, but for its held-out rows while they can be in the pool.
    """
    past = list(outcomes)
    waiting = unlearnt(past, seen)
    forgotten = _forgotten(past, waiting, pending)
    pooled_after = max((o.span for o in past), default=date.min + timedelta(pool_spans)) + timedelta(1 - pool_spans)
    unseen = [s for s in unlearnt(past, seen, "holdout") if s not in forgotten or s.span > pooled_after]
    return [*(s for s in waiting if s not in forgotten), *unseen]


def unlearnt(outcomes: Iterable[Outcome], seen: Seen, part: PartName = "train") -> list[Snapshot]:
    """The valid spans of which a release that has `seen` so much has not learnt that part, in the order of the outcomes."""
    return [s for s in valid(outcomes, seen) if not _in(seen, s, part)]


def learnt(outcomes: Iterable[Outcome], seen: Seen) -> dict[Snapshot, tuple[Part, ...]]:
    """What a release that has `seen` so much has learnt of each span, in the order of the outcomes."""
    parts = {s: tuple(_part(s, part) for part in PARTS if _in(seen, s, part)) for s in valid(outcomes, seen)}
    return {snapshot: found for snapshot, found in parts.items() if found}


def _forgotten(past: Iterable[Outcome], waiting: Iterable[Snapshot], pending: Pending) -> list[Snapshot]:
    added = [o.snapshot for o in past if o.result == "added"]
    return [s for s in waiting if s not in added] if pending.rule == "drop" else []


def valid(outcomes: Iterable[Outcome], seen: Seen) -> list[Snapshot]:
    """The version of each span that may be learnt, and rows that were added beside it.

    Of versions that replace one another it is the one that has been learnt, else the last.
    """
    known = {(o.span, o.snapshot.digest): o for o in outcomes if o.snapshot and learnable(o)}
    successor = {(o.span, o.replaces): o.snapshot for o in known.values() if o.replaces}
    firsts = [o.snapshot for o in known.values() if (o.span, o.replaces) not in known]
    return [_current(snapshot, successor, seen) for snapshot in firsts if snapshot]


def learnable(outcome: Outcome) -> bool:
    """A span that was held before anything was trained on it has no release."""
    return outcome.result in VALID and (outcome.result != "held" or outcome.release_id is not None)


def _current(snapshot: Snapshot, successor: Mapping[tuple[date, str], Snapshot | None], seen: Seen) -> Snapshot:
    line = [snapshot]
    while later := successor.get((snapshot.span, line[-1].digest)):
        line.append(later)
    return next((s for s in line if _in(seen, s, "train") or _in(seen, s, "holdout")), line[-1])


def _in(seen: Seen, snapshot: Snapshot, part: PartName) -> bool:
    return (snapshot.span, snapshot.digest, part) in seen


def _part(snapshot: Snapshot, part: PartName) -> Part:
    return Part(span=snapshot.span, version=snapshot.version, digest=snapshot.digest, part=part)


def _rejections(outcomes: Iterable[Outcome]) -> Counter[date]:
    """In how many rejected candidates a span's training rows were.

    Held-out rows don't count: where only they are left, the span's other rows are in a promoted release and were good.
    """
    rejected = (o.learnt for o in outcomes if o.result == "rejected")
    return Counter(part.span for learnt in rejected for part in learnt if part.part == "train")
