"""Good days of a simulated app store, with a key, a form for identifiers, and a feature as it was served."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import yaml

from widedeep.data.conform import conform
from widedeep.data.contract import Contract
from widedeep.data.profiles import Profile, profile_of
from widedeep.simulation import Simulation, simulation_settings

CONTRACT = Path(__file__).parents[2] / "dags" / "contracts" / "appstore.yaml"
HISTORY = 35


@dataclass(frozen=True)
class Good:
    """One good day, the rows of the day before, and the profiles of all those before it."""

    span: date
    rows: pa.Table
    before: pa.Table
    past: tuple[Profile, ...]


def contract() -> Contract:
    document = yaml.safe_load(CONTRACT.read_text())
    columns = document["columns"]
    columns["user_id"]["regex"] = "user-[0-9]{8}"
    columns["installed_apps"]["items"] = [0, 100]
    columns["size_mb"]["range"] = [0, 10_000]
    columns["rating_served"] = {"type": "number", "nullable": True, "range": [1, 5]}
    document["key"] = ["row_id"]
    document["checks"] |= {"rows": [200, 10_000_000], "skew": [{"of": ["rating", "rating_served"]}]}
    return Contract.model_validate(document)


def good_days(rule: Contract, seed: int, rows: int) -> Good:
    """The last of `HISTORY` + 1 days."""
    past, tables = [], deque[pa.Table](maxlen=2)
    for span, table in clean_days(rule, seed, rows, HISTORY + 1):
        past.append(profile_of(table, rule, span))
        tables.append(table)
    return Good(span, tables[1], tables[0], tuple(past[:-1]))


def clean_days(rule: Contract, seed: int, rows: int, days: int) -> Iterator[tuple[date, pa.Table]]:
    for day in Simulation(simulation_settings(rows_per_day=rows, seed=seed)).days(days):
        yield day.span, conform(day.rows.append_column("rating_served", day.rows["rating"]), rule)
