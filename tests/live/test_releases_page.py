"""The Releases page in a real browser: what a person reads on it, decides on it, and what it owes to every reader."""

import os
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from math import exp
from pathlib import Path
from typing import Any

import jwt
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.walks.__main__ import free_port
from benchmarks.walks.stack import RETRAIN, Walk, running
from widedeep.artifacts import LIVE, ChampionPointer
from widedeep.local.health import call
from widedeep.publishing.pointer import champion
from widedeep.steps import deliver_sample, open_workplace

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH (Debian: apt-get install chromium)"),
]

ACCESSIBLE = Path(__file__).with_name("accessible.js").read_text()
SHOTS = Path(os.environ.get("WIDEDEEP_SCREENSHOTS", Path(__file__).parents[2] / ".local" / "screenshots"))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
VIEWS = ("today", "chain", "release", "data", "try", "actions")
PHONE = {"width": 375, "height": 800}
PATIENCE_MS = 120_000
PROMOTED, REJECTED, HELD = 1, 2, 3
ENDS = {
    REJECTED: ("auc_at_least: 0.62", "auc_at_least: 0.99"),
    HELD: ("margin: 0.03\n  undecided: reject", "margin: 0.000001\n  undecided: hold"),
}
"""What of the contract's gate makes a day end so, whatever its rows are."""


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """A stack whose first day was promoted, whose second was rejected, and whose third waits for a person."""
    with running(tmp_path_factory.mktemp("page"), free_port(), daily_spans=1) as walk:
        walk.pause(False)
        walk.until(lambda: walk.outcome(day(walk, PROMOTED)), "the first day is settled")
        contract = walk.place.checkout / "dags" / "contracts" / "movielens.yaml"
        whole = contract.read_text()
        for number, (before, after) in ENDS.items():
            assert before in whole
            contract.write_text(whole.replace(before, after))
            with open_workplace(walk.settings, actor="walk") as place:
                deliver_sample(place, day(walk, number))
            walk.api.trigger(RETRAIN, f"day-{number}", {"span": str(day(walk, number))})
            walk.until(lambda number=number: walk.outcome(day(walk, number)), f"day {number} is settled")
        contract.write_text(whole)
        walk.until(lambda: asked(walk), "somebody is asked")
        yield walk


def day(walk: Walk, number: int) -> date:
    """The daily span with that number, from 1."""
    return walk.stack.last_delivered + timedelta(days=number - 1)


def asked(walk: Walk) -> list[dict[str, Any]]:
    found = walk.api.get("dags/~/dagRuns/~/hitlDetails?response_received=false")["hitl_details"]
    return [each for each in found if each["task_instance"]["state"] == "awaiting_input"]


