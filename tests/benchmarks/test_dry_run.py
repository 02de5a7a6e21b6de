"""A small part of the corpus: the dry run blocks each of these for the reason that was said before, and lets a good one pass."""

import pytest

from benchmarks.dry_run.__main__ import rehearsed_good, rehearsed_poisons
from benchmarks.dry_run.chain import Size
from benchmarks.dry_run.poisons import POISONS

SMALL = Size(1_000, 8, (16, 16, 16))
FEW = {"permuted vocabulary rows", "a constant output", "an artificially slow server", "a server that fails on unknown values"}


def test_at_least_twenty_poisons_have_names_and_words_of_their_own():
    assert len({poison.name for poison in POISONS}) == len(POISONS) >= 20
    assert all(poison.words for poison in POISONS)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    return {each["name"]: each for each in rehearsed_poisons(tmp_path_factory.mktemp("poisons"), frozenset(FEW), SMALL)}


def test_poisoned_candidates_are_blocked_with_the_reason_named(rehearsed):
    assert rehearsed.keys() == FEW
    assert all(each["blocked"] and each["reason_named"] for each in rehearsed.values()), rehearsed


def test_only_what_is_nothing_but_slow_is_timed_again(rehearsed):
    assert [name for name, each in rehearsed.items() if each["timed_again"]] == ["an artificially slow server"]


def test_a_good_candidate_passes_beside_its_champion():
    (good,) = rehearsed_good(1)
    assert good["failures"] == ()
    assert good["champion_p50_ms"] > 0
    assert good["rank_agreement"] > 0.2
