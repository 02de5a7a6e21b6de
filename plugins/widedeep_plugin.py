"""What Airflow finds of this project besides its DAGs: the pages of reports."""

from typing import TYPE_CHECKING, ClassVar

from airflow.plugins_manager import AirflowPlugin
from widedeep_airflow import backfills
from widedeep_airflow.links import PREFIX

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def pages(scope: "Scope", receive: "Receive", send: "Send") -> None:
    """Each process of Airflow loads plugins, and only the API server is asked for a page: what that takes is imported there."""
    from widedeep_airflow.pages import app

    await app(scope, receive, send)


class WidedeepPlugin(AirflowPlugin):
    """Mounts `widedeep_airflow.pages` in the API server; the scheduler tells runs of a backfill which it is."""

    name = "widedeep"
    fastapi_apps: ClassVar = [{"app": pages, "url_prefix": PREFIX, "name": "widedeep"}]
    listeners: ClassVar = [backfills]