def leader(walk: Walk) -> ChampionPointer:
    with walk.store() as store:
        pointer = champion(store, LIVE)
    assert pointer is not None
    return pointer


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(walk: Walk, browser: Browser) -> Iterator[Page]:
    """The admin's browser, on Airflow's first page; what the console says against our page fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(walk.stack.url)
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", walk.stack.admin_password)
    page.click("button[type=submit]")
    page.wait_for_url(f"{walk.stack.url}/**", wait_until="networkidle")
    page.on("console", lambda message: said.append(message.text) if "Content Security Policy" in message.text else None)
    yield page
    context.close()
    assert said == []


@pytest.fixture
def viewer(walk: Walk, browser: Browser) -> Iterator[Page]:
    """Somebody who may read and do nothing."""
    login = {"username": "admin", "password": walk.stack.admin_password}
    token = call("POST", f"{walk.stack.url}/auth/token", login)[1]["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False}) | {"sub": "viewer", "role": "VIEWER"}
    header = jwt.get_unverified_header(token)
    signed = jwt.encode(claims, walk.stack.jwt_secret, algorithm=header["alg"], headers=header)
    context = browser.new_context()
    context.add_cookies([{"name": "_token", "value": signed, "url": walk.stack.url}])
    yield context.new_page()
    context.close()


def shown(walk: Walk, page: Page, view: str) -> Page:
    """The page without Airflow around it."""
    page.goto("about:blank")
    page.goto(f"{walk.stack.url}/widedeep/releases#/{view}")
    page.locator("#main[aria-busy=false]").wait_for(timeout=PATIENCE_MS)
    return page


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def test_airflow_s_menu_and_the_dag_lead_to_the_page(walk: Walk, page: Page) -> None:
    page.get_by_role("button", name="Browse").first.click()
    page.get_by_role("menuitem", name="Releases").click()
    frame = page.frame_locator("iframe[title=Releases]")
    expect(frame.get_by_role("link", name=leader(walk).release_id[:10]).first).to_be_visible(timeout=PATIENCE_MS)
    shot(page, "menu")
    frame.get_by_role("link", name="the run that made it so").click()
    page.wait_for_url("**/dags/widedeep_retrain/runs/**")
    page.goto(f"{walk.stack.url}/dags/{RETRAIN}")
    page.get_by_role("link", name="Releases").click()
    expect(page.frame_locator("iframe[title=Releases]").get_by_text("Open approvals")).to_be_visible(timeout=PATIENCE_MS)


def test_it_is_light_or_dark_as_airflow_is(walk: Walk, page: Page) -> None:
    for theme in ("dark", "light"):
        page.evaluate(f"localStorage.setItem('theme', '{theme}')")
        page.goto(f"{walk.stack.url}/plugin/widedeep-releases")
        frame = page.frame_locator("iframe[title=Releases]")
        expect(frame.get_by_text("Open approvals")).to_be_visible(timeout=PATIENCE_MS)
        assert frame.locator("html").evaluate("node => node.classList.contains('dark')") is (theme == "dark")
        shot(page, f"airflow-{theme}")


def test_the_chain_reads_by_eye_by_keys_and_in_words(walk: Walk, page: Page) -> None:
    shown(walk, page, "chain")
    expect(page.get_by_role("img", name="1 rejected, 1 held")).to_be_visible()
    expect(page.get_by_text("Duration of the steps")).to_be_visible(timeout=PATIENCE_MS)
    chart = page.get_by_role("group", name="Lane live along time")
    chart.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text(f"{day(walk, HELD)} held").first).to_be_visible()
    shot(page, "chain")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url("**#/release/r-*")


def test_a_rejected_release_tells_the_reason(walk: Walk, page: Page) -> None:
    outcome = walk.outcome(day(walk, REJECTED))
    assert outcome is not None
    shown(walk, page, "today").get_by_role("link", name=str(outcome.release_id)[:10]).first.click()
    decision = page.get_by_role("region", name="Decision")
    expect(decision).to_contain_text("reject")
    expect(decision.get_by_role("listitem").first).to_contain_text("AUC")
    expect(decision).to_contain_text("intervals over users")
    expect(page.get_by_text("not published", exact=True).first).to_be_visible()
    page.get_by_text("Show it here").click()
    expect(page.frame_locator("iframe").get_by_role("heading").first).to_be_visible()
    shot(page, "release")


def test_what_somebody_changed_in_the_contract_is_told_between_two_releases(walk: Walk, page: Page) -> None:
    outcome = walk.outcome(day(walk, REJECTED))
    assert outcome is not None
    shown(walk, page, f"release/{outcome.release_id}/vs/{leader(walk).release_id}")
    expect(page.get_by_role("row", name="gate.auc_at_least")).to_contain_text("0.99")
    shot(page, "difference")


def test_nobody_gets_in_without_a_session_and_a_viewer_starts_nothing(walk: Walk, viewer: Page) -> None:
    for path in ("releases", "api/today", "api/chain", "api/days", "api/rights"):
        assert call("GET", f"{walk.stack.url}/widedeep/{path}")[0] == 401
    shown(walk, viewer, "actions")
    expect(viewer.get_by_role("button", name="Roll back")).to_be_disabled()
    start = """dag => fetch(`/api/v2/dags/${dag}/dagRuns`, {method: "POST", headers: {"Content-Type": "application/json"},
        body: JSON.stringify({logical_date: null, conf: {reason: "because"}})}).then(answer => answer.status)"""
    assert viewer.evaluate(start, "widedeep_rollback") == 403
    viewer.get_by_role("button", name="Accept").click()
    expect(viewer.get_by_text("You may not answer this (403).")).to_be_visible()
    assert leader(walk).span == day(walk, PROMOTED)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_each_view_is_accessible_and_fits_a_telephone(walk: Walk, page: Page, view: str, theme: str) -> None:
    page.evaluate(f"localStorage.setItem('theme', '{theme}')")
    release = leader(walk).release_id
    shown(walk, page, f"release/{release}" if view == "release" else view)
    assert page.evaluate(ACCESSIBLE) == []
    shot(page, f"{view}-{theme}")
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate(ACCESSIBLE) == []
    shot(page, f"{view}-{theme}-375")


def test_a_user_s_lists_stand_side_by_side_and_wide_and_deep_add_up(walk: Walk, page: Page) -> None:
    shown(walk, page, "try")
    page.get_by_label("User").fill("13")
    page.get_by_role("button", name="Rank").click()
    table = page.get_by_role("table")
    expect(table).to_have_count(2, timeout=PATIENCE_MS)
    cells = table.first.locator("tbody tr").first.locator("td.n").all_inner_texts()
    score, wide, deep, bias = (float(text.replace("−", "-")) for text in cells[1:])
    assert 1 / (1 + exp(-(wide + deep + bias))) == pytest.approx(score, abs=2e-3)
    shot(page, "lists")


def test_a_person_approves_what_is_held_and_the_pointer_moves(walk: Walk, page: Page) -> None:
    outcome = walk.outcome(day(walk, HELD))
    assert outcome is not None
    shown(walk, page, "actions").get_by_label("Reason").fill("a good day all the same")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("Answered: Accept.")).to_be_visible()
    walk.until(lambda: leader(walk).release_id == outcome.release_id, "the held release leads", patience_s=120)
    expect(shown(walk, page, "today").get_by_role("link", name=str(outcome.release_id)[:10]).first).to_be_visible()


def test_a_person_rolls_back_from_the_page_and_the_pointer_moves(walk: Walk, page: Page) -> None:
    before = leader(walk)
    shown(walk, page, "actions").get_by_role("button", name="Roll back").click()
    page.get_by_label("Reason").fill("clicks fell by half")
    page.get_by_role("button", name="Roll back: start").click()
    expect(page.get_by_text("Started as")).to_be_visible()
    walk.until(lambda: asked(walk), "the rollback asks", patience_s=180)
    shown(walk, page, "actions").get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Answered: Approve.")).to_be_visible()
    walk.until(lambda: leader(walk).kind == "rollback", "the pointer moves back", patience_s=120)
    after = leader(walk)
    assert (after.previous, after.span, after.reason) == (before.release_id, day(walk, PROMOTED), "clicks fell by half")
    shown(walk, page, f"release/{before.release_id}")
    expect(page.get_by_text("no longer champion of live")).to_be_visible()
