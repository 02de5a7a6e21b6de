"""A person says what becomes of a candidate that the gate held (sixth law); the chain does not wait for it.

The answer is stored under the verdict that it judges: the first one stands, and whoever reaches the same verdict again, such as a
replay, finds it. What is accepted is promoted, unless a later span of the lane has settled by then. If who accepted died before
the pointer moved, whoever looks next moves it.
"""

import logging
import textwrap
from collections.abc import Callable, Iterable

from widedeep.artifacts import Outcome, Proposal, Release, Reply, Ruling, Verdict
from widedeep.errors import StaleError, SupersededError, WithheldError
from widedeep.publishing import layout, moves
from widedeep.publishing.moves import Because
from widedeep.publishing.pointer import champion
from widedeep.publishing.store import ObjectStore
from widedeep.steps.verdict_told import verdict_told
from widedeep.steps.workplace import Workplace, stored, wanted

log = logging.getLogger(__name__)

COLUMNS = 100  # Airflow's page shows 105 of a fenced line on a screen of 1,500 pixels, and cuts it there


def is_open(place: Workplace, held: Outcome) -> bool:
    """Whether the candidate can still be promoted: nothing has superseded it, and prune has not taken it."""
    try:
        check_open(place, held)
    except SupersededError:
        return False
    return place.store.get(layout.manifest(str(held.release_id))) is not None


def check_open(place: Workplace, held: Outcome) -> None:
    """Raise SupersededError if a later span of the lane has settled, or another champion leads than it was compared with."""
    moves.check_latest(place.store, held.lane, held.until)
    verdict, pointer = _judged(place, held)[0], champion(place.store, held.lane)
    # A lane of its own that has promoted nothing yet goes on from live's.
    if pointer and pointer.release_id not in {verdict.champion, verdict.candidate}:
        raise SupersededError(
            f"span {held.span} of lane {held.lane}: {verdict.candidate} was compared with {verdict.champion or 'nobody'}, and "
            f"{pointer.release_id} leads since. It stays stored, unpromoted."
        )


def ruled(place: Workplace, held: Outcome) -> Ruling | None:
    """The answer that stands, if there is one; an accepted candidate is promoted, unless it is or that can't be any more."""
    verdict, release = _judged(place, held)
    standing = ruling_on(place.store, verdict, release)
    try:
        _follow(place, held, standing)
    except (StaleError, WithheldError) as error:
        log.warning("%s: accepted, but not promoted: %s", held.span, error)
    return standing


def rule(place: Workplace, held: Outcome, answer: Reply, reason: str) -> Ruling:
    """Answer, and promote an accepted candidate. Returns the answer that stands, the first one.

    Raises:
        UsageError: the reason is blank.
        SupersededError: a later span of the lane has settled; nothing is kept, unless that happened at this moment.
        WithheldError, StaleError: as for a promotion; nothing is kept, unless that happened at this moment.
    """
    verdict, release = _judged(place, held)
    made = _made(release, verdict, answer, place.because(reason))
    standing = ruling_on(place.store, verdict, release)
    if standing is None:
        if answer == "accept":
            moves.approvable(place.store, held.lane, release, verdict, held.until)
        place.store.create(layout.ruling(held.span, made.verdict_sha256), made.to_bytes())
        standing = ruling_on(place.store, verdict, release) or made
    _follow(place, held, standing)
    return standing


def approved(store: ObjectStore, release: Release, verdict: Verdict, because: Because) -> Ruling:
    """The answer to a verdict by which the gate held a lane's champion beside live's: the first one, else that it is accepted."""
    made = _made(release, verdict, "accept", because)
    store.create(layout.ruling(release.span, made.verdict_sha256), made.to_bytes())
    return ruling_on(store, verdict, release) or made


def asked(place: Workplace, held: Outcome, address: Callable[[str], str]) -> str:
    """Why the gate held the candidate, its figures, and where the report is, in Markdown."""
    verdict, release = _judged(place, held)
    of = f"the candidate of span {held.span} of lane {held.lane}"
    no = "it does not, and the next candidate learns these rows"
    if isinstance(held, Proposal):
        of = f"a twin of {verdict.champion}, the champion of lane {held.lane}, that learnt its history from scratch"
        no = "it does not, and the chain goes on as it is"
    return (
        f"The gate held {release.release_id}, {of}:\n\n"
        f"{quoted(verdict_told(verdict))}\n\nIts report: {address(layout.decision_report(str(held.verdict)))}.\n\n"
        f"Accept: it becomes champion, unless a later span has settled by then. Reject: {no}. Later days go on meanwhile."
    )


def quoted(lines: Iterable[str]) -> str:
    """A Markdown block that a page shows whole. Fenced, since it quotes what somebody delivered, which is no Markdown."""
    wrapped = (textwrap.fill(line.replace("`", "'"), COLUMNS, subsequent_indent="  ") for line in lines)
    return "\n".join(("```text", *wrapped, "```"))


def _follow(place: Workplace, held: Outcome, standing: Ruling | None) -> None:
    """Promote what was accepted, unless it was promoted before: a rollback since then stands."""
    if standing and standing.answer == "accept" and held.result == "held":
        verdict, release = _judged(place, held)
        moves.approve(place.store, held.lane, release, verdict, place.because(standing.told()), held.until)


def _judged(place: Workplace, held: Outcome) -> tuple[Verdict, Release]:
    """The verdict that the candidate is held by, and what it is about."""
    key = wanted(held.verdict, "verdict", "gate")
    verdict = Verdict.from_bytes(stored(place.store, key), f"{place.store.url}/{key}")
    release = Release(
        release_id=verdict.candidate,
        span=held.span,
        manifest_sha256=verdict.candidate_manifest_sha256,
        decision=verdict.decision,
    )
    return verdict, release


def _made(release: Release, verdict: Verdict, answer: Reply, because: Because) -> Ruling:
    return Ruling(
        span=release.span,
        release_id=release.release_id,
        verdict_sha256=verdict.content_digest(),
        answer=answer,
        reason=because.reason,
        reviewed_at=because.now,
        reviewed_by=because.by,
    )


def ruling_on(store: ObjectStore, verdict: Verdict, release: Release) -> Ruling | None:
    key = layout.ruling(release.span, verdict.content_digest())
    blob = store.get(key)
    return Ruling.from_bytes(blob.data, f"{store.url}/{key}") if blob else None
