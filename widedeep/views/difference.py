"""What sets one release apart from another: what they were made from, what they consist of, what was measured of them."""

import json
from collections.abc import Mapping
from typing import Any

from widedeep.artifacts import sha256
from widedeep.publishing import layout
from widedeep.views.chain import View
from widedeep.views.release import Broken, Piece, Release, release
from widedeep.views.shelf import Shelf

SPECIFICATION = "specification.json"


class Side(View):
    """One value that two releases differ in."""

    name: str
    one: str | None
    other: str | None


class Difference(View):
    """What sets one release apart from another: inputs, files, the model's specification, figures of the gate.

    `contract`: by what they were trained, as far as the store still says.
    """

    one: str
    other: str
    inputs: tuple[Side, ...]
    contract: tuple[Side, ...]
    specification: tuple[Side, ...]
    files: tuple[Side, ...]
    figures: tuple[Side, ...]
    training: tuple[Side, ...]
    only_one: tuple[Piece, ...]
    only_other: tuple[Piece, ...]


def difference(shelf: Shelf, one: str, other: str) -> Difference | Broken | None:
    """What sets two releases apart; what is wrong with one of them, if they can't be compared."""
    sides = (release(shelf, one), release(shelf, other))
    for side in sides:
        if not isinstance(side, Release):
            return side
    first, second = (side for side in sides if isinstance(side, Release))
    learnt = [{(p.span, p.digest, p.part): p for p in side.learnt} for side in (first, second)]
    return Difference(
        one=one,
        other=other,
        inputs=_sides(_inputs(first), _inputs(second)),
        contract=_sides(*(_flat(_contract(shelf, side)) for side in (first, second))),
        specification=_sides(*(_flat(_specification(shelf, side)) for side in (first, second))),
        files=_sides(*({f.name: f"{f.sha256[:12]}, {f.size_bytes:,} bytes" for f in side.files} for side in (first, second))),
        figures=_sides(_figures(first), _figures(second)),
        training=_sides(*(_flat(side.training.model_dump()) if side.training else {} for side in (first, second))),
        only_one=tuple(learnt[0][key] for key in sorted(learnt[0].keys() - learnt[1].keys())),
        only_other=tuple(learnt[1][key] for key in sorted(learnt[1].keys() - learnt[0].keys())),
    )


def _inputs(side: Release) -> dict[str, str]:
    code = side.code.model_dump(exclude={"profile"})
    return {"span": str(side.span), "parent": side.parent or "none", **_flat(code), **_flat(side.code.profile)}


def _figures(side: Release) -> dict[str, str]:
    quality = side.verdicts[-1].candidate if side.verdicts else None
    return {name: f"{value:.4f}" for name, value in quality if isinstance(value, float)} if quality else {}


def _contract(shelf: Shelf, side: Release) -> Mapping[str, Any]:
    digest = next((deed.contract_digest for deed in side.deeds if deed.deed == "trained"), None)
    found = shelf.value(layout.contract(digest), _document) if digest else None
    return found[1] if isinstance(found, tuple) and found[0] == digest else {}


def _document(data: bytes) -> tuple[str, dict[str, Any]]:
    return sha256(data), _object(data)


def _specification(shelf: Shelf, side: Release) -> Mapping[str, Any]:
    file = next((f for f in side.files if f.name == SPECIFICATION), None)
    key = f"{layout.release(side.release_id)}{file.sha256[: layout.DIGEST_CHARS]}.{SPECIFICATION}" if file else None
    found = shelf.value(key, _object) if key else None
    return found if isinstance(found, dict) else {}


def _object(data: bytes) -> dict[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise TypeError(f"got {type(found).__name__}, wanted an object")
    return found


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, each in value.items():
        if isinstance(each, Mapping):
            found |= _flat(each, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = each if isinstance(each, str) else json.dumps(each, default=str)
    return found


def _sides(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[Side, ...]:
    """Values that differ."""
    names = [*one, *(name for name in other if name not in one)]
    differing = [name for name in names if one.get(name) != other.get(name)]
    return tuple(Side(name=name, one=one.get(name), other=other.get(name)) for name in differing)
