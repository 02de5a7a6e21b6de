"""The table of docs/adr/0001-run-and-task-states.md, played row by row on a real metadata database."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAKE_STEPS = str(Path(__file__).with_name("fake_steps.py"))
# The day of `fake_steps.SCRIPT` that plays each row.
DAYS = {
    "promote": "2026-01-01",
    "hold": "2026-01-02",
    "reject": "2026-01-03",
    "quarantine: a check failed": "2026-01-04",
    "quarantine: unreadable files": "2026-01-05",
    "no data until the deadline": "2026-01-06",
    "settled already": "2026-01-07",
    "permanent fault, in train": "2026-01-08",
    "other fault, in train, that stays": "2026-01-09",
    "other fault, in train, that goes": "2026-01-10",
}
LATE = "2026-01-11"
Runs = dict[str, dict[str, Any]]


def table() -> dict[str, dict[str, str]]:
    lines = (ROOT / "docs/adr/0001-run-and-task-states.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {row[0]: dict(zip(cells[0][1:], row[1:], strict=True)) for row in cells[1:]}


@pytest.fixture(scope="module")
def played(play: Callable[..., tuple[list[dict[str, Any]], str]]) -> tuple[Runs, str]:
    """All rows, and a late delivery, in one process: starting Airflow costs more than the runs."""
    runs: list[dict[str, Any]] = [{"logical_date": None, "conf": {"span": day}} for day in (*DAYS.values(), LATE)]
    runs.append({"logical_date": None})
    runs.append({"logical_date": "2026-01-02"})
    told, printed = play(runs, FAKE_STEPS)
    return dict(zip((*DAYS, "late", "no span can be told", "scheduled"), told, strict=True)), printed


@pytest.mark.parametrize("row", table())
def test_each_row_of_the_decision_is_what_airflow_shows(row: str, played: tuple[Runs, str]) -> None:
    run = played[0][row]
    shown = {task: state for task, (state, _) in run["tasks"].items()} | {"run": run["state"]}
    assert shown == table()[row]


def test_a_permanent_fault_is_tried_once_and_another_one_four_times(played: tuple[Runs, str]) -> None:
    tries = {row: run["tasks"]["train"][1] for row, run in played[0].items() if "fault" in row}
    assert tries == {
        "permanent fault, in train": 1,
        "other fault, in train, that stays": 4,
        "other fault, in train, that goes": 2,
    }


def test_settle_after_a_fault_is_not_retried_and_says_what_to_clear(played: tuple[Runs, str]) -> None:
    runs, printed = played
    assert runs["permanent fault, in train"]["tasks"]["settle"][1] == 1
    assert re.search(r"span 2026-01-08 stays unsettled: train is failed.*clear train with Downstream in run manual__", printed)


def test_a_late_delivery_defers_ingest_until_it_is_there_and_then_the_run_goes_on(played: tuple[Runs, str]) -> None:
    runs, printed = played
    assert {state for state, _ in runs["late"]["tasks"].values()} == {"success"}
    assert "2026-01-11: waits until 2099" in printed
    assert "2026-01-11: waits: no answer" in printed, "a store that fails while the run waits must not end the wait"


def test_a_skipped_step_says_why(played: tuple[Runs, str]) -> None:
    reasons = set(re.findall(r"nothing to do: ([^\n]*?) *(?:\'|$)", played[1], re.MULTILINE))
    assert {"quarantined", "nothing was delivered until the deadline", "settled already (promoted)"} <= reasons


def test_a_run_that_names_no_span_fails_at_once_and_says_how_to_name_one(played: tuple[Runs, str]) -> None:
    runs, printed = played
    assert runs["no span can be told"]["tasks"]["ingest"] == ["failed", 1]
    assert (
        "it names no span: wanted the Param 'span' or a data interval, got neither. Trigger it again with {\"span\":" in printed
    )


def test_without_a_param_the_span_is_the_start_of_the_data_interval(played: tuple[Runs, str]) -> None:
    assert played[0]["scheduled"]["xcoms"]["ingest"]["span"] == "2026-01-01"


def test_each_task_hands_on_what_it_added_and_nothing_else(played: tuple[Runs, str]) -> None:
    pushed = {task: set(value) for task, value in played[0]["promote"]["xcoms"].items()}
    assert pushed == {
        "ingest": {"span", "lane", "snapshot"},
        "validate": {"validation"},
        "train": {"candidate"},
        "dry_run": {"dry_run"},
        "gate": {"verdict", "decision"},
        "publish": {"release"},
        "settle": {"result"},
    }
