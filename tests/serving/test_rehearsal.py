"""A dry run on real server processes: what it measures, who is blamed when a server hangs or dies, and that nothing is left."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from widedeep.artifacts import DryRunReport
from widedeep.config import Settings
from widedeep.errors import IntegrityError, UnknownOutcomeError
from widedeep.publishing import layout
from widedeep.publishing.keys import Trust
from widedeep.serving.answers import Answers
from widedeep.serving.listening import alone, serve
from widedeep.serving.rehearsal.rehearsing import Rehearsal, rehearse
from widedeep.serving.rehearsal.servers import LateError

SETTINGS, NOBODYS = Settings(store="s3://bucket", contract="contract.yaml"), Trust({}, required=False)
LONG_S, SHORT_S = 120.0, 3.0


def named(release):
    return release.release_id, release.content_digest()


def rehearsed(shop, folder, *, beside: int | None = 0, limit_s=LONG_S, ours=serve, theirs=serve) -> DryRunReport:
    """Of the second release, as a candidate; `ours` and `theirs` serve it and the champion."""
    candidate = named(shop.releases[1])
    champion = None if beside is None else named(shop.releases[beside])

    def served(release):
        listen = ours if release == candidate else theirs
        return lambda on_address: listen(shop.store, shop.contract, SETTINGS, alone(shop.contract, release), on_address)

    return rehearse(Rehearsal(candidate, champion, limit_s, served), lambda: shop.store, shop.contract, folder, NOBODYS)


def never(*_):
    time.sleep(600)


def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_good_candidate_is_measured_beside_the_champion(shop, tmp_path):
    report = rehearsed(shop, tmp_path)
    assert report.failures == ()
    assert (report.champion, report.champion_unserved, report.precision) == (shop.releases[0].release_id, None, "float32")
    assert report.rows_scored == 200
    assert report.largest_score_error < 1e-6
    assert 0 < report.lowest_score < report.highest_score < 1
    assert report.largest_repeat_difference == 0
    assert 0.2 < report.rank_agreement <= 1
    assert len(report.score_ms) == len(report.champion_ms) == 20 + 16
    assert report.score_p50_ms <= report.score_p95_ms <= report.score_p99_ms
    assert report.peak_rss_mb > report.release_mb > 0
    assert DryRunReport.from_bytes(report.to_bytes()).content_digest() == report.content_digest()


def test_the_first_of_a_chain_is_measured_alone(shop, tmp_path):
    report = rehearsed(shop, tmp_path, beside=None)
    assert (report.failures, report.champion, report.rank_agreement, report.champion_ms) == ((), None, None, ())


def test_a_champion_that_can_not_be_served_is_told_of_and_holds_nobody_up(shop, tmp_path):
    shop.store.delete(layout.manifest(shop.releases[2].release_id))
    shop.store.delete(layout.candidate(shop.releases[2].release_id))
    report = rehearsed(shop, tmp_path, beside=2)
    assert report.failures == ()
    assert "missing" in report.champion_unserved


def refuses(*_):
    raise IntegrityError("r-x: 3 of 9 scores are not numbers")


def crashes(*_):
    raise ZeroDivisionError("by nothing")


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (refuses, "a server refuses it: r-x: 3 of 9 scores are not numbers"),
        (crashes, "a server refuses it: the server ends with ZeroDivisionError: by nothing"),
    ],
)
def test_what_keeps_its_server_from_serving_is_the_candidates_failure(shop, tmp_path, server, reason):
    assert rehearsed(shop, tmp_path, ours=server).failures == (reason,)


@pytest.mark.parametrize("server", [never, killed])
def test_a_candidate_that_hangs_or_is_killed_alone_is_late(shop, tmp_path, server):
    with pytest.raises(LateError, match="candidate: "):
        rehearsed(shop, tmp_path, ours=server, limit_s=15.0)


@pytest.mark.parametrize("ours", [never, serve])
def test_when_the_champion_does_no_better_the_machine_is_at_fault(shop, tmp_path, ours):
    with pytest.raises(UnknownOutcomeError, match="the machine is at fault") as raised:
        rehearsed(shop, tmp_path, ours=ours, theirs=never, limit_s=SHORT_S)
    assert not isinstance(raised.value, LateError)


def test_without_a_champion_nobody_can_tell_and_the_candidate_is_late(shop, tmp_path):
    with pytest.raises(LateError):
        rehearsed(shop, tmp_path, beside=None, ours=never, limit_s=SHORT_S)


def not_numbers(*arguments):
    """Once it is warm, every other score is NaN."""
    plain = Answers._scores

    def spoilt(*asked):
        scores = plain(*asked)
        return np.where(np.arange(len(scores)) % 2, np.nan, scores)

    Answers._scores = spoilt
    serve(*arguments)


def test_scores_that_are_not_numbers_fail_the_requests_that_got_them(shop, tmp_path):
    (failure,) = [f for f in rehearsed(shop, tmp_path, ours=not_numbers).failures if "good requests" in f]
    assert "failed, the first, to /score: got 500" in failure


def test_servers_end_with_the_process_that_started_them_even_if_it_is_killed(tmp_path):
    told = tmp_path / "server"
    program = (
        "import os, pathlib, time\n"
        "from widedeep.serving.rehearsal.servers import started\n"
        "def main(_):\n"
        f"    pathlib.Path({str(told)!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        "with started('candidate', main, 0.0, pathlib.Path()):\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as driver:
        until(lambda: told.exists() and told.read_text())
        server = int(told.read_text())
        driver.kill()
    until(partial(ended, server))


def ended(process_id: int) -> bool:
    """Gone, or only waiting for somebody to ask how it ended."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_dry_run_leaves_nothing_outside_its_folder_even_where_it_stops_its_servers_half_way(shop, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    release = shop.releases[1]
    (weights,) = [file for file in release.files if file.name == "weights.safetensors"]
    shop.store.objects[layout.release_file(release.release_id, weights)] = b"torn"
    (failure,) = rehearsed(shop, tmp_path / "own").failures
    assert failure.startswith("can't be loaded: ")
    assert not list(elsewhere.iterdir())
