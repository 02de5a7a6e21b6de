"""Pages about a span's data that need no other file and run nothing, whatever a delivered value has smuggled into them."""

import re
from collections.abc import Iterable
from html import escape

from widedeep.artifacts import Finding, Validation

# As it comes, the page loads styles, scripts, fonts and logos from eight other hosts. These lines stand in for them, and the
# policy keeps what is in the page from running or calling home.
HEAD = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}
nav,.col-lg-2,[id$="-parent"]{display:none} table{border-collapse:collapse;width:100%} h5{font-size:1.15em;margin:1.5em 0 .5em}
td,th{border-bottom:1px solid #ddd;padding:.4em .6em;text-align:left;vertical-align:top}
.badge{background:#eef;border-radius:4px;padding:0 .3em}
.text-danger{color:#b00020} .text-success{color:#1a7f37} .text-warning{color:#9a6700}
.fa-times::before{content:"\\2717"} .fa-check-circle::before{content:"\\2713"} .fa-exclamation-triangle::before{content:"\\26A0"}
</style></head>"""

MEANING = {
    "critical": "quarantined",
    "drastic": "held for a person",
    "rows": "rows taken out",
    "warning": "warning",
}
"""What a finding of each severity makes of the span, the gravest first."""

FOREIGN = r"<script\b.*?</script\s*>|<style\b.*?</style\s*>|<link\b[^>]*>|<img\b[^>]*>"


def harmless(html: str) -> bytes:
    """The page without what it would load or run."""
    return re.sub(FOREIGN, "", html, flags=re.DOTALL | re.IGNORECASE).replace("</head>", HEAD, 1).encode()


def overview(validation: Validation, pages: Iterable[str]) -> bytes:
    """The first page of a span's report: what was found, the gravest first, and links to the pages of Data Docs beside it."""
    rows = f"{validation.snapshot.rows:,} rows" if validation.snapshot else "files that can't be read"
    found = sorted(validation.findings, key=lambda finding: list(MEANING).index(finding.severity))
    told = f"{len(found)} finding{'s' * (len(found) != 1)}" if found else "every check passed"
    links = " · ".join(f'<a href="{escape(name)}.html">every check of the {escape(name)}</a>' for name in pages)
    title = f"Span {validation.span}: {rows}, {told}"
    body = f"<h1>{title}</h1>{_table(found)}<p>{links}</p>"
    head = HEAD.replace("<style>", f"<title>{title}</title><style>", 1)
    language = '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return f"<!DOCTYPE html>{language}{head}<body>{body}</body></html>".encode()


def _table(findings: Iterable[Finding]) -> str:
    cells = [(MEANING[finding.severity], finding.column or "", finding.message) for finding in findings]
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in line) for line in cells]
    head = "<tr><th>What became of it</th><th>Column</th><th>What was found</th></tr>"
    return f"<table>{head}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>" if lines else ""
