"""Only a chain's first release may learn its rows more than once."""

from datetime import date, timedelta

import torch

from widedeep.artifacts import Part
from widedeep.data.contract import Training
from widedeep.features.encoding import encode
from widedeep.training.candidate import _shuffle_seed
from widedeep.training.loop import retrain

SEED = 7


def test_a_first_release_of_two_passes_is_one_that_learns_the_same_rows_again(make_contract, make_rows, learn):
    once, twice = (make_contract(training=Training(batch_size=16, bootstrap_passes=n)) for n in (1, 2))
    days = {0: make_rows(0), 1: make_rows(1)}
    first, told = learn(None, once, days, SEED)
    wanted = first
    for day, rows in days.items():
        part = Part(span=date(2026, 1, 1) + timedelta(days=day), version=1, digest="0" * 64, part="train")
        encoded = encode(rows, first.vocabularies, first.quantiles, once)
        wanted = retrain(wanted, encoded, once.training, _shuffle_seed(SEED + 1, part), lambda *_: None)
    got, told_twice = learn(None, twice, days, SEED)
    assert all(torch.equal(got.weights[name], tensor) for name, tensor in wanted.weights.items())
    assert not torch.equal(got.weights["embedding"], first.weights["embedding"])
    assert (told_twice.rows, told_twice.log_loss, told_twice.parts) == (told.rows, told.log_loss, told.parts)
    assert told_twice.steps == 2 * told.steps


def test_a_warm_start_learns_in_one_pass_whatever_the_first_release_did(make_contract, make_rows, learn):
    parent, _ = learn(None, make_contract(), {0: make_rows(0)})
    children = [
        learn(parent, make_contract(training=Training(batch_size=16, bootstrap_passes=n)), {1: make_rows(1)})[0] for n in (1, 3)
    ]
    assert all(torch.equal(children[0].weights[name], tensor) for name, tensor in children[1].weights.items())
