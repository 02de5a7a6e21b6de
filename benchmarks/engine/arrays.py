"""The rows as every peer reads them: the numbers that our own encoding gave, with a table of its own for each column.

`N` rows, `F` categorical columns, `X` crosses, `K` numbers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """ids: (N, F) int64, 0 where out of vocabulary. crosses: (N, X) int64, 0 where unseen. dense: (N, K) float32 quantiles.
    labels: (N,) float32.
    """

    ids: NDArray[np.int64]
    crosses: NDArray[np.int64]
    dense: NDArray[np.float32]
    labels: NDArray[np.float32]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, values in vars(self).items():
            np.save(folder / f"{name}.npy", values)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The arrays stay in their files until they are read."""
        return cls(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in cls.__annotations__})

    def slice(self, start: int, stop: int) -> Self:
        return type(self)(**{name: values[start:stop] for name, values in vars(self).items()})

    def fused(self, sizes: tuple[int, ...]) -> NDArray[np.int64]:
        """(N, F) rows of one table that holds the columns' tables one after the other."""
        return self.ids + offsets(sizes)

    def linear(self, sizes: tuple[int, ...], cross_sizes: tuple[int, ...]) -> NDArray[np.int64]:
        """(N, F + X) rows of one table for the wide part: those of the values, then those of the crosses."""
        return np.concatenate([self.ids, self.crosses], axis=1) + offsets((*sizes, *cross_sizes))


def offsets(sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Where each of the joined tables begins."""
    return np.cumsum((0, *sizes[:-1]))


@dataclass(frozen=True)
class Data:
    """`sizes` and `cross_sizes` count the rows of each column's table, row 0 included."""

    learnt: Rows
    held_out: Rows
    sizes: tuple[int, ...]
    cross_sizes: tuple[int, ...]

    def save(self, folder: Path) -> None:
        self.learnt.save(folder / "learnt")
        self.held_out.save(folder / "held_out")
        (folder / "sizes.json").write_text(json.dumps([self.sizes, self.cross_sizes]))

    @classmethod
    def load(cls, folder: Path) -> Self:
        sizes = [tuple(part) for part in json.loads((folder / "sizes.json").read_text())]
        return cls(Rows.load(folder / "learnt"), Rows.load(folder / "held_out"), *sizes)
