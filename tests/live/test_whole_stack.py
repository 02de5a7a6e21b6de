"""The whole stack, as a user starts it: the scheduler learns the history and three daily spans, and nothing is left behind."""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.live.stacks import (
    COMMAND,
    RETRAIN,
    REVIEW,
    ROLLBACK,
    answer,
    await_settled,
    await_state,
    free_base,
    in_stack,
    widedeep,
)
from widedeep.local import ports
from widedeep.local.chain import BOOTSTRAP, AirflowApi, bootstrap_run
from widedeep.local.down import remove
from widedeep.local.health import call
from widedeep.local.stack import Place, Stack, find_place, load_stack

pytestmark = pytest.mark.timeout(1800)

DRASTIC = Path(__file__).with_name("drastic_day.py")
AUDIT = "widedeep_audit"
STEPS = {"ingest", "validate", "wait_turn", "train", "dry_run", "gate", "publish", "settle"}
SPANS = 3


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = find_place(tmp_path_factory.mktemp("live"))
    yield place
    remove(place)


@pytest.fixture(scope="module")
def start(place: Place) -> str:
    """What `make local-airflow` prints."""
    flags = ("--port", str(free_base()), "--daily-spans", str(SPANS), "--state", str(place.state))
    return widedeep(place, "local", "up", *flags)


@pytest.fixture(scope="module")
def stack(place: Place, start: str) -> Stack:
    stack = load_stack(place)
    assert start
    assert stack is not None
    return stack


@pytest.fixture(scope="module")
def settled(place: Place, stack: Stack) -> dict[str, dict[str, Any]]:
    return await_settled(place, stack)


def test_the_start_ends_with_the_address_and_the_password(start: str, stack: Stack) -> None:
    assert start.splitlines()[-3:] == [f"Airflow   {stack.url}", "user      admin", f"password  {stack.admin_password}"]


def test_a_second_start_finds_all_of_it_running(place: Place, stack: Stack) -> None:
    again = widedeep(place, "local", "up", "--state", str(place.state))

    assert again.count("runs already") == 7


def test_every_delivered_span_is_settled_in_order(settled: dict[str, dict[str, Any]], stack: Stack) -> None:
    first = stack.history[0]
    days = [(first + timedelta(days=index)).isoformat() for index in range((stack.last_delivered - first).days + 1)]

    assert sorted(settled) == days
    assert sorted(settled, key=lambda span: settled[span]["settled_at"])[-SPANS:] == days[-SPANS:]


def test_a_release_learnt_from_the_history_serves_and_daily_spans_moved_it_on(
    place: Place, settled: dict[str, dict[str, Any]]
) -> None:
    champion = in_stack(place, "champion", "--json")
    results = [settled[span]["result"] for span in sorted(settled)]

    assert "promoted" in results[-SPANS:]
    assert (
        champion["release_id"]
        == [settled[span] for span in sorted(settled) if settled[span]["result"] == "promoted"][-1]["release_id"]
    )


def test_airflow_shows_the_bootstrap_and_every_step_of_every_day_as_done(
    settled: dict[str, dict[str, Any]], stack: Stack
) -> None:
    assert settled
    api = AirflowApi(stack)
    deadline = time.monotonic() + 60  # the outcome is written a moment before the run is marked
    while any(run["state"] == "running" for run in runs(api)) and time.monotonic() < deadline:
        time.sleep(1)

    days = {run["logical_date"][:10]: run["dag_run_id"] for run in runs(api) if run["state"] == "success"}
    tasks = {day: api.get(f"dags/{RETRAIN}/dagRuns/{run}/taskInstances")["task_instances"] for day, run in days.items()}

    assert api.get(f"dags/{BOOTSTRAP}/dagRuns/{bootstrap_run(*stack.history)}")["state"] == "success"
    assert sorted(days) == sorted(settled)[-SPANS:]
    assert all({task["task_id"] for task in found if task["state"] == "success"} == STEPS for found in tasks.values())


def test_a_task_s_handover_is_small(settled: dict[str, dict[str, Any]], stack: Stack) -> None:
    assert settled
    api = AirflowApi(stack)

    entries = api.get(f"dags/{RETRAIN}/dagRuns/~/taskInstances/~/xcomEntries?limit=100")["xcom_entries"]

    assert entries
    for entry in entries:
        where = f"dags/{RETRAIN}/dagRuns/{entry['run_id']}/taskInstances/{entry['task_id']}/xcomEntries/{entry['key']}"
        assert len(json.dumps(api.get(where)["value"])) < 1024


def test_the_weekly_audit_trains_a_twin_and_keeps_what_the_chain_owes_it(
    place: Place, settled: dict[str, dict[str, Any]], stack: Stack
) -> None:
    assert settled
    api, run = AirflowApi(stack), f"dags/{AUDIT}/dagRuns/first"

    api.unpause(AUDIT)
    api.trigger(AUDIT, "first", {})
    await_state(api, run, "success")

    (found,) = in_stack(place, "audit", "--history", "--json")
    champion = in_stack(place, "champion", "--json")
    tasks = {task["task_id"]: task["state"] for task in api.get(f"{run}/taskInstances")["task_instances"]}
    assert (found["release_id"], found["spans"]) == (champion["release_id"], len([s for s in settled if s <= champion["span"]]))
    assert tasks == {"audit": "success"} | dict.fromkeys(("propose", "ask"), "success" if found["over"] else "skipped")


