"""A run works on no store that was not examined; one that is safe is examined once a week and for each change of settings."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from widedeep.config import Settings
from widedeep.data.contract import load_contract
from widedeep.errors import StoreUnavailableError, UnsafeStoreError
from widedeep.publishing import doctor
from widedeep.publishing.memory import MemoryStore
from widedeep.steps import Workplace, examine_store, require_safe_store

CONTRACT = Path(__file__).parents[1] / "contracts" / "shop.yaml"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Unsafe(MemoryStore):
    """Lets everybody win."""

    def create(self, key, data):
        super().create(key, data)
        return True


class Silent(MemoryStore):
    """Answers no creation."""

    def create(self, *_):
        raise StoreUnavailableError("no answer")


@pytest.fixture
def races(monkeypatch):
    """How often writers were raced."""
    raced = []
    race = doctor._race
    monkeypatch.setattr(doctor, "_race", lambda attempt: raced.append(1) or race(attempt))
    return raced


@pytest.fixture
def workplace(tmp_path):
    def at(store, now=NOW, **settings):
        told = Settings(store="s3://widedeep", contract=CONTRACT, **settings)
        return Workplace(store, load_contract(CONTRACT), tmp_path, told, {}, "test", lambda: now)

    return at


def test_a_store_found_safe_is_remembered_in_the_store_and_not_raced_again(workplace, races):
    store = MemoryStore()
    require_safe_store(workplace(store))
    examined = len(races)
    assert examined == 2 * doctor.ROUNDS
    assert [key.split("/")[0] for key in store.keys("")] == ["doctor"]
    require_safe_store(workplace(store, NOW + timedelta(days=6)))
    assert len(races) == examined


def test_a_week_later_or_reached_by_other_settings_it_is_examined_anew(workplace, races):
    store = MemoryStore()
    for place in (
        workplace(store),
        workplace(store, NOW + timedelta(days=7)),
        workplace(store, s3_endpoint="https://s3.example.org"),
        workplace(store, s3_encryption="AES256"),
    ):
        races.clear()
        require_safe_store(place)
        assert races


def test_an_unsafe_store_is_refused_in_words_each_time_and_never_remembered(workplace):
    store = Unsafe()
    for _ in range(2):
        with pytest.raises(UnsafeStoreError, match="create-only writes: of 10 writers at once, 10, 10, 10 were told"):
            require_safe_store(workplace(store))
        assert list(store.keys("")) == []


def test_a_store_that_does_not_answer_is_asked_again_not_called_unsafe(workplace):
    with pytest.raises(StoreUnavailableError, match="could not be examined"):
        require_safe_store(workplace(Silent()))


def test_a_store_found_unsafe_by_hand_is_no_longer_remembered_as_safe(workplace):
    safe, unsafe = MemoryStore(), Unsafe()
    require_safe_store(workplace(safe))
    unsafe.objects = safe.objects
    require_safe_store(workplace(unsafe))
    assert not examine_store(workplace(unsafe)).safe
    with pytest.raises(UnsafeStoreError):
        require_safe_store(workplace(unsafe))
