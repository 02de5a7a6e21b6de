"""What Airflow finds of this project besides its DAGs: the pages of reports."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin
from widedeep_airflow.links import PREFIX
from widedeep_airflow.pages import app


class WidedeepPlugin(AirflowPlugin):
    """Mounts `widedeep_airflow.pages` in the API server."""

    name = "widedeep"
    fastapi_apps: ClassVar = [{"app": app, "url_prefix": PREFIX, "name": "widedeep"}]
