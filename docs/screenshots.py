"""Takes the README's pictures from the running local stack, in headless Chromium: `make screenshots`.

Wants Chromium on the PATH (Debian: `apt-get install chromium`).
"""

import shutil
import sys
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, sync_playwright

from widedeep.errors import StackError
from widedeep.local.chain import AirflowApi
from widedeep.local.stack import Stack, find_place, load_stack

IMAGES = Path(__file__).parent / "images"
SETTLES_MS = 3000  # charts are drawn with an animation
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def main() -> None:
    stack = load_stack(find_place(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
    chromium = shutil.which("chromium")
    if stack is None or chromium is None:
        raise StackError("screenshots: wanted a running stack (`make local-airflow`) and Chromium (`apt-get install chromium`)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 800})
        log_in(page, stack)
        show_reasons(page, stack)
        page.screenshot(path=IMAGES / "gate.png")
        show_grid(page, stack)
        page.screenshot(path=IMAGES / "grid.png")
        show_chain(page, stack)
        page.screenshot(path=IMAGES / "chain.png")
        show_rejected(page, stack)
        page.screenshot(path=IMAGES / "release.png")
        browser.close()


def show_grid(page: Page, stack: Stack) -> None:
    """The daily runs, with the grid's panel drawn wide enough for all of them."""
    page.goto(f"{stack.url}/dags/widedeep_retrain")
    page.get_by_text("Failed Runs").wait_for()
    page.wait_for_timeout(SETTLES_MS)
    handle = page.locator("[data-panel-resize-handle-id], [role=separator]").first.bounding_box()
    if handle:
        page.mouse.move(handle["x"] + handle["width"] / 2, 650)
        page.mouse.down()
        page.mouse.move(620, 650, steps=10)
        page.mouse.up()
    page.wait_for_timeout(SETTLES_MS)


def show_reasons(page: Page, stack: Stack) -> None:
    """The log of the latest gate: the verdict and its reasons."""
    runs = AirflowApi(stack).get("dags/widedeep_retrain/dagRuns?order_by=-logical_date&limit=1&state=success")["dag_runs"]
    page.goto(f"{stack.url}/dags/widedeep_retrain/runs/{quote(runs[0]['dag_run_id'])}/tasks/gate")
    page.get_by_text("shown to be").first.wait_for()
    page.wait_for_timeout(SETTLES_MS)


def show_chain(page: Page, stack: Stack) -> None:
    """The page of releases, as Airflow's menu opens it, with the chain."""
    page.set_viewport_size({"width": 1300, "height": 1000})
    page.goto(f"{stack.url}/plugin/widedeep-releases")
    frame = page.frame_locator("iframe[title=Releases]")
    frame.get_by_role("link", name="Chain").click()
    frame.get_by_text("Duration of the steps").wait_for()
    page.wait_for_timeout(SETTLES_MS)


def show_rejected(page: Page, stack: Stack) -> None:
    """The newest release that the gate rejected, else the newest one."""
    api = f"{stack.url}/widedeep/api/chain?limit=60"
    points = page.request.get(api).json()["points"]
    releases = [point for point in points if point["release_id"]]
    newest = next((p for p in reversed(releases) if p["result"] == "rejected"), releases[-1])
    page.goto(f"{stack.url}/widedeep/releases#/release/{newest['release_id']}")
    page.get_by_role("heading", name="Where it comes from").wait_for()
    page.wait_for_timeout(SETTLES_MS)


def log_in(page: Page, stack: Stack) -> None:
    page.goto(stack.url)
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", stack.admin_password)
    page.click("button[type=submit]")
    page.wait_for_url(f"{stack.url}/**", wait_until="networkidle")


if __name__ == "__main__":
    main()
