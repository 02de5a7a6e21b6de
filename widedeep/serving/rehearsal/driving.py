"""Asks the candidate's server all that a dry run asks, the champion's in turn, and measures both. Nothing is judged here."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import cycle, islice
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from widedeep.evaluation.dry_run import Measured, Scores, Served, rank_correlation
from widedeep.serving.rehearsal.servers import OK, Answer, Server
from widedeep.serving.rehearsal.traffic import Request, Traffic

REFUSALS = range(400, 500)

WARM = 2
"""Requests of each kind that go before those that are timed: the first of a kind prepares the layers."""

CLIENTS, BURST = 8, 96
"""Of the burst: how many ask at once, and how many requests in all."""

Asked = Sequence[tuple[Request, Answer]]


@dataclass(frozen=True)
class Round:
    """The same requests, asked of both in turn; `theirs` is empty without a champion."""

    ours: Asked
    theirs: Asked

    def ms(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of the requests that were answered."""
        return _ms(self.ours), _ms(self.theirs)


def drive(candidate: Server, champion: Server | None, release_id: str, traffic: Traffic, expected: Sequence[float]) -> Measured:
    """Raises LateError: one of them does not answer in time, or its process has ended."""
    scored, ranked = traffic.scored(), traffic.ranked()
    real = asked_in_turn(candidate, champion, [*scored, *ranked])
    held_mb, _ = candidate.memory_mb()
    good = [*real.ours, *_asked(candidate, [*traffic.by_ids(), *traffic.unseen()])]
    malformed = _asked(candidate, [*traffic.malformed()])
    burst = _burst(candidate, [*scored, *ranked])
    after_mb, peak_mb = candidate.memory_mb()
    ours, theirs = real.ms()
    scores = [scores_of(answer) for _, answer in real.ours[: len(scored)]]
    return Measured(
        Served(candidate.load_s, ours, candidate.base_mb, peak_mb, after_mb - held_mb),
        Served(champion.load_s, theirs, champion.base_mb, champion.memory_mb()[1]) if champion else None,
        _of_scores(scores, expected),
        repeated=_repeated(real.ours, burst),
        agreement=_agreement(real),
        faults=(*_faults("good requests", [*good, *burst], _wrong(release_id)), *_faults("malformed requests", malformed, _harm)),
    )


def asked_in_turn(candidate: Server, champion: Server | None, requests: Sequence[Request]) -> Round:
    """Who is first alternates."""
    for each in filter(None, (candidate, champion)):
        _asked(each, [*requests[:WARM], *requests[-WARM:]])
    ours: list[tuple[Request, Answer]] = []
    theirs: list[tuple[Request, Answer]] = []
    for i, request in enumerate(requests):
        turn = [(candidate, ours), (champion, theirs)]
        for server, answers in turn if i % 2 else reversed(turn):
            if server:
                answers.append((request, server.ask(request)))
    return Round(ours, theirs)


def timed_again(candidate: Server, champion: Server | None, traffic: Traffic, measured: Measured) -> Measured:
    """The same, with the times of another round. Raises: as `drive`."""
    ours, theirs = asked_in_turn(candidate, champion, [*traffic.scored(), *traffic.ranked()]).ms()
    beside = measured.champion and replace(measured.champion, ms=theirs)
    return replace(measured, candidate=replace(measured.candidate, ms=ours), champion=beside)


def scores_of(answer: Answer) -> NDArray[np.float64]:
    """Of rows or of a list's items, in the order in which they were sent; empty without an answer."""
    items = sorted(answer.told.get("items", []), key=lambda item: item["index"])
    return np.array(answer.told.get("scores", [item["score"] for item in items]), np.float64)


def _asked(server: Server, requests: Sequence[Request]) -> Asked:
    return [(request, server.ask(request)) for request in requests]


def _burst(server: Server, requests: Sequence[Request]) -> Asked:
    many = [*islice(cycle(requests), BURST)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        return [*zip(many, clients.map(server.ask, many), strict=True)]


def _of_scores(scores: Sequence[NDArray[np.float64]], expected: Sequence[float]) -> Scores:
    """Parity where there is a number to compare: what was not answered, or is none, is a fault already."""
    found = np.concatenate(scores) if scores else np.empty(0)
    finite = found[np.isfinite(found)]
    whole = len(found) == len(expected) and len(finite) == len(found)
    error = float(np.abs(found - np.array(expected)).max()) if whole else 0.0
    extremes = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    return Scores(len(finite), *extremes, error)


def _repeated(first: Asked, again: Asked) -> float:
    known = {request.body: scores_of(answer) for request, answer in first if answer.status == OK}
    pairs = [(known[r.body], scores_of(a)) for r, a in again if a.status == OK and r.body in known]
    return max((float(np.abs(a - b).max()) if len(a) == len(b) else 1.0 for a, b in pairs), default=0.0)


def _agreement(real: Round) -> float | None:
    """The mean over the lists that both ranked."""
    both = zip(real.ours, real.theirs, strict=False)
    lists = [(scores_of(one), scores_of(other)) for (request, one), (_, other) in both if request.path == "/rank"]
    found = [rank_correlation(a, b) for a, b in lists if len(a) == len(b) > 1 and np.isfinite([*a, *b]).all()]
    known = [correlation for correlation in found if correlation is not None]
    return mean(known) if known else None


def _ms(asked: Asked) -> tuple[float, ...]:
    return tuple(round(answer.ms, 3) for _, answer in asked if answer.status == OK)


def _faults(what: str, asked: Asked, fault_of: Callable[[Answer], str | None]) -> Iterator[str]:
    """How many had one, and the first."""
    faults = [(request, fault) for request, answer in asked if (fault := fault_of(answer))]
    if faults:
        request, fault = faults[0]
        odd = f" ({request.name})" if request.name else ""
        yield f"{what}: {len(faults)} of {len(asked)} failed, the first, to {request.path}{odd}: {fault}"


def _wrong(release_id: str) -> Callable[[Answer], str | None]:
    """What is wrong with an answer to a good request."""

    def fault_of(answer: Answer) -> str | None:
        if answer.status != OK:
            return f"got {_told(answer)}, wanted an answer"
        if answer.told.get("release_id") != release_id:
            return f"was answered by {answer.told.get('release_id')}, wanted {release_id}"
        scores = scores_of(answer)
        bad = int((~np.isfinite(scores)).sum())
        return f"{bad} of {len(scores)} scores are not numbers" if bad else None

    return fault_of


def _harm(answer: Answer) -> str | None:
    """What is wrong with an answer to a malformed request."""
    refused = answer.status in REFUSALS and answer.told.get("error")
    return None if refused else f"got {_told(answer)}, wanted 4xx with a reason"


def _told(answer: Answer) -> str:
    return f"{answer.status or 'no answer'}: {answer.told.get('error', 'no reason')}"
