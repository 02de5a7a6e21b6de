"""A connection of type `aws` gives credentials and more to the library; what would be ignored is refused; no value is told."""

import json

import pytest
from widedeep_airflow.connection import task_environment

from widedeep.config import load_settings
from widedeep.errors import SettingsError

PROCESS = {"WIDEDEEP_STORE": "s3://widedeep", "WIDEDEEP_CONTRACT": "contract.yaml", "WIDEDEEP_S3_CONNECTION": "store"}
SECRET = "never-show-this"


@pytest.fixture
def connection(monkeypatch):
    """Define the connection `store`."""

    def define(**fields):
        monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps({"conn_type": "aws"} | fields))

    return define


def test_without_a_connection_the_process_s_environment_is_handed_on_as_it_is():
    process = {"WIDEDEEP_STORE": "s3://widedeep"}
    assert task_environment(process) is process


def test_a_connection_gives_credentials_endpoint_region_role_and_certificates(connection, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    extra = {"endpoint_url": "https://s3.example.org", "region_name": "eu-west-1", "role_arn": "arn:aws:iam::1:role/w"}
    connection(login="key", password=SECRET, extra=extra | {"verify": str(bundle), "aws_session_token": "token"})
    environment = task_environment(PROCESS | {"AWS_ACCESS_KEY_ID": "of the process"})
    assert [environment[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")] == [
        "key",
        SECRET,
        "token",
    ]
    settings = load_settings(environment)
    assert (settings.s3_endpoint, settings.s3_region) == ("https://s3.example.org", "eu-west-1")
    assert (settings.s3_role_arn, settings.s3_ca_bundle) == ("arn:aws:iam::1:role/w", bundle)
    assert SECRET not in repr(settings)


def test_a_session_token_of_the_process_is_not_mixed_with_the_key_of_a_connection(connection):
    connection(login="key", password=SECRET)
    assert "AWS_SESSION_TOKEN" not in task_environment(PROCESS | {"AWS_SESSION_TOKEN": "of another key"})


def test_a_field_that_would_be_ignored_is_refused_by_name_and_no_value_is_told(connection):
    connection(login="key", password=SECRET, extra={"config_kwargs": {"x": SECRET}, "verify": False, "region_name": "eu-west-1"})
    with pytest.raises(SettingsError, match="config_kwargs, verify") as raised:
        task_environment(PROCESS)
    assert SECRET not in str(raised.value)


def test_a_connection_of_another_type_is_refused(connection):
    connection(conn_type="http", password=SECRET)
    with pytest.raises(SettingsError, match="got type 'http', wanted 'aws'"):
        task_environment(PROCESS)


def test_a_connection_that_does_not_exist_is_named():
    with pytest.raises(SettingsError, match="WIDEDEEP_S3_CONNECTION: got 'store'"):
        task_environment(PROCESS)
