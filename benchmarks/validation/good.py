"""Good days of a simulated app store, with a key, a form for identifiers, and a feature as it was served."""

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
    """One good day, and the profiles of those before it."""

    span: date
    rows: pa.Table
    past: tuple[Profile, ...]


def contract() -> Contract:
    document = yaml.safe_load(CONTRACT.read_text())
    columns = document["columns"]
    columns["user_id"]["regex"] = "user-[0-9]{8}"
    columns["installed_apps"]["items"] = [0, 100]
    columns["size_mb"]["range"] = [0, 10_000]
    columns["rating_served"] = {"type": "number", "nullable": True, "range": [1, 5]}
    document["key"] = ["row_id"]
    document["checks"] |= {"rows": [500, 10_000_000], "skew": [{"of": ["rating", "rating_served"]}]}
    return Contract.model_validate(document)


def good_days(rule: Contract, seed: int, rows: int) -> Good:
    """The last of `HISTORY` + 1 days."""
    past = []
    for day in Simulation(simulation_settings(rows_per_day=rows, seed=seed)).days(HISTORY + 1):
        table = conform(day.rows.append_column("rating_served", day.rows["rating"]), rule)
        past.append(profile_of(table, rule, day.span))
    return Good(day.span, table, tuple(past[:-1]))
