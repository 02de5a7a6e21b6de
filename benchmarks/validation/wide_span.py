"""A span of 40 columns of all kinds, its contract, and the same rules as a list that any library can be told.

Integers, floats, texts of low and of very high cardinality, times, booleans and lists. A rule is (column, kind, arguments).
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from widedeep.data.contract import Contract

SPAN = date(2026, 3, 2)
START = datetime(2026, 3, 2, tzinfo=UTC)
USERS_PER_ROW, ITEMS, TAGS = 0.1, 50_000, 2_000
CODES = [f"code-{i:02}" for i in range(20)]
INTEGERS, FLOATS, LOW, HIGH, FLAGS, TIMES, LISTS = 8, 9, 8, 4, 3, 2, 2
CONTROL = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]"
GARBLED = "\ufffd|[\u00c2\u00c3][\x80-\xbf]|\u00e2\u20ac|\u00d0[\x80-\xbf]"
FORMULA = r"^\s*(?:=|[+\-@].*[(|])"
Rule = tuple[str, str, dict[str, Any]]


def rows(count: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    users = rng.integers(0, max(1, int(count * USERS_PER_ROW)), count)
    columns: dict[str, Any] = {
        "row_id": pa.array(np.arange(count)),
        "event_time": _moments(rng, count),
        "user": _named("user", users),
        "label": pa.array((rng.random(count) < 0.1).astype(np.int64)),
        **{f"integer_{i}": pa.array(rng.integers(0, 10 ** (1 + i % 6), count)) for i in range(INTEGERS)},
        **{f"float_{i}": pa.array(rng.gamma(2, 10, count), mask=rng.random(count) < 0.05 * (i % 3)) for i in range(FLOATS)},
        **{f"low_{i}": pa.DictionaryArray.from_arrays(rng.integers(0, 20, count), CODES).cast(pa.string()) for i in range(LOW)},
        **{f"high_{i}": _named("item", rng.zipf(1.2, count) % ITEMS if i % 2 else np.arange(count)) for i in range(HIGH)},
        **{f"flag_{i}": pa.array(rng.random(count) < 0.3) for i in range(FLAGS)},
        **{f"time_{i}": _moments(rng, count) for i in range(TIMES)},
        **{f"tags_{i}": _lists(rng, count) for i in range(LISTS)},
    }
    return pa.table(columns)


def _moments(rng: np.random.Generator, count: int) -> pa.Array:
    base = int(START.timestamp()) * 1_000_000
    return pa.array(base + rng.integers(0, 86_400_000_000, count)).cast(pa.timestamp("us", tz="UTC"))


def _named(kind: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(kind, pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 8, "0"), "-")


def _lists(rng: np.random.Generator, count: int) -> pa.Array:
    ends = np.concatenate([[0], np.cumsum(rng.integers(0, 6, count))]).astype(np.int32)
    return pa.ListArray.from_arrays(ends, _named("tag", rng.integers(0, TAGS, ends[-1])))


def damaged(table: pa.Table) -> tuple[pa.Table, set[str]]:
    """With a column of each kind broken in one row, and which ones."""
    wrong = {
        "row_id": 1,
        "event_time": START - timedelta(days=9),
        "label": 7,
        "integer_1": -1,
        "float_1": 1e9,
        "low_1": "code-77",
    }
    wrong |= {"high_1": "=1+(2)", "high_2": "bad\x01", "low_2": None}
    for name, value in wrong.items():
        values = table[name].combine_chunks()
        first = pa.array([True] + [False] * (len(values) - 1))
        table = table.set_column(
            table.column_names.index(name), name, pc.replace_with_mask(values, first, pa.scalar(value, values.type))
        )
    return table, set(wrong)


def contract() -> Contract:
    columns: dict[str, Any] = {
        "row_id": {"type": "integer"},
        "event_time": {"type": "timestamp"},
        "user": {"type": "string", "regex": "user-[0-9]{8}"},
        "label": {"type": "integer", "range": [0, 1]},
        **{f"integer_{i}": {"type": "integer", "role": "numeric", "range": [0, 10**6]} for i in range(INTEGERS)},
        **{
            f"float_{i}": {"type": "number", "role": "numeric", "range": [0, 1000], "nullable": bool(i % 3)}
            for i in range(FLOATS)
        },
        **{f"low_{i}": {"type": "string", "role": "categorical", "allowed": CODES} for i in range(LOW)},
        **{f"high_{i}": {"type": "string", "role": "categorical", "regex": "item-[0-9]{8}"} for i in range(HIGH)},
        **{f"flag_{i}": {"type": "boolean", "role": "categorical"} for i in range(FLAGS)},
        **{f"time_{i}": {"type": "timestamp"} for i in range(TIMES)},
        **{f"tags_{i}": {"type": "list", "role": "multivalent", "items": [0, 10]} for i in range(LISTS)},
    }
    return Contract.model_validate(
        {
            "name": "wide",
            "user": "user",
            "time": "event_time",
            "label": {"column": "label"},
            "key": ["row_id"],
            "columns": columns,
            "checks": {"rows": [100, 10_000_000], "label_rate": [0.01, 0.5]},
            "split": {"salt": "wide-1", "holdout_share": 0.15},
            "gate": {"margin": 0.005},
        }
    )


def rules(wanted: Contract) -> list[Rule]:
    """What the contract says of rows and of the label's rate, without drift."""
    found: list[Rule] = [("row_id", "unique", {}), ("label", "mean", {"min_value": 0.01, "max_value": 0.5})]
    found.append(
        ("event_time", "between", {"min_value": START.isoformat(), "max_value": (START + timedelta(days=1)).isoformat()})
    )
    for name, spec in wanted.columns.items():
        found.append((name, "exists", {}))
        if not spec.nullable:
            found.append((name, "not null", {}))
        if spec.range:
            found.append((name, "between", {"min_value": spec.range[0], "max_value": spec.range[1]}))
        if spec.allowed:
            found.append((name, "in set", {"value_set": list(spec.allowed)}))
        if spec.regex:
            found.append((name, "matches", {"regex": rf"^(?:{spec.regex})$"}))
        if spec.items:
            found.append((name, "items", {"min_value": spec.items[0], "max_value": spec.items[1]}))
        if spec.type == "string":
            found.append((name, "length", {"max_value": 1000}))
            found.extend((name, "matches not", {"regex": regex}) for regex in (CONTROL, GARBLED, FORMULA))
    return found
