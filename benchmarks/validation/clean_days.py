"""How often a clean day is stopped or warned of: simulated app stores with weekly seasonality and slow drift, nothing broken.

A stop is a span that is quarantined or held. Each day is measured against the earlier days as the daily chain does it, all of
them learnt: by every fact of the span as a whole that the contract limits, and every `FULL`-th day, in Great Expectations, by its
rows as well. Nothing was tuned on these stores.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from scipy.stats import binomtest

from benchmarks.validation.good import clean_days, contract
from benchmarks.validation.seeds import CLEAN
from widedeep.artifacts import Finding
from widedeep.data.checks import Check, Subject
from widedeep.data.contract import Contract
from widedeep.data.drift import moves
from widedeep.data.profiles import Profile, profile_of
from widedeep.data.span_checks import span_subject
from widedeep.data.validation import assess

DAYS, ROWS = 180, 100_000
FULL = 10
STOPS = {"critical", "drastic"}
LOOKS_BACK = 2  # times `drift.look_back`, as `widedeep.steps.past` does


def store(rule: Contract, seed: int, days: int, rows: int) -> Iterator[tuple[list[Check], list[Finding] | None]]:
    """What each day failed as a whole, and what the full validation found, where it ran."""
    past: list[Profile] = []
    for number, (span, table) in enumerate(clean_days(rule, seed, rows, days)):
        profile = profile_of(table, rule, span)
        recent = past[-LOOKS_BACK * rule.drift.look_back :]
        failed = failures(span_subject(table, table, profile, recent, moves(profile, recent, rule), rule, 0))
        full = assess(table, rule, span, recent).findings if number % FULL == FULL - 1 else None
        yield failed, None if full is None else list(full)
        past.append(profile)


def failures(subject: Subject) -> list[Check]:
    """The checks of a span's facts that fail: each fact has to lie between two numbers, or in a set."""
    facts = subject.columns.to_pylist()[0]
    return [check for check in subject.checks if not _holds(facts[check.arguments["column"]], check.arguments)]


def _holds(fact: Any, wanted: dict[str, Any]) -> bool:
    if "value_set" in wanted:
        return fact in wanted["value_set"]
    return bool(wanted["min_value"] <= fact <= wanted["max_value"])


def tallied(*, quick: bool) -> Iterator[dict[str, Any]]:
    """The figures of all stores so far, after each store."""
    rule, (seeds, days, rows) = contract(), (CLEAN[:1], 30, 3_000) if quick else (CLEAN, DAYS, ROWS)
    counted: Counter[str] = Counter()
    by_check: Counter[str] = Counter()
    for number, seed in enumerate(seeds, 1):
        for failed, full in store(rule, seed, days, rows):
            severities = {check.severity for check in failed}
            counted.update(days=1, stopped=bool(severities & STOPS), warned="warning" in severities)
            by_check.update(f"{check.kind} {check.column}: {check.severity}" for check in failed)
            if full is not None:
                counted.update(validated_in_full=1, stopped_in_full=any(f.severity in STOPS for f in full))
        yield {"seeds": seeds[:number], "days_each": days, "rows": rows} | _told(counted, by_check)


def _told(counted: Counter[str], by_check: Counter[str]) -> dict[str, Any]:
    names = ("days", "stopped", "warned", "validated_in_full", "stopped_in_full")
    return {
        **{name: int(counted[name]) for name in names},
        "stopped_share": _share(counted["stopped"], counted["days"]),
        "warned_share": _share(counted["warned"], counted["days"]),
        "failed": dict(by_check.most_common()),
    }


def _share(found: int, of: int) -> dict[str, float]:
    """With its exact 95 % interval (Clopper and Pearson 1934)."""
    interval = binomtest(found, of).proportion_ci()
    return {"share": round(found / of, 5), "lower": round(interval.low, 5), "upper": round(interval.high, 5)}


def table(figures: dict[str, Any]) -> str:
    lines = [f"(b) {figures['days']:,} clean days of {figures['rows']:,} rows, {len(figures['seeds'])} stores"]
    for name in ("stopped", "warned"):
        share = figures[f"{name}_share"]
        lines.append(f"{name:8} {figures[name]:5,}  {share['share']:.2%} [{share['lower']:.2%}, {share['upper']:.2%}]")
    lines.append(f"validated in full {figures['validated_in_full']:,}, of these stopped {figures['stopped_in_full']:,}")
    return "\n".join([*lines, *(f"    {count:4}  {check}" for check, count in figures["failed"].items())])
