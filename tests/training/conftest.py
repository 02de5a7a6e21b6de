"""A small contract with every kind of input, rows for it, and a way to learn them."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from widedeep.artifacts import Part
from widedeep.data.contract import Column, Contract, Cross, Gate, Label, Model, SplitRule, Training
from widedeep.model.bundle import Bundle
from widedeep.training.candidate import TrainingReport, train_candidate

START = date(2026, 1, 1)
Learn = Callable[..., tuple[Bundle, TrainingReport]]


@pytest.fixture
def make_contract() -> Callable[..., Contract]:
    def make(**changed: Any) -> Contract:
        columns = {
            "who": Column(type="string", role="categorical", min_count=2),
            "what": Column(type="integer", role="categorical"),
            "tags": Column(type="list", role="multivalent"),
            "age": Column(type="number", role="numeric", nullable=True),
            "at": Column(type="timestamp"),
            "bought": Column(type="boolean"),
        }
        settings: dict[str, Any] = {
            "columns": columns,
            "crosses": (Cross(of=("tags", "what")),),
            "model": Model(embedding=4, hidden=(8, 6), quantiles=4),
            "training": Training(batch_size=16),
        }
        fixed = {"name": "small", "user": "who", "time": "at", "label": Label(column="bought")}
        return Contract(split=SplitRule(salt="s"), gate=Gate(margin=0.01), **(fixed | settings | changed))

    return make


@pytest.fixture
def make_rows() -> Callable[..., pa.Table]:
    def make(day: int, count: int = 60, *, new_users: bool = False) -> pa.Table:
        random = np.random.default_rng(day)
        who = [f"u{random.integers(9) + (1000 * (day + 1) if new_users else 0)}" for _ in range(count)]
        what = random.integers(6 + day, size=count)
        tags = [[f"t{t}" for t in random.integers(5, size=random.integers(4))] for _ in range(count)]
        age = [None if random.random() < 0.2 else float(random.integers(18, 60)) for _ in range(count)]
        bought = [bool((w % 3 == 0) != (random.random() < 0.1)) for w in what]
        tags_type = pa.list_(pa.string())
        return pa.table(
            {"who": who, "what": what, "tags": pa.array(tags, tags_type), "age": age, "at": [0] * count, "bought": bought}
        )

    return make


@pytest.fixture
def learn() -> Learn:
    def run(parent: Bundle | None, contract: Contract, days: dict[int, pa.Table], seed: int = 7) -> tuple[Bundle, TrainingReport]:
        parts = [
            (Part(span=START + timedelta(days=day), version=1, digest=f"{day:064x}", part="train"), rows)
            for day, rows in days.items()
        ]
        return train_candidate(parent, parts, contract, seed, lambda _learnt, _total: None)

    return run
