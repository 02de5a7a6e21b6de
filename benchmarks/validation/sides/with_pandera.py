"""pandera as its documentation shows it: one schema for the frame, validated lazily, so that all failures are told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa


def prepared(folder: Path, path: Path) -> Callable[[], set[str]]:
    frame, rules = pd.read_parquet(path), json.loads((folder / "rules.json").read_text())

    def validate() -> set[str]:
        try:
            schema(rules).validate(frame, lazy=True)
        except pa.errors.SchemaErrors as errors:
            return {str(error.schema.name) for error in errors.schema_errors}
        return set()

    return validate


def schema(rules: list[tuple[str, str, dict[str, Any]]]) -> pa.DataFrameSchema:
    names = dict.fromkeys(column for column, kind, _ in rules if kind == "exists")
    return pa.DataFrameSchema({name: column([rule for rule in rules if rule[0] == name]) for name in names})


def column(rules: list[tuple[str, str, dict[str, Any]]]) -> pa.Column:
    kinds = {kind for _, kind, _ in rules}
    checks = [check(*rule) for rule in rules if rule[1] not in {"exists", "not null", "unique"}]
    return pa.Column(nullable="not null" not in kinds, unique="unique" in kinds, checks=checks)


def check(name: str, kind: str, arguments: dict[str, Any]) -> pa.Check:
    low, high = (arguments.get(end) for end in ("min_value", "max_value"))
    if name == "event_time":
        low, high = pd.Timestamp(low), pd.Timestamp(high)
    kinds: dict[str, Callable[[], pa.Check]] = {
        "between": lambda: pa.Check.in_range(low, high),
        "in set": lambda: pa.Check.isin(arguments["value_set"]),
        "matches": lambda: pa.Check.str_matches(arguments["regex"]),
        "matches not": lambda: pa.Check(lambda values: ~values.str.contains(arguments["regex"], regex=True)),
        "length": lambda: pa.Check.str_length(max_value=high),
        "items": lambda: pa.Check(lambda values: values.str.len().between(low, high)),
        "mean": lambda: pa.Check(lambda values: low <= values.mean() <= high),
    }
    return kinds[kind]()
