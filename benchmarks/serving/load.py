"""Requests at a steady rate, sent by the clock whether earlier ones are answered or not, each timed from when it was due."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import numpy as np

CLIENTS, TIMEOUT_S = 8, 10


@dataclass
class Load:
    """What came of it: milliseconds of each answer, what failed (no answer, or not status 200), the releases that were named."""

    latencies_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    releases: set[str] = field(default_factory=set)

    def add(self, other: "Load") -> None:
        self.latencies_ms += other.latencies_ms
        self.failures += other.failures
        self.releases |= other.releases

    def figures(self) -> dict[str, Any]:
        told = {f"p{q}_ms": round(float(np.percentile(self.latencies_ms, q)), 2) for q in (50, 95, 99)}
        return {"answers": len(self.latencies_ms), "failed": len(self.failures), **told}


def steady(address: str, body: bytes, rate: float, stop: Callable[[float], bool]) -> Load:
    """`rate` requests a second until `stop`, asked with the seconds since its begin, says so."""
    load, numbers, lock, begin = Load(), count(), Lock(), time.perf_counter()

    def due() -> Iterator[float]:
        while True:
            with lock:
                at = next(numbers) / rate
            if stop(at):
                return
            yield begin + at

    def client() -> None:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=TIMEOUT_S)
        for at in due():
            time.sleep(max(0.0, at - time.perf_counter()))
            try:
                status, text = _answer(connection, body)
            except (OSError, http.client.HTTPException) as error:
                load.failures.append(repr(error))
                connection.close()
                continue
            load.latencies_ms.append(1000 * (time.perf_counter() - at))
            if status == HTTPStatus.OK:
                load.releases.add(json.loads(text)["release_id"])
            else:
                load.failures.append(f"{status} {text[:200]!r}")

    with ThreadPoolExecutor(CLIENTS) as clients:
        for done in [clients.submit(client) for _ in range(CLIENTS)]:
            done.result()
    return load


def _answer(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
    connection.request("POST", "/rank", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()
