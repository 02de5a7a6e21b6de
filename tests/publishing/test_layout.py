"""Keys: what the chain stores lies in folders of its own, which no contract may deliver into."""

import inspect
from datetime import date

import pytest

from widedeep.artifacts import FileRef, Snapshot
from widedeep.data.problems import OWN_FOLDERS
from widedeep.publishing import layout

SPAN, DIGEST = date(2026, 1, 5), "0" * 64
FILE = FileRef(name="weights", size_bytes=1, sha256=DIGEST)
SNAPSHOT = Snapshot(span=SPAN, version=1, digest=DIGEST, rows=1, file=FILE)
VALUES = {"span": SPAN, "number": 1, "digest": DIGEST, "sha256": DIGEST, "snapshot": SNAPSHOT, "checks_digest": DIGEST}
VALUES |= {
    "verdict_sha256": DIGEST,
    "baseline_digest": DIGEST,
    "listing": DIGEST,
    "key_id": DIGEST,
    "own": DIGEST,
    "replaces": None,
    "validation_sha256": DIGEST,
    "contract_sha256": DIGEST,
    "manifest_sha256": DIGEST,
    "pointer_sha256": DIGEST,
    "run_sha256": DIGEST,
    "sequence": 1,
    "settings_digest": DIGEST,
    "until": SPAN,
    "head": SPAN,
    "user_sha256": DIGEST,
    "report_sha256": DIGEST,
    "findings": layout.validation(SNAPSHOT, DIGEST, DIGEST),
    "verdict": "evidence/r-0123456789abcdef/verdict-0123456789abcdef.json",
    "key": "evidence/r-0123456789abcdef/verdict-0123456789abcdef.json",
    "token": "t",
}
VALUES |= {"delivered": DIGEST, "release_id": "r-0123456789abcdef", "file": FILE, "name": "verdict", "lane": "live"}
READERS = {
    "beside",
    "named_digest",
    "part",
    "published",
    "staged",
    "promoted",
    "lane_of",
    "evidence_name",
    "outcome_span",
    "addition_span",
    "is_findings",
    "is_report",
    "is_signature",
    "begins_report",
    "erasure_of",
    "claim_span",
    "claims_same_run",
    "coming_move",
    "delivery",
}
BUILDERS = [f for n, f in inspect.getmembers(layout, inspect.isfunction) if f.__module__ == layout.__name__ and n not in READERS]


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_every_key_lies_in_a_folder_that_contracts_may_not_deliver_into(build):
    key = build(*(VALUES[name] for name in inspect.signature(build).parameters))
    assert key.split("/")[0] in OWN_FOLDERS


def test_only_pages_of_reports_are_taken_for_such():
    findings = layout.validation(SNAPSHOT, DIGEST, DIGEST)
    assert layout.is_report(layout.data_report(findings))
    assert layout.is_report("evidence/r-0123456789abcdef/verdict-0123-4567.html")
    others = (findings, "landing/2026-01-05/docs/page.html", "evidence/r-0/verdict.json", "validation/../landing/docs/page.html")
    assert not any(map(layout.is_report, others))


def test_the_page_on_a_verdict_is_one_for_a_browser():
    page = layout.decision_report(VALUES["verdict"])
    assert layout.begins_report(page)
    assert layout.part(page, 1) == layout.part(VALUES["verdict"], 1)
    assert not layout.begins_report(layout.beside(layout.data_report(VALUES["findings"]), "rows.html"))
