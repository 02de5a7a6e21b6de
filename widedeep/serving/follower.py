"""A thread that follows the champion. Whatever goes wrong there, what is held serves on, and the fault shows until it is gone."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Event, Thread

from widedeep.artifacts import Manifest
from widedeep.errors import WidedeepError
from widedeep.serving.followed import FollowedFile
from widedeep.serving.metrics import Sample, family
from widedeep.serving.reader import ModelReader

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Followed:
    """How following stands. Times are seconds since 1970; `failure` is the last one's text while it lasts."""

    manifest: Manifest | None = None
    loaded_at: float | None = None
    checked_at: float | None = None
    failing_since: float | None = None
    failure: str | None = None


class Follower:
    """`clock` tells seconds since 1970."""

    def __init__(self, reader: ModelReader, poll_s: float, kept: FollowedFile, clock: Callable[[], float] = time.time) -> None:
        self.state = Followed()
        self._reader, self._poll_s, self._kept, self._clock = reader, poll_s, kept, clock
        self._swaps: Counter[str] = Counter({"deltas": 0, "full": 0})
        self._failures = 0
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when a refresh that is under way is done."""
        self._stopping.set()
        self._thread.join()

    def follow(self) -> None:
        """Look once for a new champion, and note how it went."""
        try:
            done = self._reader.refresh()
            with self._reader.model() as held:
                manifest = held.manifest
        except Exception as error:  # a thread that died of it would leave the model to age, and nobody would see
            self._failed(error)
            return
        now = self._clock()
        loaded_at = self.state.loaded_at if done.how == "unchanged" else now
        self.state = Followed(manifest, loaded_at, checked_at=now)
        if done.how != "unchanged":
            self._swaps[done.how] += 1
            log.info("serving %s of span %s (%s)", manifest.release_id, manifest.lineage.span, done.how)
        self._keep()

    def text(self) -> str:
        """As metrics."""
        state, now = self.state, self._clock()
        swaps: list[Sample] = [("", {"how": how}, count) for how, count in self._swaps.items()]
        release = state.manifest and {"release_id": state.manifest.release_id, "span": str(state.manifest.lineage.span)}
        age_s = now - _begin_of_span(state.manifest) if state.manifest else None
        return "".join(
            [
                family("widedeep_release_info", "gauge", "The release that serves.", [("", release, 1)] if release else []),
                family("widedeep_model_age_seconds", "gauge", "Since the day of its span began (UTC).", _one(age_s)),
                family("widedeep_release_loaded_timestamp_seconds", "gauge", "When it was loaded.", _one(state.loaded_at)),
                family(
                    "widedeep_refresh_timestamp_seconds", "gauge", "When its lane was last looked at.", _one(state.checked_at)
                ),
                family("widedeep_refresh_failing", "gauge", "1 while that fails.", _one(int(state.failure is not None))),
                family("widedeep_refresh_failures_total", "counter", "How often it failed.", _one(self._failures)),
                family("widedeep_swaps_total", "counter", "Releases that were loaded.", swaps),
            ]
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.follow()
            self._stopping.wait(self._poll_s)

    def _keep(self) -> None:
        try:
            self._kept.write(self._reader.followed)
        except (OSError, WidedeepError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        told = f"{type(error).__name__}: {error}"
        if told != self.state.failure:
            log.warning("can't follow the champion: %s", told)
        self.state = replace(self.state, failure=told, failing_since=self.state.failing_since or self._clock())


def _begin_of_span(manifest: Manifest) -> float:
    return datetime.combine(manifest.lineage.span, datetime.min.time(), UTC).timestamp()


def _one(value: float | None) -> list[Sample]:
    return [] if value is None else [("", {}, value)]
