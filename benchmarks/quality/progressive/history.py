"""MovieLens with what is known of its users and items from the past: columns that every side of the comparison reads.

No row knows its own time or later: what is rated in the same second does not count. They are strings, so that each level has
an embedding and a weight of its own. `B` rows, `E` pairs of a row and one of its genres.

    disliked_items            the user's last ten films below a liking, as `liked_items` has those above
    user_level, item_level    mean rating so far in fifths of a star, as if three ratings of 3.5 had come before
    genre_level               the same of the user's ratings of films that share a genre, counted once a genre
    user_seen, item_seen      how many ratings so far, as a power of two

Users are not told apart by their ids then: four rows in five are of users that no week before has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from widedeep.data.contract import Contract
from widedeep.data.movielens import LIKED_FROM, liked_before

Ints = NDArray[np.int64]
Spans = Sequence[tuple[date, pa.Table]]

LEVELS = ("user_level", "item_level", "genre_level", "user_seen", "item_seen")
COLUMNS = {
    "disliked_items": {"type": "list", "role": "multivalent"},
    **{name: {"type": "string", "role": "categorical"} for name in LEVELS},
}
PRIOR_RATINGS, PRIOR_MEAN = 3, 3.5


def contract_with_history(contract: Contract) -> Contract:
    """The sample's contract with the columns of this module, and without the user's id among the features."""
    plain = contract.model_dump(mode="json")
    plain["columns"] |= COLUMNS
    plain["columns"][contract.user]["role"] = None
    return Contract.model_validate(plain)


def with_history(spans: Spans) -> list[tuple[date, pa.Table]]:
    """The sample's spans with the columns of this module."""
    rows = pa.concat_tables([table for _, table in spans])
    for name, column in history(rows).items():
        rows = rows.append_column(name, column)
    starts = np.cumsum([0, *(table.num_rows for _, table in spans)])
    return [(span, rows.slice(start, table.num_rows)) for (span, table), start in zip(spans, starts, strict=False)]


def history(rows: pa.Table) -> dict[str, pa.Array]:
    """The columns of this module (B,), in the order of the rows."""
    time, rating = rows["event_time"].cast(pa.int64()).to_numpy(), rows["rating"].to_numpy()
    user, item = _codes(rows["user_id"]), _codes(rows["item_id"])
    genre, row_of = _codes(pc.list_flatten(rows["genres"])), pc.list_parent_indices(rows["genres"]).to_numpy()
    of_user, of_item = sums_before(user, time, rating), sums_before(item, time, rating)
    of_pair = sums_before(user[row_of] * (genre.max() + 1) + genre, time[row_of], rating[row_of])
    of_genres = np.stack([np.bincount(row_of, sums, len(rating)) for sums in of_pair])
    return {
        "disliked_items": disliked_before(rows),
        "user_level": _level(*of_user),
        "item_level": _level(*of_item),
        "genre_level": _level(*of_genres),
        "user_seen": _power(of_user[0]),
        "item_seen": _power(of_item[0]),
    }


def sums_before(group: Ints, time: Ints, values: Ints) -> Ints:
    """(2, E): how many rows of the same group have strictly earlier times, and the sum of their values."""
    order = np.lexsort((time, group))
    new_group = np.diff(group[order], prepend=-1) != 0
    new_time = new_group | (np.diff(time[order], prepend=-1) != 0)
    sums = np.zeros((2, len(order)), np.int64)
    np.cumsum([np.ones_like(order[1:]), values[order][:-1]], axis=1, out=sums[:, 1:])
    place = np.arange(len(order))
    first, until = (np.maximum.accumulate(np.where(starts, place, 0)) for starts in (new_group, new_time))
    before = np.empty_like(sums)
    before[:, order] = sums[:, until] - sums[:, first]
    return before


def disliked_before(rows: pa.Table) -> pa.Array:
    """(B,) lists, as `liked_before` has them: a rating r is below a liking exactly where 2 · LIKED_FROM - 1 - r is a liking."""
    order = pc.sort_indices(rows, [("user_id", "ascending"), ("event_time", "ascending"), ("item_id", "ascending")])
    mirrored = {"rating": pc.subtract(2 * LIKED_FROM - 1, rows["rating"]), "rated_s": rows["event_time"]}
    table = pa.table({"user_id": rows["user_id"], "item_id": rows["item_id"], **mirrored})
    return liked_before(table.take(order)).take(pc.sort_indices(order))


def _level(count: Ints, total: Ints) -> pa.Array:
    mean = (total + PRIOR_RATINGS * PRIOR_MEAN) / (count + PRIOR_RATINGS)
    return pa.array(np.round(5 * mean).astype(int)).cast(pa.string())


def _power(count: Ints) -> pa.Array:
    return pa.array(np.log2(count + 1).astype(int)).cast(pa.string())


def _codes(column: pa.ChunkedArray) -> Ints:
    codes: Ints = column.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    return codes
