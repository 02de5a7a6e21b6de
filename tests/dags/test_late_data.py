"""The DAGs that rebuild days and promote a lane, played on a real metadata database with stand-in steps."""

from typing import Any

import pytest

Played = tuple[dict[str, dict[str, Any]], str]


def test_a_replay_that_a_fault_interrupts_goes_on_in_the_lane_that_follows_from_its_run(stand_in: Played) -> None:
    runs, printed = stand_in
    run = runs["replay"]
    assert (run["state"], run["tasks"]) == ("success", {"rebuild": ["success", 2]})
    assert run["xcoms"]["rebuild"] == {"lane": "replay-2026-01-01-of-manual", "head": "2026-01-02"}
    assert "2026-01-01, day 1 of 2: train, pass" in printed
    assert "2026-01-02, day 2 of 2: train, pass" in printed
    assert "lane replay-2026-01-01-of-manual: 2 of 2 day(s) are rebuilt" in printed


def test_a_replay_of_what_live_has_not_settled_fails_at_once(stand_in: Played) -> None:
    runs, printed = stand_in
    run = runs["replay from nowhere"]
    assert (run["state"], run["tasks"]) == ("failed", {"rebuild": ["failed", 1]})
    assert "UsageError: replay from 2026-02-01: live has settled no such day" in printed


@pytest.mark.parametrize(
    ("lane", "states", "said"),
    [
        ("rejected", ["success", "skipped", "skipped", "success"], "nobody to ask: the gate rejects the lane's champion"),
        ("adopted", ["skipped", "skipped", "skipped", "success"], "r-1 of lane adopted is champion of lane live already"),
        ("lagging", ["failed", "upstream_failed", "upstream_failed", "failed"], "OrderError: lane lagging: 2 day(s) of live are"),
    ],
)
def test_where_nobody_is_to_be_asked_the_promotion_of_a_lane_is_green_and_a_fault_is_red(
    lane: str, states: list[str], said: str, stand_in: Played
) -> None:
    runs, printed = stand_in
    run = runs[f"promotion of a lane: {lane}"]
    assert [*(run["tasks"][task][0] for task in ("compare", "approve", "promote")), run["state"]] == states
    assert said in printed


def test_what_is_handed_on_to_the_person_are_keys(stand_in: Played) -> None:
    pushed = stand_in[0]["promotion of a lane: rejected"]["xcoms"]
    assert pushed == {"compare": {"verdict": "evidence/r-1/verdict-1.json", "decision": "reject"}}
