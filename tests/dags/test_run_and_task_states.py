"""The table of docs/adr/0001-run-and-task-states.md, played row by row on a real metadata database."""

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
Runs = dict[str, dict[str, Any]]


def table(path: str = "docs/adr/0001-run-and-task-states.md") -> dict[str, dict[str, str]]:
    """Its rows: what happened, and the wanted state of each task and of the run."""
    lines = (ROOT / path).read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {row[0]: dict(zip(cells[0][1:], row[1:], strict=True)) for row in cells[1:]}


@pytest.mark.parametrize("row", table())
def test_each_row_of_the_decision_is_what_airflow_shows(row: str, stand_in: tuple[Runs, str]) -> None:
    run = stand_in[0][row]
    shown = {task: state for task, (state, _) in run["tasks"].items()} | {"run": run["state"]}
    assert shown == table()[row]


def test_a_permanent_fault_is_tried_once_and_another_one_four_times(stand_in: tuple[Runs, str]) -> None:
    tries = {row: run["tasks"]["train"][1] for row, run in stand_in[0].items() if "fault" in row}
    assert tries == {
        "permanent fault, in train": 1,
        "other fault, in train, that stays": 4,
        "other fault, in train, that goes": 2,
    }


def test_settle_after_a_fault_is_not_retried_and_says_what_to_clear(stand_in: tuple[Runs, str]) -> None:
    runs, printed = stand_in
    assert runs["permanent fault, in train"]["tasks"]["settle"][1] == 1
    assert re.search(r"span 2026-01-08 stays unsettled: train is failed.*clear train with Downstream in run manual__", printed)


def test_a_late_delivery_defers_ingest_until_it_is_there_and_then_the_run_goes_on(stand_in: tuple[Runs, str]) -> None:
    runs, printed = stand_in
    assert {task for task, (state, _) in runs["late"]["tasks"].items() if state != "success"} == {"ask"}
    assert "2026-01-11: waits until 2099" in printed
    assert "2026-01-11: waits: no answer" in printed, "a store that fails while the run waits must not end the wait"


def test_a_run_whose_span_is_settled_meanwhile_trains_and_publishes_nothing_and_is_green(stand_in: tuple[Runs, str]) -> None:
    run = stand_in[0]["settled meanwhile"]
    idle = {"train", "dry_run", "gate", "publish", "ask"}
    assert {task for task, (state, _) in run["tasks"].items() if state != "success"} == idle
    assert (run["state"], run["xcoms"]["settle"]) == ("success", {"result": "promoted"})


def test_a_skipped_step_says_why(stand_in: tuple[Runs, str]) -> None:
    reasons = set(re.findall(r"nothing to do: ([^\n]*?) *(?:\'|$)", stand_in[1], re.MULTILINE))
    assert {"quarantined", "nothing was delivered until the deadline", "settled already (promoted)"} <= reasons


def test_a_run_that_names_no_span_fails_at_once_and_says_how_to_name_one(stand_in: tuple[Runs, str]) -> None:
    runs, printed = stand_in
    assert runs["no span can be told"]["tasks"]["ingest"] == ["failed", 1]
    assert (
        "it names no span: wanted the Param 'span' or a data interval, got neither. Trigger it again with {\"span\":" in printed
    )


def test_without_a_param_the_span_is_the_start_of_the_data_interval(stand_in: tuple[Runs, str]) -> None:
    assert stand_in[0]["scheduled"]["xcoms"]["ingest"]["span"] == "2026-01-01"


def test_where_labels_take_a_day_to_be_true_the_span_is_the_day_before_the_data_interval(stand_in: tuple[Runs, str]) -> None:
    # A data interval of the daily DAG starts a day before the logical date that `dag.test` is given.
    assert stand_in[0]["labels a day later"]["xcoms"]["ingest"]["span"] == "2026-01-01"


def test_a_held_candidate_and_a_drastic_day_start_one_question_each_however_often_they_are_run(
    stand_in: tuple[Runs, str],
) -> None:
    once, again = (stand_in[0][row] for row in ("held for a review: drastic change", "held for a review, run again"))
    questions = {
        f"review-live-{span}": ["widedeep_review", {"span": span, "lane": "live"}] for span in ("2026-01-02", "2026-01-13")
    }
    assert (once["started"], again["started"]) == (questions, questions)
    assert (again["state"], again["tasks"]["ask"]) == ("success", ["skipped", 1])


def test_an_answered_day_asks_nobody_and_its_review_says_who_answered(stand_in: tuple[Runs, str]) -> None:
    runs, printed = stand_in
    assert runs["held for a review, answered"]["tasks"]["ask"] == ["skipped", 1]
    review = runs["review of an answered span"]
    assert (review["state"], review["tasks"]) == ("success", {"ask": ["skipped", 1], "record": ["skipped", 0]})
    assert "2026-01-15: accepted by shell:ann on 2026-01-16 00:00 UTC: a sale" in printed


def test_a_review_of_a_day_that_is_not_held_fails_at_once_and_says_how_it_was_settled(stand_in: tuple[Runs, str]) -> None:
    runs, printed = stand_in
    review = runs["review of a promoted span"]
    assert (review["state"], review["tasks"]["ask"]) == ("failed", ["failed", 1])
    assert "span 2026-01-01 of lane live: is settled as promoted; wanted one that is held for a review" in printed


def test_each_task_hands_on_what_it_added_and_nothing_else(stand_in: tuple[Runs, str]) -> None:
    pushed = {task: set(value) for task, value in stand_in[0]["promote"]["xcoms"].items()}
    assert pushed == {
        "ingest": {"span", "lane", "snapshot"},
        "validate": {"validation"},
        "train": {"candidate"},
        "dry_run": {"dry_run"},
        "gate": {"verdict", "decision"},
        "publish": {"release"},
        "settle": {"result"},
    }


def test_the_page_of_the_dag_shows_nothing_that_the_decision_does_not_say() -> None:
    shown = table("dags/widedeep_retrain.py")
    assert len(shown) == 9
    assert [row for row, states in shown.items() if states not in table().values()] == []
