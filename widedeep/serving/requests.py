"""A request becomes rows as the trainer's, or is refused with its first fault. What it may cost is bounded before it is spent.

K candidates. A field that the contract does not know is refused: a misspelt one would be served as missing, and nobody would see.
What the contract knows and the release does not read is checked and left out, so that logged rows can be sent as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from widedeep.data.catalogue import item_columns
from widedeep.data.contract import Column, Contract
from widedeep.features.columns import Features
from widedeep.serving.catalogue import Catalogue
from widedeep.serving.values import Place, RefusedError, column_of, cut, shown

MOST_ROWS = 10_000
"""Of one request. A model of the paper's size scores them in a few tenths of a second on one core."""

MOST_ENTRIES = 5_000_000
"""Items of lists, and pairs of crosses, over all rows of a request: each is a look-up."""

Fields = dict[str, Any]
Request = TypeVar("Request", bound=BaseModel)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ScoreRequest(_Request):
    """Rows to score, each with the contract's columns."""

    rows: list[Fields] = Field(min_length=1, max_length=MOST_ROWS)


class RankRequest(_Request):
    """Candidates for a user at a moment: `items` are ids of the release's catalogue, or objects with the items' columns."""

    user: Fields
    context: Fields = Field(default_factory=dict)
    items: list[Any] = Field(min_length=1, max_length=MOST_ROWS)
    top: Annotated[int, Field(ge=1)] | None = None