def test_a_run_before_its_delivery_waits_without_a_worker_and_goes_on_when_it_arrives(
    place: Place, settled: dict[str, dict[str, Any]], stack: Stack
) -> None:
    assert settled
    api, run = AirflowApi(stack), f"dags/{RETRAIN}/dagRuns/late"
    span = (stack.last_delivered + timedelta(days=1)).isoformat()

    api.trigger(RETRAIN, "late", {"span": span})
    await_state(api, f"{run}/taskInstances/ingest", "deferred")
    deliver = ("sample", "deliver", "--from", span, "--to", span)
    widedeep(place, "local", "env", "--state", str(place.state), "--", COMMAND, *deliver)
    await_state(api, run, "success")

    assert in_stack(place, "spans", "--json")[-1]["span"] == span


def test_a_person_chooses_and_approves_a_rollback_and_the_next_day_goes_on_from_it(
    place: Place, settled: dict[str, dict[str, Any]], stack: Stack
) -> None:
    api, run = AirflowApi(stack), f"dags/{ROLLBACK}/dagRuns/back"
    first = next(settled[span]["release_id"] for span in sorted(settled) if settled[span]["result"] == "promoted")
    champion = in_stack(place, "champion", "--json")["release_id"]

    api.trigger(ROLLBACK, "back", {"reason": "clicks fell by half", "to": "ask me which", "lane": "live"})
    answer(api, run, "choose", lambda option: option.startswith(first))
    assert champion in answer(api, run, "approve", lambda option: option == "Approve")["body"]
    await_state(api, run, "success")

    past = in_stack(place, "champion", "--history", "--json")
    assert (past[0]["kind"], past[0]["release_id"], past[0]["previous"]) == ("rollback", first, champion)
    assert past[0]["reason"] == "clicks fell by half"
    assert past[0]["moved_by"] == f"airflow:{ROLLBACK}/back, approved by admin"
    span = (stack.last_delivered + timedelta(days=2)).isoformat()
    widedeep(place, "local", "env", "--state", str(place.state), "--", COMMAND, "sample", "deliver", "--from", span, "--to", span)
    api.trigger(RETRAIN, "after", {"span": span})
    await_state(api, f"dags/{RETRAIN}/dagRuns/after", "success")
    again = {part["span"] for part in in_stack(place, "spans", "--json")[-1]["learnt"]}
    assert again >= {day for day in settled if day > past[0]["span"]}


def test_a_drastic_day_is_held_a_person_reads_its_report_and_accepts_it(
    place: Place, settled: dict[str, dict[str, Any]], stack: Stack
) -> None:
    assert settled
    api, run = AirflowApi(stack), f"dags/{RETRAIN}/dagRuns/drastic"
    span = (stack.last_delivered + timedelta(days=3)).isoformat()
    widedeep(place, "local", "env", "--state", str(place.state), "--", sys.executable, str(DRASTIC), span)

    api.trigger(RETRAIN, "drastic", {"span": span})
    await_state(api, run, "success")
    held = in_stack(place, "spans", "--json")[-1]
    report = api.get(f"{run}/taskInstances/validate/links")["extra_links"]["Data report"]
    review = f"dags/{REVIEW}/dagRuns/review-live-{span}"
    question = answer(api, review, "ask", lambda option: option == "Accept", reason="a festival")["body"]
    await_state(api, review, "success")

    assert (held["span"], held["result"]) == (span, "held")
    assert (f"({report})" in question, "genres" in question) == (True, True)
    assert "held for a person" in page(stack, report)
    assert call("GET", report)[0] == 401
    answered = in_stack(place, "review", "--span", span, "--accept", "--reason", "another", "--json")
    assert (answered["answer"], answered["reason"]) == ("accept", "a festival")
    assert answered["reviewed_by"] == f"airflow:{REVIEW}/review-live-{span}, answered by admin"


def test_no_plain_request_gets_in(stack: Stack) -> None:
    assert call("GET", f"{stack.url}/api/v2/dags")[0] == 401


def test_after_the_stop_no_process_is_left(place: Place, stack: Stack, settled: dict[str, dict[str, Any]]) -> None:
    assert settled
    leash = psutil.Process(int((place.state / "leash.pid").read_text()))
    processes = [leash, *leash.children(recursive=True)]
    assert len(processes) > 12

    widedeep(place, "local", "down", "--state", str(place.state))

    assert psutil.wait_procs(processes, timeout=10)[1] == []
    assert ports.busy(ports.OFFSETS, stack.port) == ()


def runs(api: AirflowApi) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"dags/{RETRAIN}/dagRuns?limit=50")["dag_runs"]
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    return [run for run in found if (run["logical_date"] or "9999")[:10] <= yesterday]


def page(stack: Stack, url: str) -> str:
    """What a browser of the admin user shows."""
    token = call("POST", f"{stack.url}/auth/token", {"username": "admin", "password": stack.admin_password})[1]["access_token"]
    return httpx.get(url, cookies={"_token": token}).text
