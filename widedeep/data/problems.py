"""Everything that is wrong with a contract document, in words: place, got, wanted, next.

Works on the plain document, so that a mistake in one field hides no disagreement between others.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

TYPES_OF_ROLE = {
    "categorical": {"string", "integer", "boolean"},
    "multivalent": {"list"},
    "numeric": {"integer", "number", "boolean"},
    "weight": {"integer", "number"},
}
TYPES_OF_CHECK = {
    "allowed": {"string", "list"},
    "regex": {"string", "list"},
    "max_length": {"string", "list"},
    "items": {"list"},
    "range": {"integer", "number"},
}
TYPES_OF_KEY = {"user": ("string", "integer"), "time": ("timestamp",), "label.column": ("boolean", "integer", "number")}
OWN_FOLDERS = (
    "claimed",
    "contracts",
    "decisions",
    "doctor",
    "erasures",
    "evidence",
    "ingested",
    "lanes",
    "quarantine",
    "releases",
    "snapshots",
    "spans",
    "validation",
)
PAIRED = ("crosses", "checks.skew")
NAMED_SLICES = ("new users", "new items", "large groups")
PAIRS = ("checks.rows", "checks.label_rate", "drastic.label_rate", "drastic.volume", "gate.calibration")


def field_problem(problem: ErrorDetails, root: type[BaseModel]) -> str:
    """One of pydantic's findings, with the nearest known key for an unknown one."""
    place, key = ".".join(map(str, problem["loc"])), str(problem["loc"][-1])
    if problem["type"] == "missing":
        return f"{place}: is missing; add it"
    if problem["type"] != "extra_forbidden":
        wanted = problem["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        return f"{place}: got {problem['input']!r:.60}; {wanted}"
    known = list(_section_at(problem["loc"][:-1], root).model_fields)
    near = difflib.get_close_matches(key, known, n=1)
    return f"{place}: unknown key; " + (f"did you mean {near[0]!r}?" if near else f"wanted one of {', '.join(known)}")


def disagreements(document: Mapping[str, Any]) -> list[str]:
    """Names that lead nowhere, roles that don't suit their columns, limits the wrong way round. Skips odd shapes."""
    columns = {str(name): _mapping(spec) for name, spec in _mapping(document.get("columns")).items()}
    found = [*_dangling(document, columns), *_keys(document, columns), *_crosses(document, columns), *_weights(columns)]
    found.extend(_limits(document))
    for name, spec in columns.items():
        found.extend(_column(name, spec))
    return found


def _section_at(place: tuple[int | str, ...], root: type[BaseModel]) -> type[BaseModel]:
    here: Any = root
    for key in place:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[str(key)].annotation
        else:
            here = next(kind for kind in get_args(here) if kind not in (str, Ellipsis))
    section: type[BaseModel] = here
    return section


def _dangling(document: Mapping[str, Any], columns: Mapping[str, Any]) -> Iterator[str]:
    named = {place: _at(document, place) for place in ("user", "time", "item", "title", "label.column")}
    pairs = [(f"{place}.{i}.of", sides) for place in PAIRED for i, sides in enumerate(_sides(document, place))]
    named |= {f"{place}.{j}": side for place, sides in pairs for j, side in enumerate(sides)}
    named |= {f"key.{i}": name for i, name in enumerate(_sequence(document.get("key")))}
    for place, name in named.items() if columns else ():
        if isinstance(name, str) and name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"wanted one of {', '.join(map(str, columns))}"
            yield f"{place}: column {name!r} is not in columns; {hint}"


def _keys(document: Mapping[str, Any], columns: Mapping[str, Any]) -> Iterator[str]:
    """The columns with a special meaning: user, time and label."""
    for place, kinds in TYPES_OF_KEY.items():
        spec = _mapping(columns.get(name := str(_at(document, place))))
        if "type" in spec and spec["type"] not in kinds:
            yield f"{place}: column {name!r} has type {spec['type']}, wanted {' or '.join(sorted(kinds))}"
        if spec.get("nullable"):
            yield f"{place}: column {name!r} is nullable; {place} must be known for every row: take `nullable` away"
    label = str(_at(document, "label.column"))
    if _mapping(columns.get(label)).get("role") is not None:
        yield f"columns.{label}.role: it is the label, and the model would read its own answer: take `role` away"
    if _mapping(columns.get(label)).get("type") == "boolean" and _at(document, "label.at_least") is not None:
        yield f"label.at_least: column {label!r} is boolean already: take `at_least` away"
    if columns and all(spec.get("role") in (None, "weight") for spec in columns.values()):
        yield "columns: none has a role, so there is nothing to learn from; give features `role: categorical`"


def _column(name: str, spec: Mapping[str, Any]) -> Iterator[str]:
    role, kind = spec.get("role"), spec.get("type")
    if role in TYPES_OF_ROLE and isinstance(kind, str) and kind not in TYPES_OF_ROLE[role]:
        yield f"columns.{name}.role: {role} wants type {' or '.join(sorted(TYPES_OF_ROLE[role]))}, got {kind}"
    for check, kinds in TYPES_OF_CHECK.items():
        if spec.get(check) is not None and isinstance(kind, str) and kind not in kinds:
            yield f"columns.{name}.{check}: is for type {' or '.join(sorted(kinds))}, got {kind}: take it away"
    if spec.get("max_null_share") is not None and not spec.get("nullable"):
        yield f"columns.{name}.max_null_share: is for a column that may have nulls: give it `nullable: true`, or take it away"
    for pair in ("range", "items", "different"):
        if _reversed(spec.get(pair)):
            yield f"columns.{name}.{pair}: got {spec[pair]}, wanted the lower limit first"


def _crosses(document: Mapping[str, Any], columns: Mapping[str, Any]) -> Iterator[str]:
    seen: list[Any] = []
    for i, sides in enumerate(_sides(document, "crosses")):
        for side in sides:
            role = _mapping(columns.get(side)).get("role") if isinstance(side, str) else None
            if isinstance(side, str) and side in columns and role not in {"categorical", "multivalent"}:
                yield f"crosses.{i}.of: column {side!r} has role {role}; crosses want categorical or multivalent"
        if sides and sides in seen:
            yield f"crosses.{i}.of: {sides} stands there twice: take one away"
        seen.append(sides)


def _weights(columns: Mapping[str, Any]) -> Iterator[str]:
    names = [name for name, spec in columns.items() if spec.get("role") == "weight"]
    for name in names[1:]:
        yield f"columns.{name}.role: weight is the role of {names[0]!r} already: a row has one weight; take one away"
    for name in names:
        if columns[name].get("nullable"):
            yield f"columns.{name}.nullable: it is the weight, which must be known for every row: take `nullable` away"


def _limits(document: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(share := _at(document, "checks.tolerance"), int | float) and share == 1:
        yield "checks.tolerance: got 1, wanted less: with every row taken out nothing would be left to learn"
    yield from _slices(document)
    yield from _engine(document)
    for place in PAIRS:
        if _reversed(pair := _at(document, place)):
            yield f"{place}: got {pair}, wanted the lower limit first"
    prefix = _at(document, "delivery.prefix")
    if isinstance(prefix, str):
        yield from _prefix(prefix)


def _engine(document: Mapping[str, Any]) -> Iterator[str]:
    engine, processes = _at(document, "training.engine"), _at(document, "training.processes")
    if engine in (None, "local") and isinstance(processes, int) and processes > 1:
        yield f"training.processes: got {processes}, but engine local learns in one: set training.engine to torchrec"
    if engine == "torchrec" and _at(document, "training.device") == "cuda":
        yield "training.device: got cuda, but engine torchrec learns on CPUs: set it to auto or cpu"


def _slices(document: Mapping[str, Any]) -> Iterator[str]:
    columns, seen = _mapping(document.get("columns")), list[Any]()
    for i, entry in enumerate(_sequence(_at(document, "gate.slices"))):
        of = _mapping(entry).get("of")
        if not isinstance(of, str) or of in NAMED_SLICES:
            continue
        role = _mapping(columns.get(of)).get("role")
        if role not in {"categorical", "multivalent"}:
            got = f"column {of!r} has role {role}" if of in columns else f"got {of!r}"
            yield f"gate.slices.{i}.of: {got}; wanted a categorical or multivalent column, or {', '.join(NAMED_SLICES)}"
        if of in seen:
            yield f"gate.slices.{i}.of: {of!r} stands there twice: take one away"
        seen.append(of)


def _prefix(prefix: str) -> Iterator[str]:
    if ":" in prefix and not prefix.startswith("file:///"):
        yield f"delivery.prefix: got {prefix!r}, wanted a key below the store, such as landing/{{span}}/, or file:///folder/{{span}}/"
    if "{span}" not in prefix:
        yield f"delivery.prefix: got {prefix!r}, wanted {{span}} in it: each day has files of its own"
    if "{" in (rest := prefix.replace("{span}", "")) or "}" in rest:
        yield f"delivery.prefix: got {prefix!r}, wanted no braces but those of {{span}}: nothing else is filled in"
    if prefix.split("/", maxsplit=1)[0] in OWN_FOLDERS:
        yield f"delivery.prefix: got {prefix!r}, but {', '.join(OWN_FOLDERS)} hold what the chain stores: choose another folder"


def _sides(document: Mapping[str, Any], place: str) -> list[list[Any]]:
    """What stands under `of` in each entry of a section."""
    return [_sequence(_mapping(entry).get("of")) for entry in _sequence(_at(document, place))]


def _at(document: Mapping[str, Any], place: str) -> Any:
    here: Any = document
    for key in place.split("."):
        here = _mapping(here).get(key)
    return here


def _sequence(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _reversed(pair: Any) -> bool:
    numbers = isinstance(pair, list | tuple) and len(pair) == len([x for x in pair if isinstance(x, int | float)]) == 2  # noqa: PLR2004
    return numbers and pair[0] > pair[1]
