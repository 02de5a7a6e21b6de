"""What Airflow finds of this project besides its DAGs: its pages."""

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


def releases_view(destination: str, url_route: str) -> dict[str, str]:
    """The Releases page in Airflow's UI; without a slash in front its address follows the prefix that Airflow is served under."""
    return {
        "name": "Releases",
        "href": f"{PREFIX.removeprefix('/')}/releases",
        "destination": destination,
        "url_route": url_route,
    }


class WidedeepPlugin(AirflowPlugin):
    """Mounts `widedeep_airflow.pages` in the API server and shows the Releases page under Browse and on each DAG; the scheduler
    tells runs of a backfill which it is."""

    name = "widedeep"
    fastapi_apps: ClassVar = [{"app": pages, "url_prefix": PREFIX, "name": "widedeep"}]
    external_views: ClassVar = [
        {**releases_view("nav", "widedeep-releases"), "category": "browse"},
        releases_view("dag", "widedeep-releases-of-dag"),
    ]
    listeners: ClassVar = [backfills]
