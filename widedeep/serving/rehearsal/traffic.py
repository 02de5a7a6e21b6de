"""What a server is asked in a dry run, made of the release's own golden rows and catalogue: equal releases get equal requests."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from widedeep.data.catalogue import item_columns
from widedeep.data.conform import conform
from widedeep.data.contract import Contract
from widedeep.features.columns import Features
from widedeep.serving.requests import MOST_ROWS, Fields, owner
from widedeep.serving.server import MOST_BYTES

ROWS = 10
"""Of a `/score` request: the paper ranks candidates in batches of tens (Cheng et al. 2016, table 2)."""

LISTS, CANDIDATES = 16, 20
"""`/rank` requests, and the candidates of each."""

UNSEEN: dict[str, Any] = {"string": "never seen before", "integer": 2**40 + 1, "list": ["never seen before"]}
"""A value that no release has a row for, by the type of its column."""

WRONG: dict[str, Any] = {"string": 3, "integer": "3", "number": "3", "boolean": "yes", "timestamp": 3, "list": "x"}
"""A value that no column of the type has."""

MALFORMED_COLUMNS = 8
"""Of how many columns a wrong value is sent."""

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Request:
    """`name`: what is odd about it, if anything is."""

    path: str
    body: bytes
    name: str = ""
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))


@dataclass(frozen=True)
class Traffic:
    """Rows as a client sends them, and what the release and the contract say of their columns."""

    contract: Contract
    features: Features
    rows: list[Fields]
    items: list[Fields]

    @classmethod
    def of(cls, golden: pa.Table, catalogue: pa.Table | None, contract: Contract, features: Features) -> "Traffic":
        """The rows' label is sent, too, as in logged rows; columns that neither the contract nor the release knows are not."""
        known = {*contract.columns, *features.keyed, *features.numeric}
        rows = _plain(conform(golden.select([n for n in golden.column_names if n in known]), contract))
        if catalogue is None or contract.item is None:
            return cls(contract, features, rows, [])
        described = _plain(conform(catalogue.select(sorted({*item_columns(contract)} & {*catalogue.column_names})), contract))
        logged = {row.get(contract.item) for row in rows}
        return cls(contract, features, rows, [item for item in described if item.get(contract.item) in logged - {None}])

    def scored(self) -> list[Request]:
        """All rows, in their order."""
        return [_post("/score", rows=self.rows[i : i + ROWS]) for i in range(0, len(self.rows), ROWS)]

    def ranked(self) -> list[Request]:
        """Lists for the users and moments of some rows, of items of the catalogue; none where there is no catalogue."""
        step = max(1, len(self.rows) // LISTS)
        asking = self.rows[::step][:LISTS] if self.items else []
        return [self._rank(row, _window(self.items, i * CANDIDATES)) for i, row in enumerate(asking)]

    def by_ids(self) -> list[Request]:
        """The first of `ranked` once more, its items by their ids."""
        items = [item[str(self.contract.item)] for item in _window(self.items, 0)]
        return [self._rank(self.rows[0], items)] if items else []

    def unseen(self) -> Iterator[Request]:
        """Values that the release has no row for, one column at a time and all at once, and none where none has to be."""
        kinds = {name: column.type for name, column in self.contract.columns.items()}
        new = {name: UNSEEN[kinds[name]] for name in self.features.keyed if kinds.get(name) in UNSEEN}
        first = self.rows[0]
        for name, value in new.items():
            yield _post("/score", f"an unseen value of {name!r}", rows=[first | {name: value}])
        yield _post("/score", "unseen values of all columns", rows=[first | new])
        optional = {name for name, column in self.contract.columns.items() if column.nullable}
        yield _post("/score", "no value where none has to be", rows=[{n: v for n, v in first.items() if n not in optional}])
        if self.items:
            theirs = {name: value for name, value in new.items() if name in self.items[0]}
            asked = self._rank(first | new, [*self.items[:1], self.items[0] | theirs])
            yield replace(asked, name="an unseen user and an unseen item")

    def malformed(self) -> Iterator[Request]:
        """What has to be refused, and must do no harm."""
        first = self.rows[0]
        yield from _no_requests()
        yield _post("/score", "no rows", rows=[])
        yield _post("/score", "an unknown field", rows=[first], extra=1)
        yield _post("/score", "a row with an unknown field", rows=[first | {"x" * 500: 1}])
        yield _post("/score", "a row that is no object", rows=[first, 7])
        yield _post("/score", "too many rows", rows=[{}] * (MOST_ROWS + 1))
        yield _post("/rank", "no user", items=[{}])
        yield _post("/rank", "no items", user={}, items=[])
        for name in [n for n in (*self.features.keyed, *self.features.numeric) if n in self.contract.columns][:MALFORMED_COLUMNS]:
            wrong = WRONG[self.contract.columns[name].type]
            yield _post("/score", f"a wrong type in {name!r}", rows=[first | {name: wrong}])
            yield _post("/score", f"NaN in {name!r}", rows=[first | {name: float("nan")}])
        if self.items:
            yield replace(self._rank(first, ["an id that no catalogue has"]), name="an unknown id")

    def _rank(self, row: Fields, items: list[Any]) -> Request:
        user, context = ({n: v for n, v in row.items() if owner(self.contract, n) == whose} for whose in ("user", "context"))
        return _post("/rank", user=user, context=context, items=items)


def _no_requests() -> Iterator[Request]:
    whole = Request("/score", b'{"rows": [{}]}')
    yield replace(whole, name="a body that is no JSON", body=b'{"rows": [')
    yield replace(whole, name="a body that is not UTF-8", body=b'{"rows": "\xff"}')
    yield replace(whole, name="a body that is no object", body=b"[]")
    yield replace(whole, name="deep nesting", body=b'{"rows": ' + b"[" * 100_000)
    yield replace(whole, name="an oversize body", body=b" " * (MOST_BYTES + 1))
    yield replace(whole, name="another content type", headers={"Content-Type": "text/plain"})
    yield replace(whole, name="an unknown path", path="/scores")
    yield replace(whole, name="another method", method="GET")


def _post(path: str, name: str = "", **fields: Any) -> Request:
    return Request(path, json.dumps(fields).encode(), name)


def _window(items: list[Fields], start: int) -> list[Fields]:
    """`CANDIDATES` of them from a place on, or all: after the last comes the first."""
    return [items[(start + i) % len(items)] for i in range(min(CANDIDATES, len(items)))]


def _plain(table: pa.Table) -> list[Fields]:
    """Rows as JSON has them; what is missing is left out."""
    sent: list[Fields] = json.loads(json.dumps(table.to_pylist(), default=lambda moment: moment.isoformat()))
    return [{name: value for name, value in row.items() if value is not None} for row in sent]
