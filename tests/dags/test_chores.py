"""The two small DAGs, played on a real metadata database with stand-in steps."""

from typing import Any

Played = tuple[dict[str, dict[str, Any]], str]


def test_the_bootstrap_learns_from_the_first_day_to_the_last_and_names_each_step(stand_in: Played) -> None:
    runs, printed = stand_in
    run = runs["bootstrap"]
    assert run["state"] == "success"
    assert run["xcoms"]["bootstrap"] == {"span": "2025-12-08", "lane": "live", "result": "promoted"}
    assert "2025-12-01 to 2025-12-08: ingest 2025-12-01" in printed


def test_the_feed_delivers_the_day_of_its_interval_and_is_skipped_when_the_sample_is_used_up(stand_in: Played) -> None:
    runs, printed = stand_in
    delivered, used_up = runs["feed"], runs["feed, used up"]
    assert (delivered["state"], delivered["tasks"]) == ("success", {"deliver": ["success", 1]})
    assert (used_up["state"], used_up["tasks"]) == ("success", {"deliver": ["skipped", 1]})
    assert "2026-01-03: the sample is used up" in printed
