"""Servers are started, the bytes examined, the servers driven, and what was measured is judged: the report of a dry run."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from widedeep.artifacts import Digest, DryRunReport, ReleaseId
from widedeep.data.contract import Contract
from widedeep.errors import IntegrityError, UnknownOutcomeError
from widedeep.evaluation import dry_run
from widedeep.evaluation.dry_run import Measured, Served
from widedeep.publishing.keys import Trust
from widedeep.publishing.store import ObjectStore
from widedeep.serving.rehearsal.driving import drive, timed_again
from widedeep.serving.rehearsal.examining import Examined, examine
from widedeep.serving.rehearsal.servers import LateError, Main, Server, started
from widedeep.serving.rehearsal.traffic import Traffic

Named = tuple[ReleaseId, Digest]
"""A release and its manifest's digest."""


@dataclass(frozen=True)
class Rehearsal:
    """Who is rehearsed, beside whom; `serve` makes of either what a server's process runs. `limit_s`: how long it may take."""

    candidate: Named
    champion: Named | None
    limit_s: float
    serve: Callable[[Named], Main]


def rehearse(
    rehearsal: Rehearsal, open_store: Callable[[], ObjectStore], contract: Contract, folder: Path, trust: Trust
) -> DryRunReport:
    """What is wrong with the candidate is a failure in the report. The store is opened once the servers are on their own.

    Raises:
        LateError: the candidate's server does not answer in time, or was killed, and nothing shows that it is not at fault.
        UnknownOutcomeError: the store, the disk or this machine is at fault, not the candidate.
        SignatureError: a release is published without the signature that is required.
    """
    deadline = time.monotonic() + rehearsal.limit_s
    with ExitStack() as stack:
        ours = stack.enter_context(started("candidate", rehearsal.serve(rehearsal.candidate), deadline))
        champion = rehearsal.champion
        theirs = stack.enter_context(started("champion", rehearsal.serve(champion), deadline)) if champion else None
        examined = examine(open_store(), contract, *rehearsal.candidate, folder, trust)
        if examined.traffic is None or examined.report.failures:
            return examined.report
        try:
            return _driven(rehearsal, ours, theirs, examined, examined.traffic, contract)
        except LateError as late:
            if theirs and not (late.of == ours.name and theirs.answers()):
                raise UnknownOutcomeError(f"{late}; the champion beside it does no better, so this machine is too slow") from late
            raise


def _driven(
    rehearsal: Rehearsal, ours: Server, theirs: Server | None, examined: Examined, traffic: Traffic, contract: Contract
) -> DryRunReport:
    champion = rehearsal.champion[0] if rehearsal.champion else None
    theirs, unserved = _beside(theirs)
    told = {"champion": champion, "champion_unserved": unserved, "precision": contract.serving.precision}
    report = examined.report.model_copy(update=told)
    try:
        ours.wait()
    except IntegrityError as error:
        return report.model_copy(update={"failures": (f"a server refuses it: {error}",)})
    limits, precision = contract.dry_run, contract.serving.precision
    measured = drive(ours, theirs, rehearsal.candidate[0], traffic, examined.expected)
    only_slow = dry_run.slow(measured, limits) and not dry_run.unfit(measured, limits, precision)
    if only_slow:
        measured = timed_again(ours, theirs, traffic, measured)
    failures = dry_run.failures(measured, limits, precision)
    return report.model_copy(update={"failures": failures, "timed_again": bool(only_slow), **_figures(measured)})


def _beside(champion: Server | None) -> tuple[Server | None, str | None]:
    """The champion's server, or why there is none: a champion that can't be served holds nobody up who can."""
    try:
        if champion:
            champion.wait()
    except IntegrityError as error:
        return None, str(error)
    return champion, None


def _figures(measured: Measured) -> dict[str, object]:
    ours, theirs = measured.candidate, measured.champion
    return {
        "score_ms": ours.ms,
        "rows_scored": measured.scores.rows,
        "largest_score_error": measured.scores.largest_error,
        "lowest_score": measured.scores.lowest,
        "highest_score": measured.scores.highest,
        "largest_repeat_difference": measured.repeated,
        "rank_agreement": measured.agreement,
        "load_s": round(ours.load_s, 3),
        "peak_rss_mb": round(ours.peak_mb, 1),
        "release_mb": round(ours.own_mb, 1),
        "growth_mb": round(ours.growth_mb, 1),
        **_percentiles("score", ours),
        **({"champion_ms": theirs.ms, "champion_release_mb": round(theirs.own_mb, 1)} if theirs else {}),
        **(_percentiles("champion", theirs) if theirs else {}),
    }


def _percentiles(of: str, served: Served) -> dict[str, float | None]:
    found = {q: served.percentile(q) for q in (50, 95, 99)}
    return {f"{of}_p{q}_ms": None if ms is None else round(ms, 3) for q, ms in found.items()}
