"""What is written once is read once; listings grow old, and nobody waits for a new one who can do with the last."""

import pytest

from widedeep.errors import IntegrityError, StoreUnavailableError
from widedeep.publishing.memory import MemoryStore
from widedeep.views.shelf import FRESH_S, STALE_S, Shelf, Unreadable


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Store(MemoryStore):
    def __init__(self):
        super().__init__()
        self.asked = []
        self.down = False

    def get(self, key):
        self.asked.append(key)
        return super().get(key)

    def listed(self, prefix):
        self.asked.append(prefix)
        if self.down:
            raise StoreUnavailableError("no answer")
        return super().listed(prefix)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def shelf(store, clock):
    return Shelf(store, clock=clock, most=3)


def settle(shelf):
    """Wait for what is listed behind everybody's back."""
    for _ in range(2):
        shelf._behind.submit(lambda: None).result()
    shelf._behind.shutdown(wait=True)


def text(data):
    if data == b"damaged":
        raise IntegrityError("not as written")
    return data.decode()


def test_an_object_is_read_once(shelf, store):
    store.create("a", b"1")
    assert [shelf.value("a", text), shelf.value("a", text)] == ["1", "1"]
    assert store.asked == ["a"]


def test_what_is_not_there_or_damaged_is_looked_for_again(shelf, store):
    assert shelf.value("a", text) is None
    store.create("a", b"damaged")
    assert shelf.value("a", text) == Unreadable("a")
    store.objects["a"] = b"1"
    assert shelf.value("a", text) == "1"


def test_no_more_is_kept_than_was_allowed_and_what_was_used_last_stays(shelf, store):
    for key in "abcd":
        store.create(key, b"1")
    for key in "abcad":
        shelf.value(key, text)
    store.asked.clear()
    assert [shelf.value(key, text) for key in "acdb"] == ["1"] * 4
    assert store.asked == ["b"]


def test_a_listing_is_made_again_once_it_is_old_and_until_then_nobody_waits(shelf, store, clock):
    assert shelf.keys("a") == ()
    store.create("a", b"1")
    clock.now += FRESH_S
    assert shelf.keys("a") == ()
    clock.now += 1
    assert shelf.keys("a") == ()  # the old one, at once
    settle(shelf)
    assert shelf.keys("a") == ("a",)


def test_nobody_is_shown_a_listing_that_is_too_old(shelf, store, clock):
    assert shelf.keys("a") == ()
    store.create("a", b"1")
    clock.now += FRESH_S + STALE_S + 1
    assert shelf.keys("a") == ("a",)


def test_a_store_that_is_down_is_told_to_who_has_to_wait_for_it(shelf, store, clock):
    store.create("a", b"1")
    assert shelf.keys("a") == ("a",)
    store.down = True
    clock.now += FRESH_S + 1
    assert shelf.keys("a") == ("a",)
    settle(shelf)
    clock.now += STALE_S
    with pytest.raises(StoreUnavailableError):
        shelf.keys("a")
