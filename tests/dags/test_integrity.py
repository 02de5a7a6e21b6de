"""What Airflow finds when it parses the DAG folder, each time in a fresh process."""

from itertools import pairwise
from typing import Any

import pytest
from jsonschema import FormatChecker, ValidationError, validate

HEAVY = {
    "boto3",
    "botocore",
    "great_expectations",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scipy",
    "torch",
    "widedeep.steps",
}
CHAIN = ["ingest", "validate", "wait_turn", "train", "dry_run", "gate", "publish"]
DAILY = {"timetable": "CronDataIntervalTimetable", "catchup": True, "max_active_runs": 16}
ALWAYS = {
    f"widedeep_{name}"
    for name in ("audit", "bootstrap", "freeze", "promote_lane", "prune", "replay", "requeue", "retrain", "review", "rollback")
}
Parsed = dict[str, Any]


@pytest.fixture(scope="session")
def parsed(parse: Any) -> Parsed:
    return parse(WIDEDEEP_SAMPLE="/nowhere", WIDEDEEP_HISTORY_START="2025-12-24", WIDEDEEP_FEED_START="2026-01-04")


def test_the_folder_holds_all_dags_and_no_import_error(parsed: Parsed) -> None:
    assert parsed["errors"] == {}
    assert set(parsed["dags"]) == {"sample_feed", *ALWAYS}


def test_the_plugin_package_is_imported_and_only_the_file_beside_it_is_executed_as_a_plugin(parsed: Parsed) -> None:
    assert parsed["plugin_errors"] == {}
    assert [source for source in parsed["plugin_files"] if "widedeep" in source] == ["$PLUGINS_FOLDER/widedeep_plugin.py"]
    assert "widedeep_airflow.operators" in parsed["modules"]


def test_nothing_heavy_is_imported_while_dags_and_plugins_are_loaded(parsed: Parsed) -> None:
    assert {name for name in parsed["modules"] if name in HEAVY or name.partition(".")[0] in HEAVY} == set()
    assert "widedeep_airflow.pages" not in parsed["modules"]


def test_the_steps_stand_in_one_row_and_settle_sees_each_of_them(parsed: Parsed) -> None:
    row = [[above, below] for above, below in pairwise(CHAIN)]
    assert parsed["dags"]["widedeep_retrain"]["edges"] == sorted([*row, *([step, "settle"] for step in CHAIN), ["settle", "ask"]])


def test_only_settle_runs_however_the_others_ended(parsed: Parsed) -> None:
    rules = parsed["dags"]["widedeep_retrain"]["rules"]
    exceptions = {"settle": "TriggerRule.ALL_DONE", "wait_turn": "TriggerRule.NONE_FAILED"}
    assert rules == dict.fromkeys([*CHAIN, "ask"], "TriggerRule.ALL_SUCCESS") | exceptions


def test_a_question_can_be_asked_as_soon_as_the_dags_are_there_and_beside_others(parsed: Parsed) -> None:
    review = parsed["dags"]["widedeep_review"]
    assert (review["paused_upon_creation"], review["max_active_runs"], review["timetable"]) == (False, 16, "NullTimetable")
    assert review["edges"] == [["ask", "record"]]


def test_the_audit_is_a_weekly_row_that_catches_nothing_up(parsed: Parsed) -> None:
    audit = parsed["dags"]["widedeep_audit"]
    assert audit["edges"] == [["audit", "propose"], ["propose", "ask"]]
    assert (audit["catchup"], audit["max_active_runs"]) == (False, 1)


def test_the_audit_does_not_start_together_with_the_daily_run_which_would_supersede_its_proposal(parsed: Parsed) -> None:
    assert parsed["dags"]["widedeep_audit"]["schedule"] == "0 9 * * 1"


def test_daily_runs_catch_up_from_the_frozen_start_several_at_once(parsed: Parsed) -> None:
    retrain = parsed["dags"]["widedeep_retrain"]
    assert {name: retrain[name] for name in DAILY} == DAILY
    assert retrain["start"] == "2026-01-01 00:00:00+00:00"


def test_the_feed_starts_after_the_spans_that_setup_delivered_and_catches_up(parsed: Parsed) -> None:
    feed = parsed["dags"]["sample_feed"]
    assert {name: feed[name] for name in DAILY} == {**DAILY, "max_active_runs": 1}
    assert feed["start"] == "2026-01-04 00:00:00+00:00"


def test_the_bootstrap_is_started_by_hand_only_and_offers_the_history_before_the_start(parsed: Parsed) -> None:
    bootstrap = parsed["dags"]["widedeep_bootstrap"]
    assert bootstrap["timetable"] == "NullTimetable"
    assert {name: value for name, (value, _) in bootstrap["params"].items()} == {"from": "2025-12-24", "to": "2025-12-31"}


