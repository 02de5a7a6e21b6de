"""`widedeep doctor` as a person at the shell meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WIDEDEEP = str(Path(sys.executable).with_name("widedeep"))


@pytest.fixture
def doctor(seaweedfs):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WIDEDEEP_", "AWS_"))}
    settings = {
        "WIDEDEEP_STORE": "s3://widedeep/doctor-of-the-shell",
        "WIDEDEEP_S3_ENDPOINT": seaweedfs.endpoint,
        "WIDEDEEP_CONTRACT": str(Path(__file__).parents[1] / "contracts" / "shop.yaml"),
    }

    def run(*arguments, **changes):
        environment = {**kept, **seaweedfs.environment, **settings, **changes}
        return subprocess.run([WIDEDEEP, "doctor", *arguments], env=environment, capture_output=True, text=True, check=False)

    return run


def test_a_safe_store_is_called_safe_in_words_with_exit_status_0(doctor):
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "s3://widedeep/doctor-of-the-shell is safe to publish to."
    assert "of 10 writers at once exactly one won" in done.stdout


def test_a_store_that_refuses_is_not_called_safe_and_the_secret_is_told_nowhere(doctor):
    done = doctor("--json", AWS_SECRET_ACCESS_KEY="mistyped-secret")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert not told["safe"]
    assert [check["name"] for check in told["checks"] if check["passed"] is False] == ["access"]
    assert "mistyped-secret" not in done.stdout + done.stderr


def test_a_store_that_is_down_could_not_be_examined(doctor):
    done = doctor(WIDEDEEP_S3_ENDPOINT="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "could not be examined" in done.stdout
    assert "Traceback" not in done.stderr
