"""A person hears of a span from the run that has settled it, and from no other."""

from dataclasses import replace
from datetime import timedelta

import pytest

from widedeep.artifacts import LIVE
from widedeep.steps import news, run_span

BEGAN = timedelta(hours=-1)


@pytest.fixture
def quarantined(quick):
    """The chain with its fourth day quarantined, and the progress of the run that did so."""
    quick.deliver(3, data=b"PAR1 and then nothing")
    quick.ended = run_span(quick.place, quick.day(3))
    assert quick.ended.result == "quarantined"
    return quick


def heard(chain, *, place=None, began=BEGAN, **progress):
    found = news(place or chain.place, chain.ended.model_copy(update=progress), chain.place.clock() + began)
    return found and (found.span, found.result)


def test_the_run_that_settles_a_span_tells_it_and_so_does_its_next_try(quarantined):
    assert [heard(quarantined), heard(quarantined)] == [(quarantined.day(3), "quarantined")] * 2


def test_another_run_tells_nothing_nor_does_the_same_one_when_it_is_cleared(quarantined):
    assert heard(quarantined, place=replace(quarantined.place, actor="another")) is None
    assert heard(quarantined, began=timedelta(seconds=1)) is None


def test_nobody_hears_of_other_lanes_and_of_what_needs_nobody(quarantined):
    assert heard(quarantined, lane="replay") is None
    quarantined.deliver(4)
    quarantined.ended = run_span(quarantined.place, quarantined.day(4))
    assert (quarantined.ended.result, quarantined.ended.lane, heard(quarantined)) == ("promoted", LIVE, None)
