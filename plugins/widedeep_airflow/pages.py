"""Reports in the browser: `/widedeep/KEY` shows a page from the store to whoever may read the daily DAG.

Only pages of reports are shown. They may quote what somebody delivered, so nothing in them runs.
"""

import os
from functools import cache
from typing import TYPE_CHECKING

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Response

from widedeep.errors import WidedeepError
from widedeep.publishing import layout
from widedeep_airflow.connection import task_environment

if TYPE_CHECKING:
    from widedeep.publishing.store import ObjectStore

READERS = Depends(requires_access_dag("GET", DagAccessEntity.RUN, "widedeep_retrain"))
HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}

app = FastAPI(title="Widedeep", docs_url=None, redoc_url=None, openapi_url=None)


@cache
def open_store() -> "ObjectStore":
    """The chain's store, as tasks reach it. Imported when first asked, since every Airflow process loads this module."""
    from widedeep.config import load_settings
    from widedeep.publishing.s3 import open_store

    environment = task_environment(os.environ)
    return open_store(load_settings(environment), environment)


# No coroutine: Airflow's server calls it in a thread, so that a slow store holds up nobody else.
@app.get("/{key:path}", dependencies=[READERS])
def show(key: str) -> Response:
    """A page of a report; 404 for whatever is none, 503 while the store can't be read."""
    if not layout.is_report(key):
        raise HTTPException(404, f"{key!r}: no page of a report. Open the link of a task.")
    try:
        found = open_store().get(key)
    except WidedeepError as error:
        raise HTTPException(503, str(error)) from error
    if found is None:
        raise HTTPException(404, f"{key!r}: not in the store. `widedeep prune` may have removed it.")
    return Response(found.data, media_type="text/html; charset=utf-8", headers=HEADERS)
