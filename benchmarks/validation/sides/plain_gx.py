"""Great Expectations as its documentation shows it: one suite on the frame. It has nothing for lists: their sizes are columns."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig

logging.getLogger("great_expectations").setLevel(logging.WARNING)

KINDS = {
    "exists": "ExpectColumnToExist",
    "not null": "ExpectColumnValuesToNotBeNull",
    "between": "ExpectColumnValuesToBeBetween",
    "items": "ExpectColumnValuesToBeBetween",
    "in set": "ExpectColumnValuesToBeInSet",
    "matches": "ExpectColumnValuesToMatchRegex",
    "matches not": "ExpectColumnValuesToNotMatchRegex",
    "length": "ExpectColumnValueLengthsToBeBetween",
    "unique": "ExpectColumnValuesToBeUnique",
    "mean": "ExpectColumnMeanToBeBetween",
}


def prepared(folder: Path, path: Path) -> Callable[[], set[str]]:
    frame, rules = pd.read_parquet(path), json.loads((folder / "rules.json").read_text())

    def validate() -> set[str]:
        for column in {column for column, kind, _ in rules if kind == "items"}:
            frame[f"items in {column}"] = frame[column].str.len()
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        asset = context.data_sources.add_pandas("span").add_dataframe_asset("rows")
        batch = asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": frame})
        suite = gx.ExpectationSuite(name="contract", expectations=[expectation(*rule) for rule in rules])
        run = batch.validate(suite, result_format="SUMMARY")
        return {r.expectation_config.kwargs["column"].removeprefix("items in ") for r in run.results if not r.success}

    return validate


def expectation(column: str, kind: str, arguments: dict[str, Any]) -> Any:
    if column == "event_time" and kind == "between":
        arguments = {name: pd.Timestamp(text) for name, text in arguments.items()}
    name = f"items in {column}" if kind == "items" else column
    return getattr(gx.expectations, KINDS[kind])(column=name, **arguments)
