"""The warm-start debt: a chain that was made worse on purpose owes its twin much, an ordinary one does not; and all of it converges."""

from dataclasses import replace

import pyarrow.compute as pc
import pytest

from tests.steps.conftest import shop_span
from widedeep.artifacts import LIVE
from widedeep.publishing.pointer import champion
from widedeep.steps import audit, run_span


def hardly_learning(contract):
    """The contract of somebody whose steps are so small that the chain stays what it was, with a gate that lets that pass."""
    steps = {"learning_rate": 1e-6, "embedding_learning_rate": 1e-6}
    adagrad, ftrl = contract.training.adagrad.model_copy(update=steps), contract.training.ftrl.model_copy(update={"alpha": 1e-6})
    open_gate = {"slices": (), "anchor_days": None, "calibration": (0.01, 100.0), "auc_at_least": 0.0, "ne_at_most": 100.0}
    return contract.model_copy(
        update={
            "training": contract.training.model_copy(update={"adagrad": adagrad, "ftrl": ftrl}),
            "gate": contract.gate.model_copy(update=open_gate),
        }
    )


def turned(rows):
    """What was clicked is not, and the other way round."""
    return rows.set_column(rows.column_names.index("clicked"), "clicked", pc.invert(rows["clicked"]))


def with_audit(chain, **changed):
    audits_by = chain.place.contract.audit.model_copy(update=changed)
    return replace(chain.place, contract=chain.place.contract.model_copy(update={"audit": audits_by}))


def go_on(chain, n, rows=lambda rows: rows, place=None):
    chain.deliver(n, rows(shop_span(chain.day(n), 1500)))
    assert run_span(place or chain.place, chain.day(n)).result == "promoted"


@pytest.fixture
def ordinary(quick):
    for n in (3, 4):
        go_on(quick, n)
    return quick


def test_an_ordinary_chain_is_not_shown_to_owe_more_than_the_limit(ordinary):
    found = audit(ordinary.place)
    pointer = champion(ordinary.place.store, LIVE)
    print(found.told())
    assert (found.release_id, found.span, found.over) == (pointer.release_id, ordinary.day(4), False)
    assert (found.since, found.spans, found.rows) == (ordinary.day(0), 5, 3 * 600 + 2 * 1500)
    assert [(part.span, part.part) for part in found.holdout] == [(ordinary.day(4), "holdout")]
    assert found.debt.estimate == pytest.approx(found.metrics.log_loss - found.twin_metrics.log_loss)
    assert found.debt.lower < found.debt.estimate < found.debt.upper


@pytest.fixture
def indebted(quick):
    """The world turns over, and the chain hardly learns it."""
    for n in (3, 4, 5):
        go_on(quick, n, turned, replace(quick.place, contract=hardly_learning(quick.place.contract)))
    return quick


def test_a_chain_that_was_made_worse_on_purpose_owes_more_than_the_limit(indebted):
    found = audit(indebted.place)
    print(found.told())
    assert found.over
    assert found.debt.lower > found.limit == 0.01
