"""A warm start carries what fits, initialises the rest, and says so."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
import torch

from widedeep.data.contract import Column, Cross, Ftrl, Label, Model, Training, VocabularyLimits
from widedeep.features.encoding import encode
from widedeep.features.growth import grow
from widedeep.model.forward import scores
from widedeep.model.specification import is_table, row_bytes
from widedeep.training import candidate
from widedeep.training.parts import learning_parts
from widedeep.training.profile import digest_of_sources, numeric_profile
from widedeep.training.warm_start import warm_start

DAY = date(2026, 1, 9)


def started(parent, contract, rows, seed=7):
    vocabularies = grow(parent.vocabularies, rows, contract, DAY)
    return warm_start(parent, vocabularies, parent.quantiles, contract, seed)


def test_everything_is_carried_and_new_rows_are_appended(make_contract, make_rows, learn):
    contract = make_contract()
    parent, _ = learn(None, contract, {0: make_rows(0)})
    child, report = started(parent, contract, make_rows(3))
    assert report.initialised == ()
    assert report.new_values > 0
    assert report.new_crosses > 0
    for name, old in (parent.weights | parent.optimizer).items():
        new = (child.weights | child.optimizer)[name]
        assert torch.equal(new[: len(old)], old), name
    assert torch.equal(child.weights["wide.values"][len(parent.vocabularies.values) :], torch.zeros(report.new_values))


def test_a_warm_start_alone_changes_no_score(make_contract, make_rows, learn):
    contract = make_contract()
    parent, _ = learn(None, contract, {0: make_rows(0)})
    child, _ = started(parent, contract, make_rows(0))
    one, other = (scores(b, encode(make_rows(0), b.vocabularies, b.quantiles, contract)) for b in (parent, child))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_embedding_starts_from_its_seed_feature_and_value_alone(make_contract, make_rows):
    contract = make_contract()
    first = grow_and_start(contract, [make_rows(0), make_rows(4)])
    other = grow_and_start(contract, [make_rows(4), make_rows(0)])
    rows = {(r["feature"], r["key"], r["oov"]): i for i, r in enumerate(other.vocabularies.values.rows.to_pylist())}
    places = [rows[r["feature"], r["key"], r["oov"]] for r in first.vocabularies.values.rows.to_pylist()]
    assert places != sorted(places)
    assert torch.equal(first.weights["embedding"], other.weights["embedding"][places])
    assert len(torch.unique(first.weights["embedding"], dim=0)) == len(places)


def grow_and_start(contract, tables):
    from widedeep.features.growth import Vocabularies
    from widedeep.features.quantiles import Quantiles

    vocabularies = Vocabularies.empty()
    for table in tables:
        vocabularies = grow(vocabularies, table, contract, DAY)
    return warm_start(None, vocabularies, Quantiles(), contract, 7)[0]


def test_a_recycled_row_starts_cold_and_every_other_one_is_carried_to_the_bit(make_contract, make_rows, learn):
    contract = make_contract(vocabulary=VocabularyLimits(evict_after_days=2))
    parent, _ = learn(None, contract, {0: make_rows(0, new_users=True)})
    child, report = started(parent, contract, make_rows(4, count=20, new_users=True))
    old, new = parent.vocabularies, child.vocabularies
    recycled = {"values": new.values.recycled_since(old.values), "crosses": new.crosses.recycled_since(old.crosses)}
    assert report.recycled_values == len(recycled["values"]) > 0
    assert report.recycled_crosses == len(recycled["crosses"]) > 0
    first = warm_start(None, new, parent.quantiles, contract, 7)[0]
    fresh, now = {**first.weights, **first.optimizer}, {**child.weights, **child.optimizer}
    for name, before in {**parent.weights, **parent.optimizer}.items():
        cold = recycled["crosses" if name.startswith("wide.crosses") else "values"] if is_table(name) else np.empty(0, int)
        kept = np.setdiff1d(np.arange(len(before)), cold)
        assert torch.equal(now[name][kept], before[kept]), name
        assert torch.equal(now[name][cold], fresh[name][cold]), name
    assert any(parent.optimizer["embedding.accumulator"][recycled["values"]].any(dim=1))


@pytest.mark.parametrize("parts", [("wide", "deep"), ("wide",), ("deep",)])
def test_the_cap_holds_to_the_byte_of_the_bundles_own_tables(make_contract, make_rows, learn, parts):
    model = Model(embedding=4, hidden=(8, 6), quantiles=4, parts=parts)
    bundle, room = None, {}
    for cap in (None, 500, 501):
        limits = VocabularyLimits(max_bytes=cap, evict_after_days=2)
        contract = make_contract(model=model, vocabulary=limits)
        for day in (0, 1, 5):
            bundle, report = learn(bundle if day else None, contract, {day: make_rows(day, new_users=True)})
            tensors = {**bundle.weights, **bundle.optimizer}
            used = sum(tensor.nbytes for name, tensor in tensors.items() if is_table(name))
            assert report.parts[0].growth.table_bytes == used
            assert cap is None or used <= cap
            room[cap] = used
    assert room[None] > 501
    assert room[500] > 500 - row_bytes(bundle.specification).value


def test_boundaries_that_were_fitted_on_few_values_are_told_of_when_they_are_frozen_and_not_again(
    make_contract, make_rows, learn, monkeypatch
):
    rows, contract = make_rows(0), make_contract()
    values = 60 - rows["age"].null_count
    first, report = learn(None, contract, {0: rows})
    assert report.fitted == first.quantiles.fitted_on == {"age": values}
    (warning,) = report.warnings()
    assert f"few values (age: {values}), wanted 50,000" in warning
    second, later = learn(first, contract, {1: make_rows(1)})
    assert (second.quantiles, later.fitted, list(later.warnings())) == (first.quantiles, {}, [])
    monkeypatch.setattr(candidate, "ENOUGH", values)
    assert list(report.warnings()) == []


def test_a_model_without_a_wide_part_counts_no_crosses_and_has_none_refused(make_contract, make_rows, learn):
    deep = Model(embedding=4, hidden=(8, 6), quantiles=4, parts=("deep",))
    contract = make_contract(model=deep, vocabulary=VocabularyLimits(max_bytes=500))
    bundle, report = learn(None, contract, {0: make_rows(0)})
    assert (len(bundle.vocabularies.crosses), len(bundle.vocabularies.crosses.waiting)) == (0, 0)
    assert report.parts[0].growth.refused_values > 0
    assert report.parts[0].coverage.unseen_cross_share is None
    full, report = learn(None, make_contract(vocabulary=VocabularyLimits(max_bytes=600)), {0: make_rows(0)})
    assert report.parts[0].growth.refused_crosses > 0
    _, report = learn(full, contract, {1: make_rows(1)})
    assert report.parts[0].growth.refused_crosses == 0


def test_a_wide_part_that_is_switched_off_and_on_again_starts_cold_and_counts_its_crosses_anew(make_contract, make_rows, learn):
    both, deep = make_contract(), make_contract(model=Model(embedding=4, hidden=(8, 6), quantiles=4, parts=("deep",)))
    first, _ = learn(None, both, {0: make_rows(0)})
    off, report = learn(first, deep, {3: make_rows(3)})
    assert {"wide.crosses: no longer part of the model", "input 'AND(tags,what)': no longer read"} <= set(
        report.warm_start.initialised
    )
    assert off.vocabularies.crosses.rows == first.vocabularies.crosses.rows
    on, report = started(off, both, make_rows(3))
    assert report.initialised == (
        "input 'AND(tags,what)': new",
        f"wide.crosses: parent has none, wanted ({len(on.vocabularies.crosses)},)",
        f"wide.values: parent has none, wanted ({len(on.vocabularies.values)},)",
    )
    assert report.new_crosses > 0
    assert not any(tensor.any() for name, tensor in {**on.weights, **on.optimizer}.items() if name.startswith("wide."))
    assert torch.equal(on.weights["hidden.0.weight"], off.weights["hidden.0.weight"])


def test_an_added_feature_carries_the_old_inputs_and_is_reported(make_contract, make_rows, learn):
    parent, _ = learn(None, make_contract(), {0: make_rows(0)})
    columns = make_contract().columns | {"city": Column(type="string", role="categorical")}
    rows = make_rows(0).append_column("city", pa.array(["rome", "oslo"] * 30))
    child, report = started(parent, make_contract(columns=columns), rows)
    assert report.initialised == ("input 'city': new",)
    old, new = parent.specification.input_columns(), child.specification.input_columns()
    for name in old:
        for tensors, before in ((child.weights, parent.weights), (child.optimizer, parent.optimizer)):
            layer = "hidden.0.weight" if tensors is child.weights else "hidden.0.weight.accumulator"
            assert torch.equal(tensors[layer][:, list(new[name])], before[layer][:, list(old[name])])
    assert child.optimizer["hidden.0.weight.accumulator"][:, list(new["city"])].count_nonzero() == 0
    assert child.weights["hidden.0.weight"][:, list(new["city"])].count_nonzero() > 0


def test_a_column_that_changes_its_role_is_a_new_input_even_if_it_is_as_wide_as_before(make_contract, make_rows, learn):
    narrow = {"model": Model(embedding=2, hidden=(8, 6), quantiles=4), "crosses": ()}
    contract = make_contract(**narrow, columns=make_contract().columns | {"what": Column(type="integer", role="numeric")})
    parent, _ = learn(None, make_contract(**narrow), {0: make_rows(0)})
    child, report = started(parent, contract, make_rows(0))
    assert report.initialised == ("input 'what': parent has categorical of width 2, wanted numeric of width 2",)
    old, new = parent.specification.input_columns(), child.specification.input_columns()
    layer, accumulator = child.weights["hidden.0.weight"], child.optimizer["hidden.0.weight.accumulator"]
    fresh = grow_and_start(contract, [make_rows(0)]).weights["hidden.0.weight"]
    assert torch.equal(layer[:, list(new["what"])], fresh[:, list(new["what"])])
    assert not accumulator[:, list(new["what"])].any()
    for name in ("who", "tags", "age"):
        assert torch.equal(layer[:, list(new[name])], parent.weights["hidden.0.weight"][:, list(old[name])]), name


def test_a_renamed_feature_starts_anew_under_its_new_name_and_the_others_are_carried(make_contract, make_rows, learn):
    parent, _ = learn(None, make_contract(), {0: make_rows(0)})
    columns = {"which" if name == "what" else name: column for name, column in make_contract().columns.items()}
    contract = make_contract(columns=columns, crosses=(Cross(of=("tags", "which")),))
    rows = make_rows(0).rename_columns(["which" if name == "what" else name for name in make_rows(0).column_names])
    child, report = started(parent, contract, rows)
    assert report.initialised == (
        "input 'AND(tags,what)': no longer read",
        "input 'AND(tags,which)': new",
        "input 'what': no longer read",
        "input 'which': new",
    )
    assert set(report.carried) == set(parent.weights)
    old, new = parent.specification.input_columns(), child.specification.input_columns()
    layer = child.weights["hidden.0.weight"]
    for name in ("who", "tags", "age"):
        assert torch.equal(layer[:, list(new[name])], parent.weights["hidden.0.weight"][:, list(old[name])]), name
    assert not torch.equal(layer[:, list(new["which"])], parent.weights["hidden.0.weight"][:, list(old["what"])])
    renamed = [i for i, row in enumerate(child.vocabularies.values.rows.to_pylist()) if row["feature"] == "which"]
    assert renamed == list(range(len(parent.vocabularies.values), len(child.vocabularies.values)))
    assert not child.weights["wide.values"][renamed].any()
    assert torch.equal(child.weights["embedding"][: renamed[0]], parent.weights["embedding"])


def test_an_added_cross_starts_at_zero_and_everything_else_is_carried_to_the_bit(make_contract, make_rows, learn):
    parent, _ = learn(None, make_contract(), {0: make_rows(0)})
    contract = make_contract(crosses=(Cross(of=("tags", "what")), Cross(of=("who", "what"))))
    child, report = started(parent, contract, make_rows(0))
    assert report.initialised == ("input 'AND(who,what)': new",)
    assert set(report.carried) == set(parent.weights)
    features = child.vocabularies.crosses.rows["feature"].to_pylist()[len(parent.vocabularies.crosses) :]
    assert set(features) == {"AND(who,what)"}
    assert len(features) == report.new_crosses
    for name, old in {**parent.weights, **parent.optimizer}.items():
        new = {**child.weights, **child.optimizer}[name]
        assert torch.equal(new[: len(old)], old), name
        assert not new[len(old) :].any(), name


def test_a_dropped_feature_keeps_its_rows_but_is_no_longer_read(make_contract, make_rows, learn):
    parent, _ = learn(None, make_contract(), {0: make_rows(0)})
    columns = {n: c for n, c in make_contract().columns.items() if n != "tags"}
    child, report = learn(parent, make_contract(columns=columns, crosses=()), {1: make_rows(1).drop_columns("tags")})
    assert "input 'tags': no longer read" in report.warm_start.initialised
    assert "input 'AND(tags,what)': no longer read" in report.warm_start.initialised
    assert len(child.vocabularies.values) >= len(parent.vocabularies.values)
    assert torch.equal(child.weights["wide.crosses"], parent.weights["wide.crosses"])


def test_an_older_model_reads_its_own_features_under_a_newer_contract(make_contract, make_rows, learn):
    parent, _ = learn(None, make_contract(), {0: make_rows(0)})
    columns = {n: c for n, c in make_contract().columns.items() if n != "tags"}
    newer = make_contract(columns=columns, crosses=())
    one, other = (encode(make_rows(1), parent.vocabularies, parent.quantiles, c) for c in (make_contract(), newer))
    assert (scores(parent, one) == scores(parent, other)).all()


@pytest.mark.parametrize(
    ("model", "lost"),
    [
        (Model(embedding=4, hidden=(8, 5), quantiles=4), {"hidden.1.weight", "hidden.1.bias", "output.weight"}),
        (Model(embedding=3, hidden=(8, 6), quantiles=4), {"embedding"}),
        (Model(embedding=4, hidden=(9, 6), quantiles=4), {"hidden.0.weight", "hidden.0.bias", "hidden.1.weight"}),
        (Model(embedding=4, hidden=(), quantiles=4), {"output.weight"}),
    ],
)
def test_a_resized_model_carries_what_fits_trains_and_reports_the_rest(make_contract, make_rows, learn, model, lost):
    parent, _ = learn(None, make_contract(), {0: make_rows(0)})
    child, report = learn(parent, make_contract(model=model), {1: make_rows(1)})
    assert lost <= {line.split(":")[0] for line in report.warm_start.initialised}
    assert lost.isdisjoint(report.warm_start.carried)
    assert {"wide.values", "bias"} <= set(report.warm_start.carried)
    assert child.specification.hidden == model.hidden


def test_changed_ftrl_settings_keep_the_weights(make_contract, make_rows, learn):
    parent, _ = learn(None, make_contract(training=Training(ftrl=Ftrl(l1=0.1))), {0: make_rows(0)})
    child, report = started(parent, make_contract(training=Training(ftrl=Ftrl(alpha=0.5, l1=0.7))), make_rows(0))
    assert report.initialised == ("FTRL settings changed: z re-derived, so that the weights stay",)
    assert torch.equal(child.weights["wide.values"][: len(parent.weights["wide.values"])], parent.weights["wide.values"])
    assert not torch.equal(
        child.optimizer["wide.values.z"][: len(parent.weights["wide.values"])], parent.optimizer["wide.values.z"]
    )


def test_under_changed_ftrl_settings_a_gradient_of_zero_moves_no_weight_and_the_bias_knows_no_l1(make_contract, make_rows, learn):
    parent, _ = learn(None, make_contract(training=Training(ftrl=Ftrl(l1=0.1))), {0: make_rows(0)})
    changed = Training(ftrl=Ftrl(alpha=0.5, l1=0.7))
    child, _ = started(parent, make_contract(training=changed), make_rows(0))
    tensors = {**child.weights, **child.optimizer}
    assert all(tensors[name].any() for name in ("bias", "wide.values", "wide.crosses"))
    rows = encode(make_rows(0), child.vocabularies, parent.quantiles, make_contract())
    for part in learning_parts(tensors, changed, torch.device("cpu"))[:2]:
        part.logits(rows)
        part.learn(torch.zeros(len(rows)), len(rows))
        for name in part.tensors().keys() & child.weights.keys():
            torch.testing.assert_close(part.tensors()[name], child.weights[name], rtol=1e-5, atol=1e-7, msg=name)


def test_a_batch_of_one_unseen_user_trains(make_contract, make_rows, learn):
    parent, _ = learn(None, make_contract(), {0: make_rows(0)})
    child, report = learn(parent, make_contract(), {1: make_rows(1, count=1, new_users=True)})
    assert report.rows == report.steps == 1
    assert child.vocabularies.values.lookup("who", make_rows(1, count=1, new_users=True)["who"].combine_chunks())[0] == -1


def test_a_span_of_unseen_users_only_and_a_span_without_rows_train(make_contract, make_rows, learn):
    parent, _ = learn(None, make_contract(), {0: make_rows(0)})
    child, report = learn(parent, make_contract(), {1: make_rows(1, new_users=True), 2: make_rows(2).slice(0, 0)})
    assert report.parts[0].coverage.oov_share > 0.2
    assert (report.parts[1].rows, report.parts[1].log_loss) == (0, None)
    assert len(child.vocabularies.values) > len(parent.vocabularies.values)


def test_parts_are_learnt_in_date_order_however_they_are_given(make_contract, make_rows, learn):
    one, _ = learn(None, make_contract(), {0: make_rows(0), 1: make_rows(1)})
    other, report = learn(None, make_contract(), {1: make_rows(1), 0: make_rows(0)})
    assert [p.part.span.day for p in report.parts] == [1, 2]
    assert torch.equal(one.weights["embedding"], other.weights["embedding"])


def test_a_contract_of_another_shape_trains(make_contract, learn):
    columns = {
        "shopper": Column(type="integer", role="categorical"),
        "member": Column(type="boolean", role="categorical", nullable=True),
        "price": Column(type="number", role="numeric", nullable=True),
        "clicked": Column(type="integer"),
        "when": Column(type="timestamp"),
    }
    shape = {"user": "shopper", "time": "when", "label": Label(column="clicked"), "crosses": (Cross(of=("shopper", "member")),)}
    contract = make_contract(columns=columns, **shape)
    rows = pa.table(
        {
            "shopper": [1, 2, 1],
            "member": [True, None, False],
            "price": [None, float("nan"), None],
            "clicked": [1, 0, 1],
            "when": [0] * 3,
        },
    )
    bundle, report = learn(None, contract, {0: rows, 1: rows})
    assert report.rows == 6
    assert bundle.quantiles.boundaries == {}
    assert np.isfinite(scores(bundle, encode(rows, bundle.vocabularies, bundle.quantiles, contract))).all()


def test_the_profile_names_what_the_bytes_depend_on():
    profile = numeric_profile(Training(threads=2))
    assert (profile.engine, profile.threads, profile.torch) == ("compiled", 2, torch.__version__)
    assert profile.instruction_set.split()[0] == torch.backends.cpu.get_cpu_capability()


def test_the_source_digest_covers_every_byte_and_name(tmp_path):
    def digest(files):
        for path in tmp_path.rglob("*.py"):
            path.unlink()
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return digest_of_sources(tmp_path)

    variants = [
        {"__init__.py": "", "a.py": "x"},
        {"__init__.py": "", "a.py": "y"},
        {"__init__.py": "", "b.py": "x"},
        {"__init__.py": "x", "a.py": ""},
    ]
    digests = [digest(files) for files in variants]
    assert len(set(digests)) == len(digests)
    assert digest(variants[0]) == digests[0]
