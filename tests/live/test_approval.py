"""A candidate that the gate holds, and the person who is asked about it in a browser: the whole stack, the sample and Chromium.

The sample's contract with another gate: of its 60 or so held-out users a day too little can be told for a confidence of 99.99 %.
"""

import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, expect, sync_playwright
from rich.console import Console

from docs.screenshots import FLAGS, log_in
from tests.live.stacks import RETRAIN, REVIEW, await_settled, await_state, free_base, in_stack, told_in_stack
from widedeep.local.chain import AirflowApi
from widedeep.local.down import remove
from widedeep.local.stack import Place, Stack, find_place
from widedeep.local.up import up

CHROMIUM = shutil.which("chromium")
UNDECIDED = {"margin": 0.005, "confidence": 0.9999, "undecided": "hold"}
SOON_MS = 60_000  # a page of Airflow's on two busy cores
RUN_S = 300  # a daily run took 77 s there

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A checkout with a contract of its own, as whoever edits it has; the tasks run this checkout's library."""
    ours, folder = find_place(None), tmp_path_factory.mktemp("approval")
    theirs = Place(folder / "checkout", folder / "state")
    shutil.copytree(ours.checkout / "dags", theirs.checkout / "dags")
    (theirs.checkout / "plugins").symlink_to(ours.checkout / "plugins")
    theirs.sample.parent.mkdir()
    theirs.sample.symlink_to(ours.sample)
    contract = theirs.checkout / "dags/contracts/movielens.yaml"
    said = yaml.safe_load(contract.read_text())
    contract.write_text(yaml.safe_dump(said | {"gate": said["gate"] | UNDECIDED}))
    yield theirs
    remove(theirs)


@pytest.fixture(scope="module")
def stack(place: Place) -> Stack:
    return up(place, free_base(), 1, datetime.now(UTC).date(), Console(file=sys.stderr))


@pytest.fixture(scope="module")
def held(place: Place, stack: Stack) -> dict[str, Any]:
    """The outcome of the one daily span, yesterday's."""
    return await_settled(place, stack)[stack.last_delivered.isoformat()]


@pytest.fixture(scope="module")
def pages(stack: Stack) -> Iterator[Page]:
    """The browser of somebody who has logged in as admin."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        page.set_default_timeout(SOON_MS)
        expect.set_options(timeout=SOON_MS)
        log_in(page, stack)
        yield page
        browser.close()


def test_a_person_reads_why_the_gate_held_a_candidate_and_promotes_it_all_the_same(
    place: Place, stack: Stack, held: dict[str, Any], pages: Page, tmp_path: Path
) -> None:
    span, before = held["span"], in_stack(place, "champion", "--json")
    assert held["result"] == "held"
    assert before["release_id"] != held["release_id"]

    asked = read_question(stack, pages, span, tmp_path)
    with pages.expect_popup() as opened:
        pages.get_by_role("link", name="open it").click()
    report = opened.value
    report.wait_for_load_state()
    told = words(report)
    report.screenshot(path=tmp_path / "report.png")
    report.close()
    accept(pages, "all that one day can show", tmp_path)
    await_state(AirflowApi(stack), f"dags/{REVIEW}/dagRuns/review-live-{span}", "success")

    for reason in held["reasons"]:
        assert reason in asked
        assert reason in told
    assert "99.99% interval" in asked
    assert f"hold: the candidate waits for a person {held['release_id']} against {before['release_id']}" in told
    move = in_stack(place, "champion", "--history", "--json")[0]
    assert (move["kind"], move["release_id"], move["span"]) == ("promote", held["release_id"], span)
    assert (move["previous"], move["sequence"]) == (before["release_id"], before["sequence"] + 1)
    assert move["moved_by"] == f"airflow:{REVIEW}/review-live-{span}, answered by admin"
    assert move["reason"].endswith(": all that one day can show")


def test_a_candidate_is_superseded_and_not_promoted_once_the_day_after_it_has_settled(
    place: Place, stack: Stack, held: dict[str, Any], pages: Page, tmp_path: Path
) -> None:
    before = in_stack(place, "champion", "--json")
    span, later = ((stack.last_delivered + timedelta(days=n)).isoformat() for n in (1, 2))
    settle_as_held(place, stack, span, later)

    read_question(stack, pages, span, tmp_path)
    accept(pages, "too late", tmp_path)
    review = f"dags/{REVIEW}/dagRuns/review-live-{span}"
    await_state(AirflowApi(stack), review, "success")
    pages.goto(f"{stack.url}/{review.replace('dagRuns', 'runs')}/tasks/record")
    expect(pages.get_by_text(f"span {span} of lane live: superseded by span {later}").first).to_be_visible()
    pages.screenshot(path=tmp_path / "superseded.png")

    assert AirflowApi(stack).get(f"{review}/taskInstances/record")["state"] == "skipped"
    assert before["release_id"] == held["release_id"]
    assert in_stack(place, "champion", "--json") == before
    assert [outcome["span"] for outcome in in_stack(place, "review", "--json")] == [later]


def settle_as_held(place: Place, stack: Stack, *spans: str) -> None:
    api = AirflowApi(stack)
    for span in spans:
        told_in_stack(place, "sample", "deliver", "--from", span, "--to", span)
        api.trigger(RETRAIN, f"by-hand-{span}", {"span": span})
    for span in spans:
        await_state(api, f"dags/{RETRAIN}/dagRuns/by-hand-{span}", "success", RUN_S)
    results = {outcome["span"]: outcome["result"] for outcome in in_stack(place, "spans", "--json")}
    assert {span: results[span] for span in spans} == dict.fromkeys(spans, "held")


def read_question(stack: Stack, page: Page, span: str, shots: Path) -> str:
    """Open the question about a span under Required Actions, and read it."""
    page.goto(f"{stack.url}/required_actions")
    page.get_by_role("link", name=f"Promote the candidate of span {span} of lane live? The gate held it.").click()
    page.get_by_role("link", name="open it").wait_for()
    page.screenshot(path=shots / "question.png")
    return words(page)


def accept(page: Page, reason: str, shots: Path) -> None:
    page.locator("#element_reason").fill(reason)  # Airflow's label does not name its field
    page.get_by_role("button", name="Accept").click()
    page.get_by_text("Response received").wait_for()
    page.screenshot(path=shots / "accepted.png")


def words(page: Page) -> str:
    """All that the page says, however it breaks its lines."""
    return " ".join(page.locator("body").inner_text().split())
