"""Our side's contract for the rows, and its arrays on disk."""

from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.engine.criteo import CATEGORIES, CROSSES, LABEL, NUMBERS
from benchmarks.engine.settings import HIDDEN, LEARNING_RATE, WIDTH
from widedeep.data.contract import AdaGrad, Column, Contract, Cross, Gate, Label, Model, SplitRule, Training
from widedeep.features.bags import Bag
from widedeep.features.encoding import EncodedBatch

_ARRAYS = ("rows", "dense", "labels")


def contract() -> Contract:
    columns = {name: Column(type="number", role="numeric") for name in NUMBERS}
    columns |= {name: Column(type="integer", role="categorical") for name in CATEGORIES}
    special = {"user": Column(type="integer"), "seen_at": Column(type="timestamp"), LABEL: Column(type="integer")}
    return Contract(
        name="criteo-shaped",
        user="user",
        time="seen_at",
        label=Label(column=LABEL),
        columns=columns | special,
        crosses=tuple(Cross(of=sides) for sides in CROSSES),
        split=SplitRule(salt="unused"),
        model=Model(embedding=WIDTH, hidden=HIDDEN),
        gate=Gate(margin=0.01),
    )


def training(precision: Literal["float32", "bfloat16"], batch: int, device: Literal["cpu", "cuda"] = "cpu") -> Training:
    rates = AdaGrad(learning_rate=LEARNING_RATE, embedding_learning_rate=LEARNING_RATE)
    return Training(batch_size=batch, threads=1, precision=precision, device=device, adagrad=rates)


def save_encoded(encoded: EncodedBatch, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(encoded, name))
    np.save(folder / "flat.npy", encoded.wide.flat)
    np.save(folder / "offsets.npy", encoded.wide.offsets)
    np.save(folder / "sizes.npy", encoded.sizes)


def load_encoded(folder: Path) -> EncodedBatch:
    """The arrays stay in their files until they are read."""
    names = (*_ARRAYS, "flat", "offsets", "sizes")
    rows, dense, labels, flat, offsets, sizes = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in names)
    return EncodedBatch(rows, (), dense, Bag(flat, offsets), labels, (int(sizes[0]), int(sizes[1])))
