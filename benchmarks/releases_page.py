"""How long the Releases page takes with 2,000 releases, and what the plugin adds to the API server's start.

    python -m benchmarks.releases_page            # 2,000 days on SeaweedFS, five rounds; some minutes
    python -m benchmarks.releases_page --quick    # 100 days, for development; writes no file

The chain is made without training, its objects as the steps write them. Each round is a process of its own that has imported
what Airflow's API server has. *First view* is what the page asks of its own server when it is opened: `today` and the 60 newest
days of the chain, at once. *Cold* is the first of a process, with its imports; *warm* the next. Times are on the wall.
Writes `benchmarks/results/releases_page.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import made_chain
from benchmarks.machine import RESULTS, described
from widedeep.local.alone import store_alone
from widedeep.steps import open_workplace

HEAVY = ("torch", "pandas", "great_expectations", "pyarrow", "boto3")
PLUGINS = Path(__file__).parents[1] / "plugins"
FIRST_VIEW = ("/api/today", "/api/chain?limit=60")
LATER = ("/api/chain?limit=400", "/api/days?limit=30")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.releases_page")
    parser.add_argument("--quick", action="store_true", help="100 days, for development; writes no file")
    quick = parser.parse_args(arguments).quick
    days, rounds = (100, 1) if quick else (2000, 5)
    with TemporaryDirectory(prefix="widedeep-bench-") as folder, store_alone(Path(folder), date(2026, 11, 23)) as settings:
        with open_workplace(settings, actor="benchmark") as place:
            releases = len(made_chain.make_chain(place.store, days))
        home = {"AIRFLOW_HOME": str(Path(folder, "airflow")), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        found = [_round({**settings, **home}) for _ in range(rounds)]
    seconds = [name for name in found[0] if name.endswith("_s")]
    medians = {name: round(statistics.median(run[name] for run in found), 3) for name in seconds}
    result = {"machine": described(), "days": days, "releases": releases, "median": medians, "rounds": found}
    if not quick:
        (RESULTS / "releases_page.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def _round(settings: Mapping[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", "from benchmarks.releases_page import one_round; one_round()"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one_round() -> None:
    """Prints what one process measured, as its last line."""
    import airflow.api_fastapi.core_api.security  # what the server has anyway
    import airflow.plugins_manager  # noqa: F401
    from fastapi.testclient import TestClient

    before = {*sys.modules}
    sys.path.insert(0, str(PLUGINS))
    found: dict[str, Any] = {"plugin_import_s": _timed(lambda: __import__("widedeep_plugin"))}
    found["plugin_imports"] = sorted({name.partition(".")[0] for name in {*sys.modules} - before} & {*HEAVY})
    found["mount_s"] = _timed(lambda: __import__("widedeep_airflow.pages"))
    from widedeep_airflow import pages, readers

    pages.app.dependency_overrides[readers.READERS.dependency] = lambda: None
    with TestClient(pages.app) as client:
        for name, paths in (("first_view", FIRST_VIEW), ("later_pages", LATER)):
            for state in ("cold", "warm"):
                found[f"{name}_{state}_s"] = _timed(lambda paths=paths: _asked(client, paths))
    found["server_imports"] = sorted({name.partition(".")[0] for name in {*sys.modules} - before} & {*HEAVY})
    sys.stdout.write(json.dumps(found) + "\n")


def _asked(client: Any, paths: tuple[str, ...]) -> None:
    with ThreadPoolExecutor(len(paths)) as browser:
        answers = list(browser.map(client.get, paths))
    assert [answer.status_code for answer in answers] == [200] * len(paths), answers


def _timed(act: Any) -> float:
    start = time.perf_counter()
    act()
    return round(time.perf_counter() - start, 3)


if __name__ == "__main__":
    main(sys.argv[1:])
