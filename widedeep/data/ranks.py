"""A column of numbers in small: a cumulative distribution at its quantiles, exact where values repeat; null is below all."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from widedeep.artifacts import Value
from widedeep.data.clusters import Clusters, Float64s, spread_of_ranks

POINTS = 128  # a cumulative share between two points is wrong by less than 1 / POINTS
CELLS = 16  # in which users' shares are compared
LARGEST = 1e300  # stands for infinite, which JSON has not


class Ranks(Value):
    """A column of numbers, null or not. Of the values, `below[i]` are less than `points[i]` and `up_to[i]` at most that."""

    kind: Literal["ranks"] = "ranks"
    total: int
    spread: float
    nulls: int
    points: tuple[float, ...]
    below: tuple[int, ...]
    up_to: tuple[int, ...]


def ranks_of(column: pa.ChunkedArray, grouped: Clusters) -> Ranks:
    numbers = np.sort(_numbers(column.drop_null()))
    places = np.ceil(np.linspace(0, 1, POINTS + 1) * len(numbers)).astype(np.int64) - 1
    points = np.unique(numbers[places.clip(0)]) if len(numbers) else numbers
    return Ranks(
        total=len(column),
        spread=round(_spread(column, grouped, points), 4),
        nulls=column.null_count,
        points=tuple(points.tolist()),
        below=tuple(np.searchsorted(numbers, points, "left").tolist()),
        up_to=tuple(np.searchsorted(numbers, points, "right").tolist()),
    )


def _spread(column: pa.ChunkedArray, grouped: Clusters, points: Float64s) -> float:
    """Null counts as the lowest number."""
    sample = column.take(pa.array(grouped.rows)).combine_chunks()
    there = pc.is_valid(sample).to_numpy(zero_copy_only=False)
    cuts = points[np.linspace(0, len(points) - 1, CELLS).astype(int)] if len(points) else points
    cells = np.zeros(len(sample), np.int64)
    cells[there] = 1 + np.searchsorted(np.unique(cuts), _numbers(sample.drop_null()))
    return spread_of_ranks(cells, grouped.users, grouped.count, CELLS + 2)


def _numbers(values: pa.ChunkedArray | pa.Array) -> Float64s:
    floats = values.cast(pa.float64(), safe=False).to_numpy()
    clipped: Float64s = np.clip(np.nan_to_num(floats, nan=0.0, posinf=LARGEST, neginf=-LARGEST), -LARGEST, LARGEST)
    return clipped
