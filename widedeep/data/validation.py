"""A span is held against its contract by Great Expectations: whatever is wrong becomes a finding, and nothing becomes a crash.

- Clean and bad rows together are the delivered ones, each once; no clean row breaks a rule of its own.
- The only module that imports Great Expectations. That takes seconds, so it is imported where a span is validated only.
- Its telemetry and progress bars are off, and its context lives in memory: no file is written.
"""

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

# Both before the import: it reads the first, and tells of hundreds of its own functions unless the second stops it.
os.environ["GX_ANALYTICS_ENABLED"] = "False"
logging.getLogger("great_expectations").setLevel(logging.WARNING)

import great_expectations as gx
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

from widedeep.artifacts import Effect, Finding, canonical_json
from widedeep.data.bad_rows import BadRows, bad_rows, quarantine_table
from widedeep.data.checks import SHOWN, Check, Places, Severity, Subject
from widedeep.data.contract import Contract
from widedeep.data.drift import moves
from widedeep.data.page import harmless
from widedeep.data.profiles import Profile, profile_of
from widedeep.data.row_checks import row_subjects
from widedeep.data.span_checks import span_subject

logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)  # it has a level of its own

log = logging.getLogger(__name__)

__all__ = ["Assessment", "Profile", "assess"]

EXAMPLES = 3
LISTED = 10_000  # of so many values that break a rule it is found out which rows have them, even if they are too many
GX_SEVERITY: Mapping[Severity, str] = {"critical": "critical", "drastic": "critical", "rows": "warning", "warning": "warning"}


@dataclass(frozen=True)
class Assessment:
    """What validation says of a span. `result` is JSON; `docs` are HTML pages that need no other file.

    `bad`: the rows that were taken out, a table of `widedeep.data.bad_rows`; `clean`: the others, which `profile` is of. Without
    `profile` and `docs` the checks broke off.
    """

    findings: tuple[Finding, ...]
    result: bytes
    docs: Mapping[str, bytes]
    profile: Profile | None
    clean: pa.Table
    bad: pa.Table | None
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True)
class Judged:
    """A check and what Great Expectations says of it; `rows` break it, ascending. None: it was not found out which.

    `broken`: how many rows break it, or, unless `exact`, how many different values do; None if it could not run.
    """

    check: Check
    result: ExpectationValidationResult
    rows: Places | None
    broken: int | None
    exact: bool

    @property
    def failed(self) -> bool:
        return not self.result.success


def assess(
    table: pa.Table, contract: Contract, span: date, past: Sequence[Profile] = (), again: NDArray[np.bool_] | None = None
) -> Assessment:
    """Check every value, every row and the span as a whole; drift is measured against `past` spans, if there are any.

    `again` (B,) marks rows that an earlier day has brought already.

    Data that break a check itself quarantine the span: what could not be checked is not learnt, and later days go on.
    """
    try:
        return _assess(table, contract, span, past, again)
    except (MemoryError, OSError):  # the machine's fault, not the data's
        raise
    except Exception as error:
        log.exception("%s: the checks broke off", span)
        said = f"the checks broke off: {type(error).__name__}: {_short(error)}. Mend what it names, or report it with the log"
        found = (Finding(check="checks", severity="critical", message=said),)
        return Assessment(found, canonical_json({"span": span.isoformat(), "exception": said}), {}, None, table, None)


def _assess(
    table: pa.Table, contract: Contract, span: date, past: Sequence[Profile], again: NDArray[np.bool_] | None
) -> Assessment:
    batches = _batches()

    def most(check: Check) -> int:
        return int((contract.checks.tolerance if check.tolerance is None else check.tolerance) * table.num_rows)

    rows = [j for subject in row_subjects(table, contract, span, again) for j in _judged(batches, subject, most)]
    bad = bad_rows(((j.check, j.rows, j.broken) for j in rows if j.failed and j.check.severity == "rows"), most)
    clean = table.filter(pa.array(bad.clean(table.num_rows))) if bad.taken else table
    profile = profile_of(clean, contract, span)
    moved = moves(profile, past, contract)
    whole = [*_judged(batches, span_subject(table, clean, profile, past, moved, contract, bad.count), most)]
    parts = {"rows": rows, "span": whole}
    return Assessment(
        findings=tuple(_finding(j, bad, table.num_rows) for j in (*rows, *whole) if j.failed),
        result=canonical_json({"span": span.isoformat(), "batches": {name: _result(part) for name, part in parts.items()}}),
        docs={f"docs/{name}.html": _page(name, part, span) for name, part in parts.items()},
        profile=profile,
        clean=clean,
        bad=quarantine_table(table, bad) if bad.taken else None,
        effects=tuple(Effect(column=m.column, measure=m.measure, effect=m.effect, limit=m.limit) for m in moved),
    )


def _batches() -> BatchDefinition[Any]:
    """What takes one frame after the other: made once, as each change of the context has it write all its settings anew."""
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context.data_sources.add_pandas("span").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("rows")


