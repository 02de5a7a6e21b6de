"""A draft as a contract file: each entry below the reasons for it, so that whoever reads it can disagree.

Text that comes from the data stays on its comment's line: a column's name or value can't write YAML.
"""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from widedeep.data.guess.draft import UNDECIDED, Draft

WIDTH = 125
SET_APART = ("user", "columns", "crosses", "model", "split", "checks", "delivery", "gate")


def text_of(draft: Draft, schema: str) -> str:
    """`schema` is where editors find the JSON Schema: a path from the file, or a URL."""
    return "\n".join([f"# yaml-language-server: $schema={schema}", *_head(draft), *_body(draft)]) + "\n"


def _head(draft: Draft) -> Iterator[str]:
    spans = [span for span in draft.sample.spans if span]
    days = f" of {len(spans)} days, {spans[0]} to {spans[-1]}" if len(spans) > 1 else f" of {spans[0]}" if spans else ""
    yield from _comment(f"Guessed by `widedeep init` from {draft.sample.table.num_rows:,} rows{days} in {draft.sample.where}.")
    if draft.undecided:
        yield from _comment(f"To decide before it can be used: {', '.join(draft.undecided)}. Look for {UNDECIDED}.")
    yield from _comment("Correct what is wrong: the chain holds each day to what stands here. All else has a default.")


def _body(draft: Draft) -> Iterator[str]:
    for place, value in draft.document.items():
        if place in SET_APART:
            yield ""
        if place != "name":
            yield from _comment(f"{UNDECIDED}: {draft.why[place]}" if place in draft.undecided else draft.why[place])
        match place:
            case "columns":
                yield from ("columns:", *_columns(draft))
            case "crosses":
                yield from ("crosses:", *(f"  - {_flow(cross)}" for cross in value))
            case "checks":
                yield from ("checks:", *_checks(draft, value))
            case _:
                yield f"{place}: {_flow(value)}"


def _checks(draft: Draft, checks: Mapping[str, Any]) -> Iterator[str]:
    for check, value in checks.items():
        yield from _comment(draft.why[f"checks.{check}"], "  ")
        yield f"  {check}: {_flow(value)}"


def _columns(draft: Draft) -> Iterator[str]:
    for column in draft.columns:
        why = "; ".join(column.why)
        yield from _comment(why if column.entries else f"{column.name}: {why}", "  ")
        if column.entries:
            yield f"  {_flow(column.name)}: {_flow(column.entries)}"


def _comment(text: str, indent: str = "") -> Iterator[str]:
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for line in textwrap.wrap(plain, WIDTH - len(indent) - 2, break_on_hyphens=False):
        yield f"{indent}# {line}"


def _flow(value: Any) -> str:
    """YAML in one line. Within a list, so that it does not end with the mark that a lone value gets."""
    return yaml.safe_dump([value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9).strip()[1:-1]
