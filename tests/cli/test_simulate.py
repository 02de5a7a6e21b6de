"""`widedeep simulate` as a user types it, up to a release of the simulated store by the project's own contract."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WIDEDEEP = str(Path(sys.executable).with_name("widedeep"))
CONTRACT = Path(__file__).parents[2] / "dags" / "contracts" / "appstore.yaml"


@pytest.fixture(scope="module")
def environment(seaweedfs):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WIDEDEEP_", "AWS_"))}
    settings = {
        "WIDEDEEP_STORE": "s3://widedeep/simulate",
        "WIDEDEEP_S3_ENDPOINT": seaweedfs.endpoint,
        "WIDEDEEP_CONTRACT": str(CONTRACT),
    }
    return {**kept, **seaweedfs.environment, **settings, "COLUMNS": "200"}


def widedeep(environment, *arguments):
    return subprocess.run([WIDEDEEP, *arguments], env=environment, capture_output=True, text=True, check=False)


def done(environment, *arguments) -> str:
    result = widedeep(environment, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_simulated_spans_are_delivered_and_go_through_the_chain(environment, tmp_path):
    simulate = ("simulate", "--days", "4", "--rows-per-day", "6000", "--out", str(tmp_path / "store"), "--deliver")
    faults = ("--fault", "broken-column:3:device")
    shown = done(environment, *simulate, *faults)
    assert "Bayes AUC" in shown
    assert "2026-01-04" in shown
    assert done(environment, *simulate, *faults) == shown, "a second delivery of the same bytes is none"
    done(environment, "bootstrap", "--from", "2026-01-01", "--to", "2026-01-02")
    done(environment, "run", "--span", "2026-01-03")
    done(environment, "run", "--span", "2026-01-04")
    outcomes = {o["span"]: o for o in json.loads(done(environment, "spans", "--json"))}
    assert outcomes["2026-01-03"]["result"] in {"promoted", "held", "rejected"}
    assert outcomes["2026-01-03"]["snapshot"]["rows"] == 6_000
    assert outcomes["2026-01-04"]["result"] == "quarantined"
    assert "device" in " ".join(outcomes["2026-01-04"]["reasons"])


def test_json_holds_what_the_table_shows(environment, tmp_path):
    simulate = ("simulate", "--days", "2", "--rows-per-day", "1000", "--stationary", "--start", "2026-03-02", "--json")
    days = json.loads(done(environment, *simulate, "--out", str(tmp_path / "store")))
    assert [(day["span"], day["rows"]) for day in days] == [("2026-03-02", 1000), ("2026-03-03", 1000)]
    assert 0.7 < days[0]["bayes"]["auc"] < 0.9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rows-per-day", "1005"), "rows per day: got 1005, input should be a multiple of 10"),
        (("--fault", "flood:x:1"), "fault 'flood:x:1': kind: got 'flood'"),
        (("--days", "0"), "--days"),
    ],
)
def test_wrong_arguments_are_refused_in_words(environment, tmp_path, arguments, said):
    result = widedeep(environment, "simulate", *arguments, "--out", str(tmp_path / "store"))
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "store").exists()
