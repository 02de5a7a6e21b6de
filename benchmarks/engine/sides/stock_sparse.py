"""`stock` with sparse embedding gradients and without a DataLoader: the best that torch alone offers."""

from pathlib import Path

from benchmarks.engine.arrays import Data
from benchmarks.engine.sides.stock import Stock


def make(folder: Path, precision: str, batch: int) -> Stock:
    return Stock(Data.load(folder / "peers"), precision, batch, sparse=True)
