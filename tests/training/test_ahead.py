"""Items come in order, at most one is made ahead, and a fault comes where its item would have."""

import threading

import pytest

from widedeep.training.ahead import one_ahead


def test_items_come_in_order_made_by_another_thread():
    makers = []

    def items():
        for i in range(5):
            makers.append(threading.current_thread())
            yield i

    assert list(one_ahead(items())) == list(range(5))
    assert threading.current_thread() not in makers


def test_never_more_than_one_item_is_made_ahead():
    made = []

    def items():
        for i in range(5):
            made.append(i)
            yield i

    for item in one_ahead(items()):
        assert len(made) <= item + 2


def test_a_fault_comes_after_the_items_before_it():
    def items():
        yield 1
        raise OSError("disk")

    seen = []
    with pytest.raises(OSError, match="disk"):
        seen.extend(one_ahead(items()))
    assert seen == [1]
