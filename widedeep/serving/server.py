"""HTTP in front of the champion. An answer is computed wholly by one release, which it names; the next comes in between requests.

`/score` and `/rank` answer 4xx for what the client has to change, 503 while there is no model or too much to do. `/health` and
`/metrics` need no token: they tell which release serves and how, and nothing of the store, of users or of items.
"""

import asyncio
import hmac
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from widedeep.model.scorer import one_thread
from widedeep.serving.answers import Answers, NoModelError, UnfitModelError
from widedeep.serving.follower import Follower
from widedeep.serving.metrics import CONTENT_TYPE, Metrics
from widedeep.serving.values import RefusedError, cut

log = logging.getLogger(__name__)

MOST_BYTES = 8 * 2**20
"""Of a body: 10,000 candidates with some 40 columns each are five or six MB."""

BODY_S = 10
"""In which a body has to be here: a client that sends slowly keeps nobody else waiting, but it keeps a connection."""

MOST_WAITING = 256
"""Requests under way, beyond which a client is told to come back: what waits longer than its client does is scored for nobody."""

HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}
"""Of answers with these statuses."""

ROUTES = "POST /rank, POST /score, GET /release, GET /health or GET /metrics"

Work = Callable[[bytes], dict[str, Any]]


@dataclass(frozen=True)
class Limits:
    body_bytes: int = MOST_BYTES
    body_s: float = BODY_S
    waiting: int = MOST_WAITING


def application(answers: Answers, follower: Follower, metrics: Metrics, token: str | None, limits: Limits = Limits()) -> FastAPI:
    """The server, which follows the champion from its start to its end. `token`: what `/score`, `/rank` and `/release` want."""
    desk = _Desk(follower, metrics, token, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        follower.start()
        yield
        await asyncio.to_thread(follower.stop)
        desk.threads.shutdown()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        return desk.unrouted(request, error)

    @app.post("/score")
    async def score(request: Request) -> Response:
        return await desk.answered("/score", request, answers.score)

    @app.post("/rank")
    async def rank(request: Request) -> Response:
        return await desk.answered("/rank", request, answers.rank)

    @app.get("/release")
    async def release(request: Request) -> Response:
        return await desk.answered("/release", request, lambda _: answers.release(follower.state))

    @app.get("/health")
    async def health() -> Response:
        found = await asyncio.to_thread(answers.health, follower.state)
        return JSONResponse(found, 200 if found["release_id"] else 503)

    @app.get("/metrics")
    async def exposition() -> Response:
        return Response(metrics.text() + follower.text(), media_type=CONTENT_TYPE)

    return app


class _Desk:
    """Takes requests in, has them worked on by threads of its own, and counts what becomes of them."""

    def __init__(self, follower: Follower, metrics: Metrics, token: str | None, limits: Limits) -> None:
        self.threads = ThreadPoolExecutor(os.cpu_count(), "request", one_thread)
        self._follower, self._metrics, self._token, self._limits = follower, metrics, token, limits
        self._waiting = 0

    async def answered(self, route: str, request: Request, work: Work) -> Response:
        began = time.perf_counter()
        self._waiting += 1
        try:
            response = await self._response(request, work)
        finally:
            self._waiting -= 1
        self._metrics.answered(route, response.status_code, time.perf_counter() - began)
        return response

    async def _response(self, request: Request, work: Work) -> Response:
        try:
            if self._waiting > self._limits.waiting:
                raise NoModelError(f"busy: {self._limits.waiting} requests are under way; come back in a second")
            self._admit(request)
            body = await self._body(request)
            return JSONResponse(await asyncio.get_running_loop().run_in_executor(self.threads, partial(work, body)))
        except RefusedError as error:
            return self._problem(str(error), error.status)
        except NoModelError as error:
            return self._problem(str(error), 503)
        except UnfitModelError as error:
            return self._problem(str(error), 500)
        except ClientDisconnect:
            return self._problem("body: the client went away before all of it was here", 400)
        except Exception:
            log.exception("%s %s", request.method, request.url.path)
            return self._problem("a fault of the server; its log tells more", 500)

    def unrouted(self, request: Request, error: HTTPException) -> Response:
        """To what no route takes: an unknown path (404), or another method than its own (405, with the header `allow`)."""
        got = cut(f"{request.method} {request.url.path}")
        return self._problem(f"request: got {got!r}, wanted {ROUTES}", error.status_code, error.headers)

    def _admit(self, request: Request) -> None:
        """A browser asks first before it sends JSON elsewhere: a page that a person visits can't ask this server on its own."""
        if self._token is not None:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                raise RefusedError("authorization: got none that fits, wanted 'Bearer <WIDEDEEP_SERVE_TOKEN of the server>'", 401)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method == "POST" and kind != "application/json":
            raise RefusedError(f"content-type: got {kind[:60]!r}, wanted 'application/json'", 415)
        if coding := request.headers.get("content-encoding"):
            raise RefusedError(f"content-encoding: got {coding[:60]!r}, wanted none: send the JSON as it is", 415)

    async def _body(self, request: Request) -> bytes:
        """All of it, counted as it comes: its announced length is only what the client says."""
        try:
            async with asyncio.timeout(self._limits.body_s):
                return await self._read(request.stream(), self._limits.body_bytes)
        except TimeoutError:
            raise RefusedError(f"body: not complete after {self._limits.body_s:g} s", 408) from None

    async def _read(self, stream: AsyncIterator[bytes], most: int) -> bytes:
        body = bytearray()
        async for piece in stream:
            body += piece
            if len(body) > most:
                raise RefusedError(f"body: got more than {most:,} bytes, wanted at most that. Send fewer rows at a time", 413)
        return bytes(body)

    def _problem(self, text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
        serving = self._follower.state.manifest
        told = {"error": text, "release_id": serving and serving.release_id}
        return JSONResponse(told, status, headers or HEADERS.get(status))
