"""The generated settings: equal from start to start, readable by their owner alone, and free of the caller's own."""

import json
import shlex
import stat
import subprocess
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.config import load_settings
from widedeep.errors import StackError
from widedeep.local import environment
from widedeep.local.stack import Place, create_stack, find_place, load_stack, save_stack

TODAY = date(2026, 11, 23)


def make(place: Place) -> dict[str, str]:
    stack = load_stack(place)
    assert stack is not None
    return environment.generated(place, stack)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = find_place(tmp_path / "state")
    save_stack(place, create_stack(TODAY, 8080, 9))
    return place


def test_the_last_daily_span_is_yesterday_and_the_history_ends_before_the_first() -> None:
    stack = create_stack(TODAY, 8080, 9)

    assert (stack.start_date, stack.last_delivered) == (date(2026, 11, 14), date(2026, 11, 22))
    assert stack.history == (date(2026, 11, 6), date(2026, 11, 13))


def test_settings_are_the_same_at_every_start(place: Place) -> None:
    assert make(place) == make(place)


def test_two_stacks_share_no_secret() -> None:
    one, two = (create_stack(TODAY, 8080, 9).model_dump() for _ in range(2))

    assert {name for name in one if one[name] == two[name]} == {"port", "start_date", "daily_spans"}


def test_only_the_owner_reads_the_stack_file(place: Place) -> None:
    assert stat.S_IMODE(place.stack_file.stat().st_mode) == 0o600


def test_a_stack_shows_no_secret_in_logs_or_traces() -> None:
    stack = create_stack(TODAY, 8080, 9)

    assert stack.admin_password not in repr(stack)
    assert stack.database_password not in str(stack)


def test_a_damaged_stack_file_says_what_is_wrong_and_what_to_do_without_its_secrets(place: Place) -> None:
    content = json.loads(place.stack_file.read_text())
    content["port"], content["colour"], content["jwt_secret"] = "many", "red", "short-secret"
    place.stack_file.write_text(json.dumps(content))

    with pytest.raises(StackError, match=r"stack\.json can't be read: .*port: .*colour: .*make clean") as error:
        load_stack(place)

    assert "short-secret" not in str(error.value)


def test_a_stack_file_from_before_the_signing_key_still_loads(place: Place) -> None:
    content = json.loads(place.stack_file.read_text())
    del content["store_signing_key"]
    place.stack_file.write_text(json.dumps(content))

    assert load_stack(place)


def test_the_library_understands_the_settings(place: Place) -> None:
    settings = load_settings(make(place))

    assert settings.store == "s3://widedeep"
    assert settings.s3_endpoint == "http://127.0.0.1:8083"
    assert (settings.history_start, settings.start_date) == (date(2026, 11, 6), date(2026, 11, 14))


@pytest.mark.parametrize("daily_spans", [1, 3, 9, 23])
def test_the_feed_delivers_from_the_day_after_the_spans_that_the_first_start_delivers(tmp_path: Path, daily_spans: int) -> None:
    stack = create_stack(TODAY, 8080, daily_spans)

    assert load_settings(environment.generated(find_place(tmp_path), stack)).feed_start == TODAY


def test_no_telemetry_leaves_the_machine_and_everything_listens_on_loopback(place: Place) -> None:
    settings = make(place)

    assert settings["GX_ANALYTICS_ENABLED"] == "False"
    assert settings["SCARF_NO_ANALYTICS"] == "true"
    assert settings["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_foreign_settings_do_not_leak_in(place: Place) -> None:
    own = {
        "AWS_PROFILE": "work",
        "AIRFLOW__CORE__FERNET_KEY": "x",
        "WIDEDEEP_COLOUR": "red",
        "PGHOST": "db",
        "PYTHONPATH": "/x",
        "HOME": "/h",
    }

    complete = environment.complete(make(place), own)

    assert complete.keys() & own.keys() == {"AIRFLOW__CORE__FERNET_KEY", "HOME"}
    assert complete["AIRFLOW__CORE__FERNET_KEY"] != "x"


def test_the_caller_s_signing_settings_reach_every_process_wherever_it_runs(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = {
        "WIDEDEEP_SIGNING_KEY_FILE": "keys/ours.key",
        "WIDEDEEP_VERIFY_KEYS": "/etc/widedeep/keys.pub",
        "WIDEDEEP_REQUIRE_SIGNATURE": "true",
    }

    settings = load_settings(environment.complete(make(place), own))

    assert settings.signing_key_file == tmp_path / "keys" / "ours.key"
    assert settings.verify_keys == Path("/etc/widedeep/keys.pub")
    assert settings.require_signature


def test_the_text_of_a_signing_key_reaches_the_processes_and_no_file(place: Place) -> None:
    complete = environment.complete(make(place), {"WIDEDEEP_SIGNING_KEY": "secret", "WIDEDEEP_VERIFY_KEYS": ""})

    assert complete["WIDEDEEP_SIGNING_KEY"] == "secret"
    assert "WIDEDEEP_VERIFY_KEYS" not in complete  # set to nothing is not set
    assert "SIGNING" not in environment.render(make(place))


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_a_proxy_of_the_caller_is_kept_away_from_this_machine(place: Place, name: str) -> None:
    complete = environment.complete(make(place), {name: "intranet", "HTTPS_PROXY": "http://proxy"})

    assert complete["NO_PROXY"] == complete["no_proxy"] == "intranet,127.0.0.1,localhost"
    assert complete["HTTPS_PROXY"] == "http://proxy"


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,9}", fullmatch=True), st.text(st.characters(exclude_categories=["Cc", "Cs"]))))
def test_the_file_gives_back_every_value(settings: dict[str, str]) -> None:
    words = shlex.split(environment.render(settings), comments=True)

    assert dict(word.split("=", 1) for word in words if word != "export") == settings


def test_a_shell_can_source_the_file(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text(environment.render(make(place) | {"TRAP": "it's $HOME `date` 50%"}))

    shown = subprocess.run(["/bin/sh", "-c", '. "$0"; exec env -0', str(file)], capture_output=True, text=True, check=True).stdout

    sourced = dict(line.split("=", 1) for line in shown.split("\0") if line)
    assert sourced["TRAP"] == "it's $HOME `date` 50%"
    assert make(place).items() <= sourced.items()
