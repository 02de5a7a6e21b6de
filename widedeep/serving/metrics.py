"""What a server tells of itself, in Prometheus's text format 0.0.4. Labels come from fixed sets, never from what a client sends.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from threading import Lock

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS_S = (0.001, 0.002, 0.003, 0.005, 0.008, 0.014, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper ends: the paper's 10 ms lies in the middle (Cheng et al. 2016, §4.3), and so do the reaches of 3, 8 and 14 ms."""

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]


class Histogram:
    """Seconds, by route."""

    def __init__(self, name: str, told: str) -> None:
        self._name, self._told = name, told
        self._counts: dict[str, list[int]] = {}
        self._sums: Counter[str] = Counter()  # of floats

    def add(self, route: str, seconds: float) -> None:
        self._counts.setdefault(route, [0] * (len(BUCKETS_S) + 1))[bisect_left(BUCKETS_S, seconds)] += 1
        self._sums[route] += seconds  # type: ignore[assignment]

    def text(self) -> str:
        return family(self._name, "histogram", self._told, self._samples())

    def _samples(self) -> Iterator[Sample]:
        for route, counts in self._counts.items():
            total = 0
            for end, count in zip([*map(str, BUCKETS_S), "+Inf"], counts, strict=True):
                total += count
                yield "_bucket", {"route": route, "le": end}, total
            yield "_sum", {"route": route}, self._sums[route]
            yield "_count", {"route": route}, total


class Metrics:
    """Of requests. Any thread may add to it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._rows = 0
        self._answer = Histogram("widedeep_request_seconds", "From a request's first byte here to its answer.")
        self._scorer = Histogram("widedeep_scoring_seconds", "Of it, encoding and scoring.")

    def answered(self, route: str, status: int, seconds: float) -> None:
        with self._lock:
            self._requests[route, status] += 1
            self._answer.add(route, seconds)

    def scored(self, route: str, rows: int, seconds: float) -> None:
        with self._lock:
            self._rows += rows
            self._scorer.add(route, seconds)

    def text(self) -> str:
        """All families of it."""
        with self._lock:
            requests = [("", {"route": route, "status": str(status)}, n) for (route, status), n in sorted(self._requests.items())]
            errors = [("", {"route": r}, n) for r, n in sorted(_failed(self._requests).items())]
            return "".join(
                [
                    family("widedeep_requests_total", "counter", "Requests that were answered.", requests),
                    family("widedeep_errors_total", "counter", "Of them, those with a status from 400 on.", errors),
                    family("widedeep_scored_rows_total", "counter", "Rows scored.", [("", {}, self._rows)]),
                    self._answer.text(),
                    self._scorer.text(),
                ]
            )


def family(name: str, kind: str, told: str, samples: Iterable[Sample]) -> str:
    """One metric with its samples, each with what its name ends in."""
    lines = [f"{name}{suffix}{_labelled(labels)} {_number(value)}" for suffix, labels, value in samples]
    return "\n".join([f"# HELP {name} {told}", f"# TYPE {name} {kind}", *lines]) + "\n"


def _failed(requests: Counter[tuple[str, int]]) -> Counter[str]:
    failed: Counter[str] = Counter()
    for (route, status), count in requests.items():
        failed[route] += count * (status >= 400)  # noqa: PLR2004  HTTP's first error
    return failed


def _labelled(labels: Labels) -> str:
    escaped = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(escaped) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.13g}"  # a moment to the millisecond
