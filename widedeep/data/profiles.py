"""A span in small: counts of what its columns hold, so that spans can be pooled and compared; no row and no user's name."""

from datetime import date
from functools import cached_property
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from widedeep.artifacts import Value
from widedeep.data.clusters import Clusters, clusters, spread_of_shares
from widedeep.data.contract import Contract
from widedeep.data.facts import positive, sound_columns
from widedeep.data.ranks import Ranks, ranks_of
from widedeep.data.shares import Shares, shares_of


class Profile(Value):
    """`labelled` rows have a label, `positive` of them a positive one, whose rate has the design effect `label_spread`.

    `user_rows`: the rows of a row's user, on average over the rows; 1 if everybody has one.
    """

    format: Literal[2] = 2
    span: date
    rows: int
    users: int
    user_rows: float
    labelled: int
    positive: int
    label_spread: float
    columns: dict[str, Annotated[Shares | Ranks, Field(discriminator="kind")]]

    @cached_property
    def constant(self) -> frozenset[str]:
        """Names of the columns that have one value throughout."""
        return frozenset(
            n for n, c in self.columns.items() if c.total in (c.values.values() if isinstance(c, Shares) else c.up_to[:1])
        )


def profile_of(table: pa.Table, contract: Contract, span: date) -> Profile:
    """The profile of all watched columns that have the contract's type."""
    sound = sound_columns(table, contract)
    nobody = pa.chunked_array([pa.array(range(table.num_rows), pa.int64())])
    grouped = clusters(table[contract.user] if contract.user in sound else nobody)
    labels = positive(table, contract)
    return Profile(
        span=span,
        rows=table.num_rows,
        users=len(grouped.per_user),
        user_rows=round(float((grouped.per_user**2).sum() / max(1, table.num_rows)), 4),
        labelled=len(labels) - labels.null_count,
        positive=pc.sum(labels).as_py() or 0,
        label_spread=round(_label_spread(labels, grouped), 4),
        columns={n: _column(table[n], contract, n, grouped) for n in contract.watched if n in sound and table.num_rows},
    )


def _label_spread(labels: pa.ChunkedArray, grouped: Clusters) -> float:
    sample = labels.take(pa.array(grouped.rows)).combine_chunks()
    there = pc.is_valid(sample).to_numpy(zero_copy_only=False)
    cells = sample.drop_null().cast(pa.int64()).to_numpy()
    return spread_of_shares(cells, grouped.users[there], grouped.count, 2)[0]


def _column(column: pa.ChunkedArray, contract: Contract, name: str, grouped: Clusters) -> Shares | Ranks:
    spec = contract.columns[name]
    if spec.type in {"integer", "number"} and spec.role != "categorical":
        return ranks_of(column, grouped)
    return shares_of(column, grouped, personal=name == contract.user)
