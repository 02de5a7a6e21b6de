"""A user who is forgotten has no row left: no key, no weight, no pair that waits; nobody else's row changes a bit."""

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep.data.contract import Contract
from widedeep.data.erased import digest_of, rows_of_users
from widedeep.features.growth import Vocabularies, grow
from widedeep.features.quantiles import Quantiles
from widedeep.model.bundle import Bundle, load_bundle, save_bundle
from widedeep.model.specification import is_table
from widedeep.training.erased import without_users
from widedeep.training.warm_start import warm_start

DAY = date(2026, 1, 1)
CONTRACT = Contract.model_validate(
    {
        "name": "small",
        "user": "user",
        "time": "at",
        "label": {"column": "clicked"},
        "columns": {
            "user": {"type": "integer", "role": "categorical", "of": "user", "min_count": 2},
            "device": {"type": "string", "role": "categorical"},
            "clicked": {"type": "boolean"},
            "at": {"type": "timestamp"},
        },
        "crosses": [{"of": ["user", "device"], "min_count": 2}],
        "split": {"salt": "s"},
        "model": {"embedding": 2, "hidden": [4]},
        "gate": {"margin": 0.01},
    }
)
USERS = st.lists(st.integers(0, 9), min_size=1, max_size=40)


def bundle_of(users: list[int]) -> Bundle:
    """A model of some rows, whose every number is another one."""
    rows = pa.table({"user": pa.array(users, pa.int64()), "device": [f"d{i % 3}" for i in range(len(users))]})
    vocabularies = grow(Vocabularies.empty(), rows, CONTRACT, DAY)
    bundle, _ = warm_start(None, vocabularies, Quantiles(), CONTRACT, 0)
    parts = [{name: torch.rand(t.shape) + 1 for name, t in tensors.items()} for tensors in (bundle.weights, bundle.optimizer)]
    return replace(bundle, weights=parts[0], optimizer=parts[1])


def keys(bundle: Bundle) -> set[tuple[str, str]]:
    """Every value that has a row, or waits for one."""
    tables = (bundle.vocabularies.values.rows, bundle.vocabularies.values.waiting)
    return {(f, k) for table in tables for f, k in zip(table["feature"].to_pylist(), table["key"].to_pylist(), strict=True)}


@settings(deadline=None)
@given(USERS, st.sets(st.integers(0, 9), max_size=4))
def test_nothing_of_them_is_left_and_all_else_is_as_it_was(users, gone):
    before = bundle_of(users)
    after = without_users(before, "user", {digest_of(str(user)) for user in gone})
    assert keys(after) - {(None, None)} == keys(before) - {("user", str(user)) for user in gone} - {(None, None)}
    values, crosses = after.vocabularies.values, after.vocabularies.crosses
    both = (crosses.rows["key"], crosses.waiting["key"])
    sides = np.concatenate([np.array(pairs.drop_null().to_pylist(), np.int64) for pairs in both])
    assert values.held()[sides >> 32].all()
    assert values.held()[sides & 0xFFFFFFFF].all()
    for one, other in ((before.weights, after.weights), (before.optimizer, after.optimizer)):
        for name in one:
            free = ~(crosses if name.startswith("wide.crosses") else values).held() if is_table(name) else None
            assert torch.equal(one[name], other[name]) if free is None else not other[name][torch.from_numpy(free)].any()
            if free is not None:
                assert torch.equal(one[name][torch.from_numpy(~free)], other[name][torch.from_numpy(~free)])


@settings(deadline=None)
@given(USERS.filter(lambda users: users.count(users[0]) > 1))
def test_a_free_row_goes_to_the_next_newcomer_who_starts_cold(users):
    before = bundle_of(users)
    after = without_users(before, "user", {digest_of(str(users[0]))})
    (row,) = np.flatnonzero(~after.vocabularies.values.held())
    newcomer = pa.table({"user": pa.array([99, 99], pa.int64()), "device": ["d0", "d0"]})
    grown = grow(after.vocabularies, newcomer, CONTRACT, DAY)
    assert grown.values.lookup("user", pa.array(["99"]))[0] == row
    assert grown.values.generations()[row] == before.vocabularies.values.generations()[row] + 1
    started, _ = warm_start(after, grown, Quantiles(), CONTRACT, 0)
    assert not started.weights["wide.values"][row]
    assert started.weights["embedding"][row].abs().max() <= 0.05


def test_a_model_with_a_free_row_is_stored_and_grows_in_width(tmp_path):
    after = without_users(bundle_of([1, 1, 2, 2]), "user", {digest_of("1")})
    save_bundle(after, tmp_path)
    again = load_bundle(tmp_path, optimizer=True)
    assert again.vocabularies.values.rows == after.vocabularies.values.rows
    wider = CONTRACT.model_copy(update={"model": CONTRACT.model.model_copy(update={"embedding": 3})})
    started, _ = warm_start(again, again.vocabularies, Quantiles(), wider, 0)
    assert started.weights["embedding"].shape[1] == 3


@pytest.mark.parametrize(
    ("column", "user", "theirs"),
    [
        (pa.array([7, 70, None], pa.int64()), "7", [True, False, False]),
        (pa.array(["7", "07", None]), "7", [True, False, False]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), "a", [True, False, True]),
        (pa.array([[1], [2], None]), "1", [False, False, False]),
        (pa.array(["ü", "u", ""]), "ü", [True, False, False]),
    ],
    ids=["integers", "text", "dictionary", "lists", "not ASCII"],
)
def test_a_user_is_known_by_the_text_of_the_key(column, user, theirs):
    assert rows_of_users(pa.chunked_array([column]), {digest_of(user)}).tolist() == theirs
