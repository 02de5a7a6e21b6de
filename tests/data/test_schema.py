"""The JSON Schema that editors use: up to date, silent about nothing, and of one mind with `load_contract`."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from widedeep.data.contract import Column, Contract
from widedeep.data.limits import Drastic, Late
from widedeep.data.schema import contract_schema, meaning

SCHEMA = Path("dags/contracts/contract.schema.json")
CONTRACTS = sorted(Path("dags/contracts").glob("*.yaml")) + sorted(Path("tests/contracts").glob("*.yaml"))


def test_the_schema_beside_the_contracts_is_that_of_the_code():
    assert json.loads(SCHEMA.read_text()) == contract_schema(), "the contract has changed: run `make schema` and commit the file"


def test_the_schema_says_something_of_every_key():
    schema = contract_schema()
    silent = [
        f"{name}.{key}"
        for name, section in {"Contract": schema, **schema["$defs"]}.items()
        for key, entry in section["properties"].items()
        if not entry.get("description") and "$ref" not in entry
    ]
    assert silent == [], "say in the section's docstring what they mean, as `key: what it is.` or in a sentence with `key`"


@pytest.mark.parametrize(
    ("section", "key", "said"),
    [
        (Drastic, "volume", "ratios to those of the reference."),
        (Drastic, "patience", "how long the question stands; then the answer is no."),
        (Column, "range", "`range` is inclusive."),
        (Contract, "key", "columns that together name an example, which is there once."),
    ],
)
def test_what_a_key_means_is_taken_from_its_sections_docstring(section, key, said):
    assert meaning(section, key) == said


def test_a_sentence_about_several_keys_is_told_at_each_of_them():
    assert "reject takes them to quarantine" in meaning(Late, "rows")
    assert meaning(Column, "regex") == meaning(Column, "max_length") != meaning(Column, "range")


@pytest.mark.parametrize("path", CONTRACTS, ids=str)
def test_good_contracts_fit_the_schema(path):
    Draft202012Validator(contract_schema()).validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "mistake",
    [
        {"colour": "blue"},
        {"gate": {"margin": -1}},
        {"columns": {"age": {"type": "int"}}},
        {"split": {"salt": "s", "holdout_share": 0.5}},
        {"checks": {"rows": [1, 2, 3]}},
    ],
)
def test_an_editor_sees_what_is_wrong_with_one_key(mistake):
    good = yaml.safe_load(CONTRACTS[0].read_text())
    assert not Draft202012Validator(contract_schema()).is_valid(good | mistake)


@pytest.mark.parametrize("path", sorted(Path("dags/contracts").glob("*.yaml")), ids=str)
def test_editors_find_the_schema_by_the_first_line_of_a_contract(path):
    assert path.read_text().startswith("# yaml-language-server: $schema=contract.schema.json\n")
