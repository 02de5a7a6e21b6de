"""Faults of logging and delivery: the rows of a day as they arrive. The store itself lives on as if nothing had happened.

Drift and decay are no such faults: there the store itself changes (`world`, `pairs`, `logits`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from widedeep.simulation.settings import LABEL, Fault, SimulationSettings, generator

ARRIVES = 0.1  # of a truncated day


def as_delivered(rows: pa.Table, settings: SimulationSettings, day: int) -> pa.Table:
    """The rows after every fault of that day, in the order of the settings."""
    for place, fault in enumerate(settings.faults):
        if fault.day == day:
            rows = _faulty(rows, fault, generator(settings.seed, day, f"fault {place}"))
    return rows


def _faulty(rows: pa.Table, fault: Fault, rng: np.random.Generator) -> pa.Table:
    if fault.kind == "regression":
        flipped = rng.random(rows.num_rows) < (fault.size or 0)
        return _replaced(rows, LABEL, pa.array(rows[LABEL].to_numpy() ^ flipped))
    if fault.kind == "broken-column" and fault.column:
        return _replaced(rows, fault.column, pa.nulls(rows.num_rows, rows.schema.field(fault.column).type))
    if fault.kind == "truncated":
        return rows.slice(0, max(1, int(rows.num_rows * ARRIVES))).combine_chunks()
    return rows


def _replaced(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, column)
