"""Pages about a span's data that need no other file and run nothing, whatever a delivered value has smuggled into them."""

import re
from collections.abc import Iterable
from html import escape

from widedeep.artifacts import Finding, Validation

# What is in a page may neither run nor call home.
POLICY = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">"""

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#222;--faint:#595959;--rule:#d5d5d5;--tint:#eef1f6;--link:#0b57c4;
--good:#1a7f37;--bad:#b00020;--unsure:#8a5a00}
@media(prefers-color-scheme:dark){:root{--paper:#15181d;--ink:#e6e6e6;--faint:#a3a9b3;--rule:#3a404a;--tint:#232832;
--link:#8ab8ff;--good:#5fce80;--bad:#ff8a93;--unsure:#e8b45a}}
body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:var(--ink);background:var(--paper);
overflow-wrap:anywhere}
a{color:var(--link)} table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid var(--rule);padding:.4em .6em;text-align:left;vertical-align:top}
"""

# As it comes, a page of Data Docs loads styles, scripts, fonts and logos from eight other hosts. These lines stand in for them.
DOCS_STYLE = """
nav,.col-lg-2,[id$="-parent"]{display:none} h5{font-size:1.15em;margin:1.5em 0 .5em}
.badge{background:var(--tint);border-radius:4px;padding:0 .3em}
.text-danger{color:var(--bad)} .text-success{color:var(--good)} .text-warning{color:var(--unsure)}
.fa-times::before{content:"\\2717"} .fa-check-circle::before{content:"\\2713"} .fa-exclamation-triangle::before{content:"\\26A0"}
"""

HEAD = f"{POLICY}<style>{STYLE}{DOCS_STYLE}</style></head>"

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


def overview(validation: Validation, pages: Iterable[str], notes: Iterable[str] = ()) -> bytes:
    """The first page of a span's report: what was found, the gravest first, notes on earlier days, and links to Data Docs."""
    rows = f"{validation.snapshot.rows:,} rows" if validation.snapshot else "files that can't be read"
    found = sorted(validation.findings, key=lambda finding: list(MEANING).index(finding.severity))
    told = f"{len(found)} finding{'s' * (len(found) != 1)}" if found else "every check passed"
    links = " · ".join(f'<a href="{escape(name)}.html">every check of the {escape(name)}</a>' for name in pages)
    title = f"Span {validation.span}: {rows}, {told}"
    told_of = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return document(title, f"<h1>{title}</h1>{_table(found)}{told_of}<p>{links}</p>")


def document(title: str, body: str, style: str = "") -> bytes:
    """A whole page. `title` is plain text; `body` is HTML in which every delivered value is escaped."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">' + POLICY
    head += f"<title>{escape(title)}</title><style>{STYLE}{style}</style>"
    return f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{body}</body></html>'.encode()


def _table(findings: Iterable[Finding]) -> str:
    cells = [(MEANING[finding.severity], finding.column or "", finding.message) for finding in findings]
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in line) for line in cells]
    head = "<tr><th>What became of it</th><th>Column</th><th>What was found</th></tr>"
    return f"<table>{head}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>" if lines else ""
