"""Before Airflow's parts start: its tables, its administrator and the chain's bucket. Whatever is there is left as it is.

Where an identity provider knows the users (see `webserver_config.py`), or without ADMIN_PASSWORD, no administrator is made.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable

from widedeep.config import load_settings
from widedeep.errors import WidedeepError
from widedeep.publishing.s3 import open_store

PATIENCE_S = 180  # a database that recovers after a crash


def main() -> None:
    await_(database_answers, "the database")
    await_(bucket_is_there, "the object store")
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)
    if os.environ.get("ADMIN_PASSWORD") and not os.environ.get("OIDC_DISCOVERY_URL"):
        make_administrator(os.environ["ADMIN_PASSWORD"])


def await_(answers: Callable[[], str | None], what: str) -> None:
    """Ask until there is no complaint."""
    deadline = time.monotonic() + PATIENCE_S
    while complaint := answers():
        if time.monotonic() > deadline:
            sys.exit(f"prepare: {what} does not answer within {PATIENCE_S} s: {complaint}")
        time.sleep(1)


def database_answers() -> str | None:
    import psycopg2  # noqa: PLC0415

    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2://", "postgresql://")
    try:
        psycopg2.connect(url, connect_timeout=5).close()
    except psycopg2.OperationalError as error:
        return str(error).strip()
    return None


def bucket_is_there() -> str | None:
    """It is made where there is none and the settings name a server; on AWS whoever owns the account makes it."""
    settings = load_settings(os.environ)
    try:
        store = open_store(settings)
        if settings.s3_endpoint:
            store.ensure_bucket()
        store.get("lanes/live/champion.json")
    except WidedeepError as error:
        return str(error)
    return None


def make_administrator(password: str) -> None:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder  # noqa: PLC0415

    with get_application_builder() as builder:
        users = builder.sm
        if users.find_user("admin") is None:
            users.add_user("admin", "Admin", "Admin", "admin@example.invalid", users.find_role("Admin"), password=password)


if __name__ == "__main__":
    main()
