"""Routes of the Releases page: its files, and what they show, as JSON.

Each asks who is there, and is no coroutine: Airflow's server calls it in a thread, so that a slow store holds up nobody else.
What goes wrong is told in a sentence that names no address, no path and no key of the store's owner.
"""

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException, Query, Response
from fastapi import Path as InPath

from widedeep.artifacts import LANE, LIVE
from widedeep.errors import StoreAccessError, StoreUnavailableError, WidedeepError
from widedeep_airflow import readers

if TYPE_CHECKING:
    from pydantic import BaseModel

    from widedeep.publishing.store import ObjectStore
    from widedeep.views.shelf import Shelf

log = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
ANSWER = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}

ACTIONS = (
    "widedeep_review",
    "widedeep_rollback",
    "widedeep_freeze",
    "widedeep_promote_lane",
    "widedeep_replay",
    "widedeep_requeue",
    "widedeep_audit",
    "widedeep_retrain",
)
"""DAGs that a person starts from the page, as far as they are there."""

UNAVAILABLE = "The object store does not answer. Daily runs wait for it, too; this page looks again when you reload it."
REFUSED = "The object store refuses this server's credentials. Its log says more."
FAULT = "The chain's settings are not usable here. The API server's log says more."

ReleaseId = Annotated[str, InPath(pattern=r"^r-[0-9a-f]{16}$")]
Other = Annotated[str, Query(pattern=r"^r-[0-9a-f]{16}$")]
Lane = Annotated[str, Query(pattern=LANE)]
Limit = Annotated[int, Query(ge=1, le=500)]

router = APIRouter(dependencies=[readers.READERS])


@lru_cache(maxsize=1)
def _shelf_over(store: "ObjectStore") -> "Shelf":
    from widedeep.views.shelf import Shelf

    return Shelf(store)


def answer(look: "Callable[[Shelf], BaseModel | None]") -> Response:
    """What a view shows, as JSON; 404 if there is nothing of that name, 503 while the store can't be read."""
    try:
        found = look(_shelf_over(readers.open_store()))
    except StoreUnavailableError as error:
        raise _told(error, UNAVAILABLE) from error
    except StoreAccessError as error:
        raise _told(error, REFUSED) from error
    except WidedeepError as error:
        raise _told(error, FAULT) from error
    if found is None:
        raise HTTPException(404, "There is no such release in the store.")
    return Response(found.model_dump_json(), media_type="application/json", headers=ANSWER)


def _told(error: WidedeepError, sentence: str) -> HTTPException:
    log.warning("%s: %s", type(error).__name__, error)
    return HTTPException(503, sentence, headers=ANSWER)


@router.get("/api/today")
def show_today() -> Response:
    from widedeep.views.today import today

    return answer(today)


@router.get("/api/chain")
def show_chain(lane: Lane = LIVE, limit: Limit = 60, before: date | None = None) -> Response:
    from widedeep.views.chain import chain

    return answer(lambda shelf: chain(shelf, lane, limit, before))


@router.get("/api/releases/{release_id}")
def show_release(release_id: ReleaseId) -> Response:
    from widedeep.views.release import release

    return answer(lambda shelf: release(shelf, release_id))


@router.get("/api/releases/{release_id}/difference")
def show_difference(release_id: ReleaseId, other: Other) -> Response:
    from widedeep.views.difference import difference

    return answer(lambda shelf: difference(shelf, release_id, other))


@router.get("/api/days")
def show_days(limit: Limit = 30, before: date | None = None) -> Response:
    from widedeep.views.data import days

    return answer(lambda shelf: days(shelf, limit, before))


User = Annotated[str, Query(min_length=1, max_length=200)]


@router.get("/api/rank")
def show_lists(one: Other, other: Other, user: User) -> dict[str, Any]:
    """What a user would see by two releases. It takes seconds: the models are loaded in a process of their own."""
    return scored(one, other, user)


@router.get("/api/rank/moved")
def show_moved(one: Other, other: Other) -> dict[str, Any]:
    """What differs in the lists of sample users."""
    return scored(one, other, None)


def scored(one: str, other: str, user: str | None) -> dict[str, Any]:
    from widedeep_airflow.releases import scoring

    try:
        return scoring.explained(one, other, user)
    except scoring.BusyError as error:
        raise HTTPException(429, str(error)) from error
    except scoring.NoListError as error:
        raise HTTPException(422, str(error)) from error


@router.get("/api/rights")
def show_rights(user: GetUserDep) -> dict[str, Any]:
    """Which DAGs this person may start. It spares a form that Airflow would refuse; Airflow asks again when it is sent."""
    from airflow.api_fastapi.app import get_auth_manager

    def may(dag_id: str) -> bool:
        with suppress(HTTPException):
            return bool(
                get_auth_manager().is_authorized_dag(
                    method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id), user=user
                )
            )
        return False

    return {"user": user.get_name(), "may_start": {dag_id: may(dag_id) for dag_id in ACTIONS}}


@cache
def _files() -> tuple[str, dict[str, bytes]]:
    """The page's files, and a digest over them: it is part of their address, so browsers keep them until they change."""
    found = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir()) if path.suffix in {*KINDS, ".html"}}
    return hashlib.sha256(b"\0".join(found.values())).hexdigest()[:16], found


@router.get("/releases")
def show_page() -> Response:
    """The page itself. Its addresses are relative, so it works under any prefix of Airflow's."""
    digest, files = _files()
    html = files["index.html"].replace(b"{digest}", digest.encode())
    return Response(html, media_type="text/html; charset=utf-8", headers={**HEADERS, "Cache-Control": "private, no-cache"})


@router.get("/static/{digest}/{name}")
def show_file(digest: str, name: str) -> Response:
    """A script or style sheet of the page; a digest of another version finds today's, which nobody keeps."""
    current, files = _files()
    kind = KINDS.get(Path(name).suffix)
    if kind is None or name not in files:
        raise HTTPException(404, "There is no such file.")
    keep = "private, max-age=604800, immutable" if digest == current else "private, no-store"
    return Response(files[name], media_type=f"{kind}; charset=utf-8", headers={**HEADERS, "Cache-Control": keep})
