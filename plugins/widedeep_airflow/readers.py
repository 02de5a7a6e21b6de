"""Who may read pages of the chain, and the store that they read."""

import os
from functools import cache
from typing import TYPE_CHECKING

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends

from widedeep_airflow.connection import task_environment

if TYPE_CHECKING:
    from widedeep.publishing.store import ObjectStore

READERS = Depends(requires_access_dag("GET", DagAccessEntity.RUN, "widedeep_retrain"))


@cache
def open_store() -> "ObjectStore":
    """The chain's store, as tasks reach it. Imported when first asked, since every Airflow process loads the plugin."""
    from widedeep.config import load_settings
    from widedeep.publishing.s3 import open_store

    environment = task_environment(os.environ)
    return open_store(load_settings(environment), environment)
