"""A contract is read whole or refused whole, with every mistake in the answer."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from widedeep.data.contract import AdaGrad, Contract, Ftrl, load_contract
from widedeep.errors import ContractError

GOOD = {
    "name": "shop",
    "user": "customer",
    "time": "at",
    "label": {"column": "clicked"},
    "columns": {
        "customer": {"type": "string", "role": "categorical", "of": "user"},
        "at": {"type": "timestamp"},
        "clicked": {"type": "boolean"},
        "price": {"type": "number", "role": "numeric", "range": [0, 100]},
        "country": {"type": "string", "role": "categorical"},
    },
    "crosses": [{"of": ["customer", "country"]}],
    "split": {"salt": "s"},
    "gate": {"margin": 0.01},
}


def _changed(**changes):
    """GOOD with dotted places changed; None takes a key away."""
    document = yaml.safe_load(yaml.safe_dump(GOOD))
    for place, value in changes.items():
        *path, last = place.split("__")
        here = document
        for key in path:
            here = here[int(key)] if isinstance(here, list) else here[key]
        if value is None:
            del here[last]
        else:
            here[last] = value
    return document


def _refusal(tmp_path: Path, document) -> str:
    path = tmp_path / "contract.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    with pytest.raises(ContractError) as refused:
        load_contract(path)
    return str(refused.value)


def test_a_good_contract_is_read(tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    contract = load_contract(path)
    assert contract.with_role("categorical") == ("country", "customer")
    assert contract.crosses[0].name == "AND(customer,country)"


@pytest.mark.parametrize(
    "path", sorted(Path("dags/contracts").glob("*.yaml")) + sorted(Path("tests/contracts").glob("*.yaml")), ids=str
)
def test_the_contracts_of_this_repository_are_good(path):
    assert load_contract(path).name == path.stem


def test_three_mistakes_of_different_kinds_are_all_listed_with_their_places(tmp_path):
    text = _refusal(tmp_path, _changed(model={"hiden": [8]}, user="custmer", columns__price__type="string"))
    assert "3 problems" in text or "4 problems" in text
    assert "model.hiden: unknown key; did you mean 'hidden'?" in text
    assert "user: column 'custmer' is not in columns; did you mean 'customer'?" in text
    assert "columns.price.role: numeric wants type boolean or integer or number, got string" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gate": {}}, "gate.margin: is missing; add it"),
        (
            {"training": {"processes": 3}},
            "training.processes: got 3, but engine local learns in one: set training.engine to torchrec",
        ),
        ({"training": {"engine": "torchrec", "device": "cuda"}}, "training.device: got cuda, but engine torchrec learns on CPUs"),
        ({"columns__price__typ": "number"}, "columns.price.typ: unknown key; did you mean 'type'?"),
        ({"crosses__0__count": 2}, "crosses.0.count: unknown key; did you mean 'min_count'?"),
        ({"split__holdout_share": 0.5}, "split.holdout_share: got 0.5;"),
        ({"columns__price__role": "nominal"}, "columns.price.role: got 'nominal'; it should be 'categorical'"),
        ({"crosses__0__of": ["customer", "price"]}, "crosses.0.of: column 'price' has role numeric"),
        ({"crosses": [{"of": ["customer", "country"]}] * 2}, "crosses.1.of: ['customer', 'country'] stands there twice"),
        ({"columns__clicked__role": "numeric"}, "columns.clicked.role: it is the label"),
        (
            {"columns__clicked__type": "string"},
            "label.column: column 'clicked' has type string, wanted boolean or integer or number",
        ),
        ({"label__at_least": 1}, "label.at_least: column 'clicked' is boolean already"),
        ({"columns__at__type": "integer"}, "time: column 'at' has type integer, wanted timestamp"),
        ({"columns__customer__nullable": True}, "user: column 'customer' is nullable"),
        ({"columns__price__range": [9, 1]}, "columns.price.range: got [9, 1], wanted the lower limit first"),
        ({"columns__price__allowed": ["a"]}, "columns.price.allowed: is for type list or string, got number"),
        ({"checks": {"label_rate": [0.9, 0.1]}}, "checks.label_rate: got [0.9, 0.1], wanted the lower limit first"),
        ({"delivery": {"prefix": "landing/"}}, "delivery.prefix: got 'landing/', wanted {span} in it"),
        (
            {"delivery": {"prefix": "in/{span}/{hour}/"}},
            "delivery.prefix: got 'in/{span}/{hour}/', wanted no braces but those of",
        ),
        ({"delivery": {"prefix": "in/{span}/{"}}, "delivery.prefix: got 'in/{span}/{', wanted no braces but those of {span}"),
        (
            {"delivery": {"prefix": "spans/{span}/"}},
            "delivery.prefix: got 'spans/{span}/', but claimed, contracts, decisions, doctor, erasures, evidence,",
        ),
        ({"model": {"parts": []}}, "model.parts: got []"),
        ({"user": ["customer"]}, "user: got ['customer']"),
        ({"columns": None}, "columns: is missing"),
        ({"columns": ["customer"]}, "columns: got ['customer']"),
        (
            {"columns__country__role": "weight"},
            "columns.country.role: weight wants type integer or number, got string",
        ),
        (
            {"columns__price__role": "weight", "columns__sampled": {"type": "integer", "role": "weight"}},
            "columns.sampled.role: weight is the role of 'price' already",
        ),
        (
            {"columns__price": {"type": "number", "role": "weight", "nullable": True}},
            "columns.price.nullable: it is the weight, which must be known for every row",
        ),
        ({"crosses__0__of": ["customer", "price"], "columns__price__role": "weight"}, "column 'price' has role weight"),
        (
            {"crosses": [], "columns__customer__role": None, "columns__country__role": None, "columns__price__role": "weight"},
            "columns: none has a role, so there is nothing to learn from",
        ),
        ({"training": {"negative_rate": 0}}, "training.negative_rate: got 0; it should be greater than 0"),
        ({"training": {"negative_rate": 1.5}}, "training.negative_rate: got 1.5; it should be less than or equal to 1"),
        (
            {"training": {"adagrad": {"epsilon": 1e-46}}},
            "training.adagrad.epsilon: got 1e-46; it should be greater than or equal to",
        ),
        ({"training": {"half_life_days": float("inf")}}, "training.half_life_days: got inf; it should be a finite number"),
        ({"columns__price__range": [0, float("inf")]}, "columns.price.range.1: got inf; it should be a finite number"),
    ],
    ids=str,
)
def test_a_mistake_is_answered_with_place_got_and_wanted(tmp_path, changes, said):
    assert said in _refusal(tmp_path, _changed(**changes))


RATES = [(AdaGrad, name) for name in AdaGrad.model_fields] + [(Ftrl, "alpha"), (Ftrl, "beta")]


@pytest.mark.parametrize(
    ("section", "setting", "value"),
    [(*rate, value) for rate in RATES for value in (0.0, -1.0, 1e-46, 1e39, float("inf"), float("nan"))]
    + [(Ftrl, name, value) for name in ("l1", "l2") for value in (-1.0, 1e39, float("inf"), float("nan"))],
)
def test_an_optimizers_setting_that_float32_can_not_reckon_with_is_refused(section, setting, value):
    with pytest.raises(ValidationError, match=setting):
        section(**{setting: value})


def test_a_mistake_in_code_is_refused_like_one_in_a_file():
    with pytest.raises(ValidationError, match="column 'nobody' is not in columns"):
        Contract.model_validate(_changed(user="nobody"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "not valid YAML"),
        ("- 1", "wanted keys and values"),
        ("", "wanted keys and values"),
        ("name: a\nname: b", "key 'name' is given twice"),
        ("columns:\n  a: {type: string}\n  a: {type: integer}", "key 'a' is given twice"),
    ],
)
def test_what_is_not_a_contract_at_all_is_refused_with_its_path(tmp_path, text, said):
    answer = _refusal(tmp_path, text)
    assert said in answer
    assert "contract.yaml" in answer


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ContractError, match=r"nowhere.yaml: can't be read .* Set WIDEDEEP_CONTRACT"):
        load_contract(tmp_path / "nowhere.yaml")


def test_margins_and_checks_leave_the_training_digest_alone_and_the_model_does_not():
    base = Contract.model_validate(GOOD)
    assert Contract.model_validate(_changed(gate__margin=0.5)).training_digest == base.training_digest
    assert Contract.model_validate(_changed(columns__price__range=[0, 5])).training_digest == base.training_digest
    assert Contract.model_validate(_changed(model={"hidden": [8]})).training_digest != base.training_digest
    assert Contract.model_validate(_changed(split__salt="t")).split_digest != base.split_digest


def test_a_weight_is_no_feature_and_shapes_the_payload_as_the_negative_rate_does():
    base, weighted = Contract.model_validate(GOOD), Contract.model_validate(_changed(columns__price__role="weight"))
    assert (base.weight, weighted.weight) == (None, "price")
    assert weighted.with_role("numeric") == ()
    assert weighted.training_digest != base.training_digest
    assert weighted.checks_digest != base.checks_digest
    assert Contract.model_validate(_changed(training={"negative_rate": 0.5})).training_digest != base.training_digest


def test_slices_name_features_or_one_of_the_known_groups_each_once():
    good = [{"of": "new users"}, {"of": "country", "top": 3}]
    assert Contract.model_validate(_changed(gate__slices=good)).gate.slices[1].top == 3
    with pytest.raises(ValidationError, match=r"gate.slices.0.of: column 'price' has role numeric; wanted a categorical"):
        Contract.model_validate(_changed(gate__slices=[{"of": "price"}]))
    with pytest.raises(ValidationError, match=r"gate.slices.0.of: got 'nobodies'"):
        Contract.model_validate(_changed(gate__slices=[{"of": "nobodies"}]))
    with pytest.raises(ValidationError, match=r"gate.slices.1.of: 'country' stands there twice"):
        Contract.model_validate(_changed(gate__slices=[{"of": "country"}, {"of": "country", "top": 2}]))
