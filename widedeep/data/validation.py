"""A span is held against its contract by Great Expectations: whatever is wrong becomes a finding, and nothing becomes a crash.

The only module that imports Great Expectations. That takes seconds, so it is imported where a span is validated only.
Its telemetry and progress bars are off, and its context lives in memory: no file is written.
"""

import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

# Both before the import: it reads the first, and tells of hundreds of its own functions unless the second stops it.
os.environ["GX_ANALYTICS_ENABLED"] = "False"
logging.getLogger("great_expectations").setLevel(logging.WARNING)

import great_expectations as gx
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.data_context import EphemeralDataContext
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

from widedeep.artifacts import Finding, canonical_json
from widedeep.data import facts
from widedeep.data.checks import Batch, Check, batches
from widedeep.data.contract import Contract
from widedeep.data.drift import Profile

logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)  # it has a level of its own

__all__ = ["Assessment", "Profile", "assess"]

EXAMPLES = 3
# A page of Data Docs loads styles, scripts, fonts and logos from eight other hosts. These lines stand in for them, and the
# policy keeps whatever a delivered value may smuggle into the page from running or calling home.
HEAD = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}
nav,.col-lg-2,[id$="-parent"]{display:none} table{border-collapse:collapse;width:100%} h5{font-size:1.15em;margin:1.5em 0 .5em}
td,th{border-bottom:1px solid #ddd;padding:.4em .6em;text-align:left;vertical-align:top}
.badge{background:#eef;border-radius:4px;padding:0 .3em}
.text-danger{color:#b00020} .text-success{color:#1a7f37} .text-warning{color:#9a6700}
.fa-times::before{content:"\\2717"} .fa-check-circle::before{content:"\\2713"} .fa-exclamation-triangle::before{content:"\\26A0"}
</style></head>"""


@dataclass(frozen=True)
class Assessment:
    """What validation says of a span. `result` is JSON; `docs` are HTML pages that need no other file."""

    findings: tuple[Finding, ...]
    result: bytes
    docs: Mapping[str, bytes]
    profile: Profile


def assess(table: pa.Table, contract: Contract, span: date, baseline: Profile | None) -> Assessment:
    """Check every column, every value and the span as a whole; drift is measured against `baseline`, if there is one."""
    context = _context()
    runs = [(batch, _run(context, batch)) for batch in batches(table, contract, span, baseline)]
    return Assessment(
        findings=tuple(finding for batch, run in runs for finding in _findings(batch, run)),
        result=canonical_json({"span": span.isoformat(), "batches": {batch.name: _result(run) for batch, run in runs}}),
        docs={f"docs/{batch.name}.html": _page(run, span) for batch, run in runs},
        profile=facts.profile_of(table, contract, span),
    )


def _context() -> EphemeralDataContext:
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context


def _run(context: EphemeralDataContext, batch: Batch) -> ExpectationSuiteValidationResult:
    asset = context.data_sources.add_pandas(batch.name).add_dataframe_asset(batch.name)
    frame = batch.columns.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    data = asset.add_batch_definition_whole_dataframe(batch.name).get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name=batch.name, expectations=[_expectation(i, check) for i, check in enumerate(batch.checks)])
    return data.validate(suite, result_format={"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES})


def _expectation(index: int, check: Check) -> Any:
    """`meta` leads from a result back to its check."""
    return getattr(gx.expectations, check.expectation)(**check.arguments, severity=check.severity, meta={"check": index})


def _findings(batch: Batch, run: ExpectationSuiteValidationResult) -> list[Finding]:
    failed = sorted((r.expectation_config.meta["check"], r) for r in run.results if not r.success)
    return [_finding(batch.checks[index], result) for index, result in failed]


def _finding(check: Check, result: ExpectationValidationResult) -> Finding:
    return Finding(check=check.kind, column=check.column, severity=check.severity, message=_sentence(check, result))


def _sentence(check: Check, result: ExpectationValidationResult) -> str:
    found = result.result
    if check.counts and "unexpected_count" in found:
        examples = [x for x in found.get("partial_unexpected_list", []) if check.kind not in {"nulls", "items"}]
        shown = f", e.g. {_shown(examples[0])}" if examples else ""
        count = f"{found['unexpected_count']:,} of {found['element_count']:,} values"
        return f"column {check.column!r}: {count} {check.complaint}{shown}"
    if error := _exception(result.exception_info or {}):
        return f"column {check.column!r}: the check of its {check.kind} could not run: {error}"
    return check.complaint


def _exception(info: Mapping[str, Any]) -> str | None:
    """The message, which Great Expectations keeps at the top or one level below, by metric."""
    nested = [part for part in info.values() if isinstance(part, Mapping)]
    messages = [part.get("exception_message") for part in (info, *nested)]
    return next((" ".join(str(message).split())[:200] for message in messages if message), None)


def _shown(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return f"{value.item() if isinstance(value, np.generic) else value!r:.60}"


def _result(run: ExpectationSuiteValidationResult) -> Any:
    """Great Expectations' own result, without times and identifiers: equal spans give equal bytes."""
    described = run.to_json_dict()
    kept = ("success", "expectation_config", "result")
    results = [
        {name: result[name] for name in kept} | {"exception": _exception(result["exception_info"] or {})}
        for result in described["results"]
    ]
    return _plain({"success": described["success"], "statistics": described["statistics"], "results": results})


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become text."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _page(run: ExpectationSuiteValidationResult, span: date) -> bytes:
    run.meta["run_id"] = {"run_name": f"span {span}", "run_time": span.isoformat()}
    html = DefaultJinjaPageView().render(ValidationResultsPageRenderer(run_info_at_end=True).render(run))
    without_links = re.sub(
        r"<script\b.*?</script\s*>|<style\b.*?</style\s*>|<link\b[^>]*>|<img\b[^>]*>", "", html, flags=re.DOTALL | re.IGNORECASE
    )
    return without_links.replace("</head>", HEAD, 1).encode()
