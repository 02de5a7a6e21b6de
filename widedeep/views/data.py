"""The days as they were delivered: versions, rows, what the checks found in each, and which columns drifted."""

from collections.abc import Iterator
from datetime import date
from functools import partial
from math import inf
from typing import Literal

from widedeep.artifacts import LIVE, Effect, Finding, Outcome, Snapshot, Validation
from widedeep.publishing import layout
from widedeep.views.chain import View
from widedeep.views.found import LaneKeys, lane_keys, outcome_of
from widedeep.views.shelf import Shelf, Unreadable

SPANS = "spans/"
FRESH_S = 30.0

Severity = Literal["critical", "drastic", "rows", "warning"]
WORST: tuple[Severity, ...] = ("critical", "drastic", "rows", "warning")


class Version(View):
    """One version of a span's rows."""

    version: int
    rows: int
    digest: str


class Found(View):
    """What a check found, in words."""

    check: str
    column: str | None
    severity: Severity
    message: str


class Cell(View):
    """A column on a day: the worst that a check said of it, and of the ways in which it moved the one nearest to its limit."""

    column: str
    severity: Severity | None
    drift: Effect | None


class Day(View):
    """One delivered span. `taken_out`: rows that the checks took out of it, one by one."""

    span: date
    result: str | None
    versions: tuple[Version, ...]
    taken_out: int
    findings: tuple[Found, ...]
    cells: tuple[Cell, ...]
    report: str | None
    problems: tuple[str, ...]


class Days(View):
    """A page of days in order, of `total`; `before` asks for the next older page."""

    total: int
    columns: tuple[str, ...]
    days: tuple[Day, ...]
    before: date | None


def days(shelf: Shelf, limit: int, before: date | None = None) -> Days:
    """The `limit` newest delivered spans before a day, also those that are not settled yet."""
    live = lane_keys(shelf).get(LIVE, LaneKeys())
    versions: dict[date, list[str]] = {}
    for key in shelf.keys(SPANS, FRESH_S):
        try:
            versions.setdefault(date.fromisoformat(layout.part(key, 1)), []).append(key)
        except (ValueError, IndexError):  # somebody's own file
            continue
    spans = sorted({*versions, *live.outcomes})
    asked = [span for span in spans if before is None or span < before][-limit:]
    found = shelf.each(partial(_day, shelf, live, versions), asked)
    columns = dict.fromkeys(cell.column for day in found for cell in day.cells)
    older = bool(asked) and asked[0] != spans[0]
    return Days(total=len(spans), columns=tuple(sorted(columns)), days=tuple(found), before=asked[0] if older else None)


def _day(shelf: Shelf, live: LaneKeys, versions: dict[date, list[str]], span: date) -> Day:
    outcome = outcome_of(shelf, live, span)
    snapshots = [shelf.value(key, Snapshot.from_bytes) for key in versions.get(span, ())]
    keys = [key for key in shelf.keys(layout.validations(span), FRESH_S) if layout.is_findings(key)]
    checked = [(key, shelf.value(key, Validation.from_bytes)) for key in keys]
    own = _own(outcome, [(key, found) for key, found in checked if isinstance(found, Validation)])
    findings = own[1].findings if own else ()
    damaged = [each.key for each in (outcome, *snapshots, *(found for _, found in checked)) if isinstance(each, Unreadable)]
    return Day(
        span=span,
        result=outcome.result if isinstance(outcome, Outcome) else None,
        versions=tuple(sorted(map(_version, (s for s in snapshots if isinstance(s, Snapshot))), key=lambda v: v.version)),
        taken_out=_taken_out(own[1]) if own else 0,
        findings=tuple(Found.model_validate(finding, from_attributes=True) for finding in findings),
        cells=tuple(_cells(findings, own[1].effects if own else ())),
        report=layout.data_report(own[0]) if own else None,
        problems=tuple(damaged),
    )


def _own(outcome: Outcome | Unreadable | None, checked: list[tuple[str, Validation]]) -> tuple[str, Validation] | None:
    """The findings that the outcome rests on, else those with most to say on its rows, else the last."""
    if not isinstance(outcome, Outcome) or not checked:
        return checked[-1] if checked else None
    named = [each for each in checked if each[0] == outcome.validation]
    digest = outcome.snapshot.digest if outcome.snapshot else None
    of_it = [each for each in checked if digest in {s.digest for s in (each[1].snapshot, each[1].clean) if s}]
    taken = [each for each in of_it if each[1].clean]
    return next(iter([*named, *taken, *reversed(of_it), *reversed(checked)]))


def _version(snapshot: Snapshot) -> Version:
    return Version(version=snapshot.version, rows=snapshot.rows, digest=snapshot.digest)


def _taken_out(validation: Validation) -> int:
    return validation.snapshot.rows - validation.clean.rows if validation.snapshot and validation.clean else 0


def _cells(findings: tuple[Finding, ...], effects: tuple[Effect, ...]) -> Iterator[Cell]:
    said: dict[str, Severity] = {}
    for finding in findings:
        name = finding.column or finding.check
        said[name] = min(finding.severity, said.get(name, finding.severity), key=WORST.index)
    drift = {each.column: each for each in sorted(effects, key=_nearness)}
    for name in sorted({*said, *drift}):
        yield Cell(column=name, severity=said.get(name), drift=drift.get(name))


def _nearness(effect: Effect) -> float:
    return effect.effect / effect.limit if effect.limit else inf
