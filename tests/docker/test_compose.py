"""What docker/compose.yaml promises: no default secrets, nothing open to others, and the settings of the local stack."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.configuration import conf

from widedeep.config import Settings
from widedeep.local import environment
from widedeep.local.stack import create_stack, find_place

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker" / "compose.yaml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
IMAGE = dict(re.findall(r"\b([A-Z][A-Z_]+)=(\S+)", (ROOT / "docker" / "Dockerfile").read_text()))
ALL = {name: value for service in SERVICES.values() for name, value in service.get("environment", {}).items()}
SECRET = re.compile(r"\$\{(\w*(?:PASSWORD|SECRET|KEY|TOKEN)\w*)(:?[-?][^}]*)?\}")

# Who reads what neither Airflow's configuration nor the library does.
READ_BY = {
    "ADMIN_PASSWORD": "docker/airflow/prepare.py",
    "OIDC_CLIENT_ID": "docker/airflow/webserver_config.py",
    "OIDC_CLIENT_SECRET": "docker/airflow/webserver_config.py",
    "OIDC_DISCOVERY_URL": "docker/airflow/webserver_config.py",
    "OIDC_ROLES": "docker/airflow/webserver_config.py",
    "POSTGRES_DB": "docker/standins/postgres/start.sh",  # and the official image, as the next three
    "POSTGRES_INITDB_ARGS": "docker/standins/postgres/start.sh",
    "POSTGRES_PASSWORD": "docker/standins/postgres/start.sh",
    "POSTGRES_USER": "docker/standins/postgres/start.sh",
    "REDIS_PASSWORD": "docker/compose.yaml",  # the command of redis
}
# boto3's own (https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html), which SeaweedFS takes for its user, too.
AWS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED"}

# What the local stack sets and compose does not, with the reason.
LOCAL_ALONE = {
    "AIRFLOW_HOME": "the image has it",
    "AIRFLOW__CORE__DAGS_FOLDER": "the image has Airflow's default",
    "AIRFLOW__CORE__PLUGINS_FOLDER": "the image has Airflow's default",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "users are in the database",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": "users are in the database",
    "AIRFLOW__API__HOST": "within a container it listens to all, and its port is published on loopback",
    "AIRFLOW__API__PORT": "Airflow's default",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "Airflow's default; logs go to the bucket",
    "AWS_CONFIG_FILE": "a container has no home of somebody's",
    "AWS_SHARED_CREDENTIALS_FILE": "a container has no home of somebody's",
    "WIDEDEEP_START_DATE": "start.sh writes it into widedeep.env",
    "WIDEDEEP_HISTORY_START": "start.sh writes it into widedeep.env",
    "WIDEDEEP_FEED_START": "start.sh writes it into widedeep.env",
    "WIDEDEEP_SAMPLE": "start.sh writes it into widedeep.env",
}
# What differs, with the reason.
OTHERWISE = {
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "by the service's name",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "by the service's name",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "by the service's name",
    "AIRFLOW__CORE__FERNET_KEY": "a secret",
    "AIRFLOW__API__SECRET_KEY": "a secret",
    "AIRFLOW__API_AUTH__JWT_SECRET": "a secret",
    "AWS_ACCESS_KEY_ID": "a secret",
    "AWS_SECRET_ACCESS_KEY": "a secret",
    "WIDEDEEP_CONTRACT": "where the image has it",
    "WIDEDEEP_S3_ENDPOINT": "by the service's name",
}


# Options of the celery provider, which is in the image alone; the walk (docker/walk.py) asks Airflow there of every option.
PROVIDER = {"AIRFLOW__CELERY__RESULT_BACKEND"}


def is_read(name: str) -> bool:
    if name in PROVIDER:
        return True
    if name.startswith("AIRFLOW__"):
        section, option = name.lower().split("__")[1:]
        return option in conf.configuration_description.get(section, {"options": {}})["options"]
    if name.startswith("WIDEDEEP_"):
        return name.removeprefix("WIDEDEEP_").lower() in Settings.model_fields
    if name.startswith(("AIRFLOW_CONN_", "WEED_JWT_")):
        return True  # connections have any name; test_what_seaweedfs_signs_with has the others
    return name in AWS or (name in READ_BY and name in (ROOT / READ_BY[name]).read_text())


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_variable_is_read_by_somebody(name: str) -> None:
    assert is_read(name)


def test_a_variable_that_nobody_reads_is_noticed() -> None:
    assert not any(map(is_read, ("AIRFLOW__CORE__EXEKUTOR", "WIDEDEEP_STOER", "AWS_KEY", "ADMIN")))


def test_what_seaweedfs_signs_with_is_what_the_local_stack_sets() -> None:
    from widedeep.local.parts import SIGNING_KEYS

    assert {name for name in SERVICES["store"]["environment"] if name.startswith("WEED_")} == set(SIGNING_KEYS)


def test_the_settings_are_those_of_the_local_stack(tmp_path: Path) -> None:
    local = environment.generated(find_place(tmp_path), create_stack(date(2026, 11, 23), 8080, 9))
    here = {**IMAGE, **SERVICES["scheduler"]["environment"]}
    default = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for name, value in here.items()}

    missing = local.keys() - default.keys()
    different = {name for name in local.keys() & default.keys() if local[name] != default[name]}

    assert missing == LOCAL_ALONE.keys() - {"AIRFLOW_HOME"}
    assert different - {"AIRFLOW_HOME"} == OTHERWISE.keys() - {"AIRFLOW__API__BASE_URL"}


def test_every_address_of_the_database_names_its_driver() -> None:
    """SQLAlchemy 2.1 takes psycopg for plain `postgresql://`, which is not installed."""
    addresses = [value for value in ALL.values() if "@postgres:5432" in str(value)]

    assert len(addresses) == 3
    assert all(re.match(r"(db\+)?postgresql\+(psycopg2|asyncpg)://", value) for value in addresses)


def test_no_secret_has_a_default() -> None:
    found = SECRET.findall(TEXT)

    assert {name for name, _ in found} >= {"POSTGRES_PASSWORD", "FERNET_KEY", "JWT_SECRET", "STORE_SECRET_KEY", "SERVE_TOKEN"}
    assert {default for name, default in found if not name.startswith("OIDC_")} <= {"", ":?run docker/start.sh once"}
    for name in {name for name, _ in found if not name.startswith("OIDC_")}:
        assert f"${{{name}:?" in TEXT, f"{name} may be empty"


def test_ports_are_published_on_loopback_unless_told_otherwise() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]

    assert len(published) == 2
    assert all(port.startswith("${BIND:-127.0.0.1}:") for port in published)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_bounded_and_may_gain_no_rights(name: str) -> None:
    service = SERVICES[name]

    assert re.fullmatch(r"\$\{\w+_IMAGE:-[\w./:-]+:[\w.-]+\}", service["image"])
    assert service["mem_limit"]
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert "healthcheck" in service or name == "serving", "serving's is in its image"
    assert bool(service.get("healthcheck", {}).get("disable")) == (name in {"prepare", "sample"}), "they end"


def test_airflow_starts_after_the_database_the_store_and_its_tables() -> None:
    for name in ("api-server", "scheduler", "dag-processor", "triggerer", "worker", "worker-training"):
        waits = {part: rule["condition"] for part, rule in SERVICES[name]["depends_on"].items() if part != "redis"}
        assert waits == {
            "prepare": "service_completed_successfully",
            "postgres": "service_healthy",
            "store": "service_healthy",
        }
