"""Pages in the browser, for whoever may read the daily DAG: the Releases page, and reports. `/widedeep/KEY` shows one.

Of the store only pages of reports are shown as they are. They may quote what somebody delivered, so nothing in them runs.
"""

from fastapi import FastAPI, HTTPException, Response

from widedeep.errors import WidedeepError
from widedeep.publishing import layout
from widedeep_airflow.readers import READERS, open_store
from widedeep_airflow.releases.routes import router

HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}

app = FastAPI(title="Widedeep", docs_url=None, redoc_url=None, openapi_url=None)


app.include_router(router)


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
