"""The contract's JSON Schema, for editors. What a key means is said once: in its section's docstring, after `key:` or around it.

Bounds, choices and defaults are those of the fields; disagreements between fields are told by `load_contract` alone.
"""

import inspect
import re
from typing import Any

from pydantic import BaseModel

from widedeep.data.contract import Contract
from widedeep.data.limits import Section

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def contract_schema() -> dict[str, Any]:
    """Equal code gives an equal schema, in an order that does not depend on anything else."""
    schema = Contract.model_json_schema()
    sections = {section.__name__: section for section in _sections(Section)}
    for name, described in {"Contract": schema, **schema["$defs"]}.items():
        described["description"] = " ".join(described["description"].split())
        for key, entry in described["properties"].items():
            if said := meaning(sections[name], key):
                entry["description"] = said
    return {"$schema": DIALECT, **schema}


def meaning(section: type[BaseModel], key: str) -> str:
    """What a section's docstring says of one of its keys; empty if it is silent."""
    text = " ".join(inspect.cleandoc(section.__doc__ or "").split())
    labels = _labels(text, section)
    for keys, said in labels:
        if key in keys:
            return said
    prose = text[: text.find(f"{', '.join(labels[0][0])}: ")] if labels else text
    return " ".join(sentence for sentence in re.split(r"(?<=\.)\s+(?=[`A-Z])", prose) if f"`{key}`" in sentence)


def _labels(text: str, section: type[BaseModel]) -> list[tuple[list[str], str]]:
    """Passages that begin with keys and a colon, such as `label_rate, volume: ratios to those of the reference.`"""
    key = "|".join(section.model_fields)
    found = list(re.finditer(rf"(?<![\w`])((?:{key})(?:, (?:{key}))*): ", text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    return [(match[1].split(", "), text[match.end() : end].strip()) for match, end in zip(found, ends, strict=False)]


def _sections(base: type[BaseModel]) -> list[type[BaseModel]]:
    return [found for section in base.__subclasses__() for found in (section, *_sections(section))]
