"""Files of one span may differ in columns and types as long as no value is lost; where they don't go together, both are named."""

from itertools import permutations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.data import merging
from widedeep.data.sources import Unreadable, read_delivery
from widedeep.data.tables import parquet_bytes

TYPES = {"price": "number", "visits": "integer", "name": "string", "tags": "list"}


def read(*tables, **files):
    """One file for each table; keywords give files of text, `a_csv` as a.csv."""
    delivered = [(f"{i}.parquet", parquet_bytes(pa.table(table))) for i, table in enumerate(tables)]
    delivered += [(name.replace("_", "."), text.encode()) for name, text in files.items()]
    return read_delivery(delivered, types=TYPES)


def disagreement(*tables, **files):
    answer = read(*tables, **files)
    assert isinstance(answer, Unreadable)
    return [finding.message for finding in answer.findings]


@pytest.mark.parametrize("type_", ["known", "unknown"])
def test_a_column_that_appears_is_null_in_the_rows_of_files_before_it(type_):
    new = "price" if type_ == "known" else "surprise"
    table = read({"visits": [1, 2]}, {"visits": [3], new: [0.5]})
    assert table.to_pydict() == {"visits": [1, 2, 3], new: [None, None, 0.5]}
    assert table.schema.field(new).type == pa.float64()


@pytest.mark.parametrize("column", ["price", "unknown"])
def test_a_column_widens_from_integers_to_floating_point(column):
    table = read({column: [1, 2]}, {column: [2.5]})
    assert table[column].to_pylist() == [1.0, 2.0, 2.5]


def test_whole_numbers_that_one_tool_writes_as_floating_point_stay_integers():
    table = read({"visits": [2**53 + 1]}, {"visits": [2.0, None]})
    assert table["visits"].to_pylist() == [2**53 + 1, 2, None]


def test_a_column_that_would_lose_digits_by_widening_is_refused():
    (said,) = disagreement({"unknown": [2**53 + 1]}, {"unknown": [0.5]})
    assert said.startswith("column 'unknown': int64 in file 0.parquet, double in file 1.parquet")


def test_files_of_all_kinds_go_together():
    table = read({"name": ["a"], "visits": [1]}, b_csv="name,visits\n01,2\n", c_jsonl='{"name": 3, "visits": 3}\n')
    assert table.to_pydict() == {"name": ["a", "01", "3"], "visits": [1, 2, 3]}


def test_an_all_null_column_takes_the_others_type():
    table = read({"price": pa.nulls(2), "tags": [None, []]}, {"price": [1, 2], "tags": [["x"], None]})
    assert table.to_pydict() == {"price": [None, None, 1.0, 2.0], "tags": [None, [], ["x"], None]}


def test_types_that_no_value_could_have_both_are_named_with_their_files():
    assert disagreement({"price": [1.0], "name": ["a"]}, {"price": ["cheap"], "name": [0.5]}) == [
        "column 'price': double in file 0.parquet, string in file 1.parquet; wanted number in each",
        "column 'name': string in file 0.parquet, double in file 1.parquet; wanted string in each",
    ]


def test_of_many_files_one_of_each_type_is_named():
    assert disagreement(*[{"price": [i]} for i in range(9)], {"price": [["x"]]}) == [
        "column 'price': double in file 0.parquet, list<item: string> in file 9.parquet; wanted number in each"
    ]


def test_text_that_is_no_number_in_one_csv_file_leaves_the_whole_column_as_it_came():
    """Validation looks at each value then, and may take the bad rows out."""
    table = read(a_csv="price\n01.50\n", b_csv="price\ncheap\n")
    assert table["price"].to_pylist() == ["01.50", "cheap"]


@given(st.lists(st.sampled_from(["price", "visits", "name", "tags", "unknown"]), min_size=1, max_size=3, unique=True), st.data())
def test_the_order_of_files_changes_no_type_and_no_value(names, data):
    kinds = {
        "price": st.integers() | st.floats(allow_nan=False),
        "visits": st.integers(),
        "name": st.text(),
        "unknown": st.booleans(),
    }
    files = [
        {n: data.draw(st.lists(st.none() | kinds[n].filter(_fits), min_size=2, max_size=2)) for n in names if n in kinds}
        | {"id": [i]}
        for i in range(2)
    ]
    tables = [(str(i), _table(file)) for i, file in enumerate(files)]
    merged = [_rows(order) for order in permutations(tables)]
    assert merged[0] == merged[1]


def _fits(value):
    return not isinstance(value, int) or abs(value) < 2**53


def _table(file):
    size = max(len(values) for values in file.values())
    columns = {name: values[:size] + values[:1] * (size - len(values)) for name, values in file.items()}
    return pa.table({name: _array(values) for name, values in columns.items()})


def _array(values):
    return (
        pa.array([float(v) for v in values])
        if any(isinstance(v, float) for v in values) and None not in values
        else pa.array(values)
    )


def _rows(tables):
    try:
        table = merging.merged(tables, TYPES)
    except merging.DisagreementError as problem:
        return sorted(args.split(":")[0] for args in problem.args)
    return sorted(table.select(sorted(table.column_names)).to_pylist(), key=str), sorted(map(str, table.schema))


def test_a_column_of_more_text_than_arrow_can_address_is_refused(monkeypatch):
    monkeypatch.setattr(merging, "COLUMN_BYTES", 1_000)
    assert "column 'name': 1," in disagreement(*[{"name": ["x" * 500]}] * 3)[0]
    assert "column 'tags': " in disagreement({"tags": [["x"] * 100]})[0]
    assert read({"price": [1.0] * 1_000}).num_rows == 1_000
