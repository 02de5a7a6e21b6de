"""The benchmark of the checks can tell a fault that was caught from one that was not."""

import pytest

from benchmarks.validation.__main__ import caught, findings_on, level
from benchmarks.validation.faults import FILES, TABLES, Fault
from benchmarks.validation.good import contract, good_days

FAULTS = {fault.name: fault for fault in (*TABLES, *FILES)}


@pytest.fixture(scope="module")
def good():
    return good_days(contract(), seed=1, rows=3_000)


def test_at_least_fifty_kinds_of_damage_have_names_levels_and_words_of_their_own():
    assert len(FAULTS) == len(TABLES) + len(FILES) >= 50
    assert all(fault.levels and fault.words for fault in FAULTS.values())


def test_a_good_day_is_not_caught(good):
    good_as_it_is = Fault("nothing", ("rows", "quarantined", "held"), ("",), lambda t, _: t)
    findings = findings_on(good_as_it_is, good, contract(), 1)
    assert not caught(good_as_it_is, findings)
    assert level(findings) in {"nothing", "warning"}


@pytest.mark.parametrize(
    "name",
    ["ages of 200, few", "ages of 200, many", "the label leaks into a feature", "the time zone is 8 hours off", "an empty file"],
)
def test_damage_is_caught_at_its_level_and_by_its_words_only(good, name):
    fault = FAULTS[name]
    findings = findings_on(fault, good, contract(), 1)
    assert caught(fault, findings)
    assert not caught(Fault(name, fault.levels, ("no such word",), fault.spoil), findings)
    assert not caught(Fault(name, ("warning",), fault.words, fault.spoil), findings)
