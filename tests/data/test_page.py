"""The first page of a span's report says what was found, the gravest first, and runs nothing that was delivered."""

from datetime import date

from widedeep.artifacts import Finding, Validation
from widedeep.data.page import overview

SPAN = date(2026, 1, 2)
HOSTILE = "column 'price': 3 rows hold '<script>alert(1)</script>'"
FINDINGS = (
    Finding(check="formula", column="title", severity="warning", message="column 'title': a formula"),
    Finding(check="control", column="price", severity="critical", message=HOSTILE),
)


def page(findings=(), pages=()):
    return overview(Validation(span=SPAN, snapshot=None, findings=findings), pages).decode()


def test_the_gravest_finding_comes_first():
    text = page(FINDINGS)
    assert "Span 2026-01-02" in text
    assert text.index("quarantined") < text.index(">warning<")


def test_what_was_delivered_is_shown_and_not_run():
    text = page(FINDINGS)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "default-src 'none'" in text


def test_it_leads_to_the_pages_beside_it():
    assert '<a href="span.html">' in page(pages=("span",))
    assert "every check passed" in page(pages=("span",))
