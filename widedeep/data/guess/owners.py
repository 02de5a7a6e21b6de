"""Whose property a column is: the user's or the item's, if all rows of one agree in it; else that of the moment."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from widedeep.data.guess import names
from widedeep.data.guess.keys import Keys
from widedeep.data.guess.relations import TELLS, tells
from widedeep.data.guess.seen import Columns, Seen

HISTORY = 0.5  # share of a list's items that are values of the item column
SAME_NUMBER = 0.9  # of different values in two names of one thing
HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Owner:
    """`of` is None for the moment's. `name_of`: the user's or item's column that this one is but another name of."""

    of: str | None = None
    why: str = ""
    name_of: str | None = None


def owner_of(seen: Seen, columns: Columns, keys: Keys) -> Owner:
    user, item = keys.user.column, keys.item.column
    if seen.name in {user, item}:
        return Owner("user" if seen.name == user else "item")
    if seen.name in keys.named or seen.constant:
        return Owner()
    for of, column in (("item", item), ("user", user)):
        agree = _agreement(columns, column, seen)
        if column and agree >= TELLS and agree >= _agreement(columns, user if of == "item" else item, seen):
            if of == "user" and _of_the_moment(seen, columns, keys):
                return Owner()
            nearly = "" if agree == 1 else "nearly "
            return Owner(of, f"{nearly}the same in all rows of one {column}", column if _names(seen, columns[column]) else None)
    if item and seen.kind == "list" and _holds(seen, columns[item]):
        return Owner("user", f"holds values of {item}: what a user did before")
    return Owner()


def _agreement(columns: Columns, column: str | None, seen: Seen) -> float:
    return tells(columns[column].codes, seen.codes) or 0.0 if column else 0.0


def _of_the_moment(seen: Seen, columns: Columns, keys: Keys) -> bool:
    """Named so, or told by the hour: rows of one visit agree in it, and it is no property of who made it."""
    if names.named(seen.name, names.MOMENT) >= names.AMONG_OTHERS:
        return True
    if keys.time.column is None:
        return False
    moments = pc.fill_null(columns[keys.time.column].values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return (tells(moments // HOUR_US, seen.codes) or 0.0) >= TELLS


def _names(seen: Seen, owner: Seen) -> bool:
    """Whether each value leads back to one value of the owner."""
    can_name = seen.kind == "string" or (seen.kind == "integer" and names.is_id(seen.name))
    return can_name and seen.different >= SAME_NUMBER * owner.different and (tells(seen.codes, owner.codes) or 0.0) >= TELLS


def _holds(seen: Seen, item: Seen) -> bool:
    held = pc.unique(seen.items)
    return len(held) > 0 and bool(pc.mean(pc.is_in(held, item.labels.cast(pa.string()))).as_py() >= HISTORY)