def parsed(body: bytes, kind: type[Request]) -> Request:
    """Raises RefusedError with all that is wrong with the form, three at most."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    if problems[0]["type"] == "json_invalid":
        raise RefusedError(f"body: {problems[0]['msg']}; wanted {_form(kind)}", 400)
    raise RefusedError("; ".join(map(_told, problems[:3])) + f". Wanted {_form(kind)}")


@dataclass(frozen=True)
class Reading:
    """How a request is read for one release: what the contract knows, and what the release's features need of it."""

    contract: Contract
    features: Features
    release_id: str

    def scored(self, request: ScoreRequest) -> pa.Table:
        """(B, columns) of a `/score` request."""
        table = self._table(request.rows, None, lambda i: f"rows[{i}]")
        self._bound({}, _lengths(table), table.num_rows)
        return table

    def candidates(self, request: RankRequest, catalogue: Catalogue | None) -> pa.Table:
        """(K, columns) of a `/rank` request: each item's columns, with the user's and the moment's repeated beside them."""
        items = self._items(request.items, catalogue)
        user = self._table([request.user], "user", lambda _: "user")
        moment = self._table([request.context], "context", lambda _: "context")
        once = dict(zip([*user.column_names, *moment.column_names], [*user.columns, *moment.columns], strict=True))
        self._bound(_lengths(pa.table(once)), _lengths(items), items.num_rows)
        repeated = pa.array(np.zeros(items.num_rows, np.int64))
        columns = dict(zip(items.column_names, items.columns, strict=True))
        return pa.table(columns | {name: column.take(repeated) for name, column in once.items()})

    def shared(self) -> frozenset[str]:
        """The columns that all candidates of a `/rank` request have in common."""
        return frozenset([*self._needed("user"), *self._needed("context")])

    def _items(self, items: Sequence[Any], catalogue: Catalogue | None) -> pa.Table:
        kinds = set(map(type, items))
        if kinds == {dict}:
            return self._table(items, "item", lambda i: f"items[{i}]")
        if kinds <= {str, int}:
            return self._by_id(items, catalogue)
        wanted = kinds - {str, int} if kinds & {str, int} else kinds - {dict}
        i = next(i for i, item in enumerate(items) if type(item) in wanted)
        raise RefusedError(
            f"items[{i}]: got {shown(items[i])}, wanted either ids or objects with the items' columns, and all alike"
        )

    def _by_id(self, items: Sequence[str | int], catalogue: Catalogue | None) -> pa.Table:
        if catalogue is None:
            raise RefusedError(f"items: got ids, and {self.release_id} has no catalogue; wanted objects with the items' columns")
        found = catalogue.find(items)
        if (found < 0).any():
            i, count = int((found < 0).argmax()), int((found < 0).sum())
            raise RefusedError(
                f"items[{i}]: got {cut(str(items[i]))!r}, which is not in the catalogue of {self.release_id}, as {count:,} of "
                f"{len(items):,} are not; wanted ids that it has. Send new items as objects with their columns"
            )
        needed = [name for name in self._needed("item") if name in catalogue.table.column_names]
        return pa.table(_counted(len(items)) | {name: catalogue.table[name].take(pa.array(found)) for name in needed})

    def _table(self, rows: Sequence[Fields], whose: str | None, place: Callable[[int], str]) -> pa.Table:
        """The columns that the release reads, of those that are `whose`; None: of all."""
        known, needed = self._known(), self._needed(whose)
        given = set().union(*rows)
        for name in sorted(given - known.keys()):
            i = next(i for i, row in enumerate(rows) if name in row)
            raise RefusedError(f"{place(i)}: got a field {cut(name)!r}, which contract {self.contract.name} does not know")
        for name in sorted(given - set(self._of(whose, known))):
            raise RefusedError(f"{place(0)}: got {name!r}, which belongs to {owner(self.contract, name)!r}")
        columns = {
            name: self._column(rows, name, known[name], place, read=name in needed) for name in sorted(given | set(needed))
        }
        return pa.table(_counted(len(rows)) | {name: columns[name] for name in needed})

    def _column(self, rows: Sequence[Fields], name: str, column: Column, place: Place, *, read: bool) -> pa.Array:
        may_lack = column.nullable or not read
        if not may_lack and not all(name in row for row in rows):
            i = next(i for i, row in enumerate(rows) if name not in row)
            raise RefusedError(f"{place(i)}: has no {name!r}, which {self.release_id} reads and the contract wants in every row")
        values = [row.get(name) for row in rows]
        return column_of(values, column, lambda i: f"{place(i)}.{name}", may_lack=may_lack)

    def _known(self) -> dict[str, Column]:
        """An older release may read what a newer contract has dropped: such a column may be missing."""
        kinds = {"categorical": "string", "multivalent": "list", "numeric": "number"}
        gone = {n: Column(type=kinds[role], nullable=True) for role in kinds for n in getattr(self.features, role)}
        return gone | self.contract.columns

    def _needed(self, whose: str | None) -> list[str]:
        return self._of(whose, [*self.features.keyed, *self.features.numeric])

    def _of(self, whose: str | None, names: Sequence[str] | Mapping[str, Column]) -> list[str]:
        return [name for name in names if whose in (None, owner(self.contract, name))]

    def _bound(self, once: Mapping[str, NDArray[np.int64]], each: Mapping[str, NDArray[np.int64]], count: int) -> None:
        lengths = {**once, **each}
        products = [(name,) for name in self.features.multivalent] + list(self.features.crosses)
        entries = sum(
            int(np.broadcast_to(np.prod([np.broadcast_to(lengths.get(n, 1), count) for n in p], axis=0), count).sum())
            for p in products
        )
        if entries > MOST_ENTRIES:
            raise RefusedError(
                f"lists: got {entries:,} items and pairs of crosses over {count:,} rows, wanted at most {MOST_ENTRIES:,}. "
                "Send fewer rows, or shorter lists",
                413,
            )


def owner(contract: Contract, name: str) -> str:
    """Whose column it is in a `/rank` request: the user's, an item's or the context's."""
    if name == contract.user:
        return "user"
    column = contract.columns.get(name)
    return "item" if name in item_columns(contract) else column.of if column else "context"


def _counted(rows: int) -> dict[str, pa.Array]:
    """What tells how many rows there are where nothing of them is read."""
    return {"": pa.nulls(rows)}


def _lengths(table: pa.Table) -> dict[str, NDArray[np.int64]]:
    """How many items each row's lists have; a missing list counts as one missing item."""
    lists = [name for name in table.column_names if pa.types.is_list(table.schema.field(name).type)]
    return {n: pc.fill_null(pc.list_value_length(table[n]), 1).to_numpy().astype(np.int64) for n in lists}


def _told(problem: Mapping[str, Any]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{cut(part)}" for part in problem["loc"]).lstrip(".") or "body"
    if problem["type"] in ("missing", "extra_forbidden"):
        return f"{path}: {problem['msg']}"
    return f"{path}: {problem['msg']} (got {shown(problem['input'])})"


def _form(kind: type[BaseModel]) -> str:
    return f"an object with {', '.join(kind.model_fields)}"
