"""Servers are started, the bytes examined, the servers driven, and what was measured is judged: the report of a dry run."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from widedeep.artifacts import Digest, DryRunReport, Manifest, ReleaseId
from widedeep.data.contract import Contract
from widedeep.errors import IntegrityError, UnknownOutcomeError
from widedeep.evaluation import dry_run
from widedeep.evaluation.dry_run import Measured, Served
from widedeep.publishing.keys import Trust
from widedeep.publishing.store import ObjectStore
from widedeep.serving.loading import load_to_rehearse
from widedeep.serving.rehearsal.driving import drive, timed_again
from widedeep.serving.rehearsal.examining import Examined, examine, files_mb
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


@dataclass(frozen=True)
class Beside:
    """The champion, or why there is none: one that can't be served holds nobody up who can."""

    server: Server | None = None
    release_id: ReleaseId | None = None
    unserved: str | None = None
    files_mb: float = 0.0


def rehearse(
    rehearsal: Rehearsal, open_store: Callable[[], ObjectStore], contract: Contract, folder: Path, trust: Trust
) -> DryRunReport:
    """What is wrong with the candidate is a failure in the report. The store is opened once the servers are on their own.

    Raises:
        LateError: the candidate's server does not answer in time, or was killed, and nothing shows that it is not at fault.
        UnknownOutcomeError: the store, the disk or this machine is at fault, not the candidate.
        SignatureError: a release is published without the signature that is required.
    """
    deadline, scratch = time.monotonic() + rehearsal.limit_s, folder / "scratch"
    scratch.mkdir(parents=True)
    with ExitStack() as stack:
        ours = stack.enter_context(started("candidate", rehearsal.serve(rehearsal.candidate), deadline, scratch))
        champion = rehearsal.champion
        theirs = stack.enter_context(started("champion", rehearsal.serve(champion), deadline, scratch)) if champion else None
        store = open_store()
        examined = examine(store, contract, *rehearsal.candidate, folder, trust)
        if examined.traffic is None or examined.report.failures:
            return examined.report
        try:
            beside = _beside(theirs, lambda: load_to_rehearse(store, trust, *champion)) if champion and theirs else Beside()
            return _driven(ours, beside, examined, examined.traffic, contract)
        except LateError as late:
            if theirs and not (late.of == ours.name and theirs.answers()):
                raise UnknownOutcomeError(f"{late}, and so the machine is at fault: the champion is no better off") from late
            raise


def _driven(ours: Server, beside: Beside, examined: Examined, traffic: Traffic, contract: Contract) -> DryRunReport:
    limits, precision, theirs = contract.dry_run, contract.serving.precision, beside.server
    told = {"champion": beside.release_id, "champion_unserved": beside.unserved, "precision": precision}
    report = examined.report.model_copy(update=told)
    try:
        ours.wait()
    except IntegrityError as error:
        return report.model_copy(update={"failures": (f"a server refuses it: {error}",)})
    measured = drive(ours, theirs, report.release_id, traffic, examined.expected).with_files(examined.files_mb, beside.files_mb)
    only_slow = dry_run.slow(measured, limits) and not dry_run.unfit(measured, limits, precision)
    if only_slow:
        measured = timed_again(ours, theirs, traffic, measured)
    failures = dry_run.failures(measured, limits, precision)
    return report.model_copy(update={"failures": failures, "timed_again": bool(only_slow), **_figures(measured)})


def _beside(server: Server, manifest: Callable[[], Manifest]) -> Beside:
    try:
        server.wait()
        champion = manifest()
        return Beside(server, champion.release_id, None, files_mb(champion))
    except IntegrityError as error:
        return Beside(unserved=str(error))


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
