"""One environment for every process of the stack and for `make shell`: otherwise one could silently use another database.

Nothing of the caller's own `AIRFLOW_*`, `AWS_*` or `WIDEDEEP_*` settings leaks in but those that sign and verify and those of
alerts, and no telemetry leaves the machine.
"""

import os
import shlex
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from widedeep.local.ports import HOST, port_of
from widedeep.local.stack import BUCKET, Place, Stack

FOREIGN = ("AIRFLOW_", "_AIRFLOW_", "AWS_", "GX_", "PG", "PYTHON", "WIDEDEEP_", "S3_")

SIGNING = ("WIDEDEEP_SIGNING_KEY", "WIDEDEEP_REQUIRE_SIGNATURE")
ALERTS = ("WIDEDEEP_ALERT_SLACK_CONN", "WIDEDEEP_ALERT_EMAIL_TO", "WIDEDEEP_ALERT_EMAIL_CONN", "WIDEDEEP_RELEASE_DEADLINE")
SIGNING_FILES = ("WIDEDEEP_SIGNING_KEY_FILE", "WIDEDEEP_VERIFY_KEYS")
"""The caller's: they are in no file of the stack's, so that a private key lies where its owner has put it and nowhere else."""


def generated(place: Place, stack: Stack) -> dict[str, str]:
    """The settings that the environment file holds."""
    return {**_widedeep(place, stack), **_airflow(place, stack), **_machine()}


def _widedeep(place: Place, stack: Stack) -> dict[str, str]:
    return {
        "WIDEDEEP_STORE": f"s3://{BUCKET}",
        "WIDEDEEP_S3_ENDPOINT": stack.s3_url,
        "WIDEDEEP_CONTRACT": str(place.checkout / "dags" / "contracts" / "movielens.yaml"),
        "WIDEDEEP_START_DATE": stack.start_date.isoformat(),
        "WIDEDEEP_HISTORY_START": stack.history[0].isoformat(),
        "WIDEDEEP_SAMPLE": str(place.sample),
        "WIDEDEEP_FEED_START": (stack.last_delivered + timedelta(days=1)).isoformat(),
        "AWS_ACCESS_KEY_ID": stack.store_access_key,
        "AWS_SECRET_ACCESS_KEY": stack.store_secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _airflow(place: Place, stack: Stack) -> dict[str, str]:
    address = f"airflow:{stack.database_password}@{HOST}:{port_of('postgres', stack.port)}/postgres"
    return {
        "AIRFLOW_HOME": str(place.airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(place.checkout / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(place.checkout / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "widedeep_airflow.executor.PreloadedLocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",  # the default starts 32 workers
        "AIRFLOW__CORE__FERNET_KEY": stack.fernet_key,
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the default asks DNS, which a laptop may have to wait for
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(place.passwords_file),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{stack.url}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{address}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{address}",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port_of("api-server", stack.port)),
        "AIRFLOW__API__BASE_URL": stack.url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": stack.api_secret,
        "AIRFLOW__API_AUTH__JWT_SECRET": stack.jwt_secret,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(place.airflow_home / "logs"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        # A task that ended with the stack is retried a minute after the next start, not five.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        # Between two tasks of a run the scheduler sleeps; at the default of 1 s that is 4 s of a span.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "SCARF_NO_ANALYTICS": "true",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "False",
    }


def _machine() -> dict[str, str]:
    """One thread per task: four tasks share a laptop's cores, and the number of threads is part of a release's identity."""
    return {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def complete(settings: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """A process's environment: the caller's own without foreign settings but those that sign or alert, with the stack's, and no
    proxy for this machine. Files get absolute paths: tasks run in other folders.
    """
    handed_on = {name: own[name] for name in (*SIGNING, *ALERTS) if own.get(name)}
    handed_on |= {name: str(Path(own[name]).absolute()) for name in SIGNING_FILES if own.get(name)}
    kept = {name: value for name, value in own.items() if not name.startswith(FOREIGN)}
    direct = ",".join(filter(None, (own.get("NO_PROXY") or own.get("no_proxy"), HOST, "localhost")))
    path = os.pathsep.join((str(Path(sys.executable).parent), own.get("PATH", os.defpath)))
    return {**kept, **handed_on, **settings, "PATH": path, "NO_PROXY": direct, "no_proxy": direct}


def render(settings: Mapping[str, str]) -> str:
    """The text of the environment file, which a shell can source."""
    head = "# Generated at each start; `make shell` opens a shell with it. Holds secrets.\n"
    return head + "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