def _judged(batches: BatchDefinition[Any], subject: Subject, most: Callable[[Check], int]) -> Iterator[Judged]:
    """Every check of a subject, in order. What few values break is asked again, for where they are."""
    frame = subject.columns.to_pandas()
    results = _run(batches, frame, dict(enumerate(subject.checks)), "SUMMARY")
    broken_by = {i: _found(results[i], "unexpected_count") for i, check in enumerate(subject.checks) if check.counted}
    few = {i: subject.checks[i] for i, count in broken_by.items() if 0 < count <= max(most(subject.checks[i]), LISTED)}
    places = {i: np.array(r.result["unexpected_index_list"], np.int64) for i, r in _run(batches, frame, few, "COMPLETE").items()}
    for i, check in enumerate(subject.checks):
        rows = subject.rows_of(places[i]) if i in places else None
        unexpected = _found(results[i], "unexpected_count") if "unexpected_count" in results[i].result else None
        broken = unexpected if rows is None else len(rows)
        yield Judged(check, results[i], rows, broken, subject.one_row_each or rows is not None)


def _run(
    batches: BatchDefinition[Any], frame: pd.DataFrame, checks: Mapping[int, Check], form: Literal["SUMMARY", "COMPLETE"]
) -> dict[int, ExpectationValidationResult]:
    if not checks:
        return {}
    data = batches.get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="contract", expectations=[_expectation(i, check) for i, check in checks.items()])
    wanted = {"result_format": form, "partial_unexpected_count": EXAMPLES, "return_unexpected_index_query": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This pattern is interpreted as a regular expression")  # its groups do no harm
        run: ExpectationSuiteValidationResult = data.validate(suite, result_format=wanted)
    return {result.expectation_config.meta["check"]: result for result in run.results}


def _expectation(index: int, check: Check) -> Any:
    """`meta` leads from a result back to its check."""
    kind = getattr(gx.expectations, check.expectation)
    return kind(**check.arguments, severity=GX_SEVERITY[check.severity], meta={"check": index})


def _found(result: ExpectationValidationResult, name: str) -> int:
    return int(result.result.get(name, 0))


def _finding(judged: Judged, bad: BadRows, rows: int) -> Finding:
    """What is too much to be taken out, or could not be checked, is critical."""
    check = judged.check
    stopped = check.severity == "rows" and not bad.taken
    unchecked = check.counted and judged.broken is None
    severity = "critical" if stopped or unchecked else check.severity
    return Finding(check=check.kind, column=check.column, severity=severity, message=_sentence(judged, rows))


def _sentence(judged: Judged, rows: int) -> str:
    check, found = judged.check, judged.result.result
    if check.counted and judged.broken is not None:
        shown = [_shown(value) for value in found.get("partial_unexpected_list", [])][: int(check.example)]
        count = f"{judged.broken:,} of {rows:,} {check.counted}" if judged.exact else f"{judged.broken:,} different values"
        return f"{check.about}: {count} {check.complaint}" + "".join(f", e.g. {text}" for text in shown)
    if error := _exception(judged.result.exception_info or {}):
        return f"{check.about}: the check of its {check.kind} could not run: {error}"
    return check.complaint


def _exception(info: Mapping[str, Any]) -> str | None:
    """The message, which Great Expectations keeps at the top or one level below, by metric."""
    nested = [part for part in info.values() if isinstance(part, Mapping)]
    messages = [part.get("exception_message") for part in (info, *nested)]
    return next((_short(message) for message in messages if message), None)


def _short(message: object) -> str:
    return " ".join(str(message).split())[:200]


def _shown(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return f"{value.item() if isinstance(value, np.generic) else value!r:.{SHOWN}}"


def _result(part: Iterable[Judged]) -> Any:
    """Great Expectations' own results, without times and identifiers: equal spans give equal bytes."""
    described = [judged.result.to_json_dict() for judged in part]
    kept = ("success", "expectation_config", "result")
    results = [{name: d[name] for name in kept} | {"exception": _exception(d["exception_info"] or {})} for d in described]
    return _plain({"success": all(d["success"] for d in described), "results": results})


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become text."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _page(name: str, part: Sequence[Judged], span: date) -> bytes:
    results = [judged.result for judged in part]
    met = sum(bool(result.success) for result in results)
    statistics = {
        "evaluated_expectations": len(results),
        "successful_expectations": met,
        "unsuccessful_expectations": len(results) - met,
        "success_percent": 100 * met / max(1, len(results)),
    }
    run = ExpectationSuiteValidationResult(met == len(results), results, name, statistics=statistics)
    run.meta = {"run_id": {"run_name": f"span {span}", "run_time": span.isoformat()}}
    return harmless(_view().render(ValidationResultsPageRenderer(run_info_at_end=True).render(run)))


@cache
def _view() -> DefaultJinjaPageView:
    """Made once: each compiles its sixteen templates anew."""
    return DefaultJinjaPageView()