def test_every_task_is_bounded_in_time_retried_three_times_and_every_dag_documented_and_tells_of_failures(parsed: Parsed) -> None:
    for name, dag in parsed["dags"].items():
        # Who was asked and did not answer is not asked again.
        retries = [0, 3] if name == "widedeep_rollback" else [3]
        assert (dag["bounded"], dag["retries"], bool(dag["doc"]), dag["alerts"]) == (True, retries, True, True), name


def test_the_daily_dag_has_a_deadline_where_the_settings_name_one(parse: Any, parsed: Parsed) -> None:
    late = parse(WIDEDEEP_RELEASE_DEADLINE="PT30H")["dags"]
    assert {name: dag["deadlines_s"] for name, dag in late.items() if dag["deadlines_s"]} == {"widedeep_retrain": [108000.0]}
    assert parsed["dags"]["widedeep_retrain"]["deadlines_s"] == []


@pytest.mark.parametrize(
    ("param", "value", "fits"),
    [
        ("span", None, True),
        ("span", "2026-01-01", True),
        ("span", "1 January", False),
        ("span", "2026-02-30", False),
        ("lane", None, True),
        ("lane", "replay-7", True),
        ("lane", "Replay 7", False),
        ("lane", "", False),
    ],
)
def test_a_malformed_param_is_refused_before_a_run_starts(param: str, value: str | None, fits: bool, parsed: Parsed) -> None:
    default, schema = parsed["dags"]["widedeep_retrain"]["params"][param]
    assert default is None
    if fits:
        validate(value, schema, format_checker=FormatChecker())
    else:
        with pytest.raises(ValidationError):
            validate(value, schema, format_checker=FormatChecker())


@pytest.mark.parametrize(
    ("param", "value", "fits"),
    [
        ("reason", "clicks fell", True),
        ("reason", "", False),
        ("reason", "   ", False),
        ("to", "r-0", False),
        ("lane", "Live", False),
    ],
)
def test_a_rollback_wants_a_reason_and_one_of_its_choices(param: str, value: str, fits: bool, parsed: Parsed) -> None:
    _, schema = parsed["dags"]["widedeep_rollback"]["params"][param]
    if fits:
        validate(value, schema)
    else:
        with pytest.raises(ValidationError):
            validate(value, schema)


def test_a_rollback_is_rehearsed_and_approved_before_it_moves_the_pointer(parsed: Parsed) -> None:
    assert parsed["dags"]["widedeep_rollback"]["edges"] == [["approve", "move"], ["choose", "rehearse"], ["rehearse", "approve"]]


@pytest.mark.parametrize(
    ("dag", "param", "value", "fits"),
    [
        ("widedeep_promote_lane", "lane", "replay-2026-01-02-0f3a", True),
        ("widedeep_promote_lane", "lane", "live", False),
        ("widedeep_promote_lane", "lane", "Again", False),
        ("widedeep_promote_lane", "reason", "   ", False),
        ("widedeep_replay", "from", "2026-01-02", True),
        ("widedeep_replay", "from", "yesterday", False),
        ("widedeep_replay", "lane", None, True),
        ("widedeep_replay", "lane", "live-2", True),
        ("widedeep_replay", "lane", "live", False),
        ("widedeep_replay", "on_hold", "pass", True),
        ("widedeep_replay", "on_hold", "ask", False),
    ],
)
def test_a_replay_wants_a_day_and_neither_it_nor_a_promotion_works_on_live(
    dag: str, param: str, value: str | None, fits: bool, parsed: Parsed
) -> None:
    _, schema = parsed["dags"][dag]["params"][param]
    if fits:
        validate(value, schema, format_checker=FormatChecker())
    else:
        with pytest.raises(ValidationError):
            validate(value, schema, format_checker=FormatChecker())


def test_a_lane_is_compared_and_approved_before_the_pointer_moves(parsed: Parsed) -> None:
    assert parsed["dags"]["widedeep_promote_lane"]["edges"] == [["approve", "promote"], ["compare", "approve"]]


@pytest.mark.parametrize("dag", ["widedeep_replay", "widedeep_promote_lane", "widedeep_rollback"])
def test_what_a_person_decides_is_started_by_hand_only_and_once_at_a_time(dag: str, parsed: Parsed) -> None:
    assert (parsed["dags"][dag]["timetable"], parsed["dags"][dag]["max_active_runs"]) == ("NullTimetable", 1)


def test_without_a_start_date_the_import_error_names_the_variable(parse: Any) -> None:
    broken = parse(WIDEDEEP_START_DATE=None)
    assert broken["dags"] == {}
    assert all("WIDEDEEP_START_DATE is not set" in text for text in broken["errors"].values())
    assert len(broken["errors"]) == len(ALWAYS) + 1


def test_a_feed_without_a_start_of_its_own_begins_with_the_daily_spans(parse: Any) -> None:
    assert parse(WIDEDEEP_SAMPLE="/nowhere")["dags"]["sample_feed"]["start"] == "2026-01-01 00:00:00+00:00"


def test_without_the_sample_there_is_no_feed(parse: Any) -> None:
    assert set(parse()["dags"]) == ALWAYS
