"""Is a store safe to publish to? Every rule that publishing rests on is tried on the store itself, below a scratch prefix.

One writer after the other proves nothing: a store may refuse the second, and still let two of ten win who write at once. So the
writes are raced. What was written is removed, however the examination ends.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Protocol

from widedeep.artifacts import Value
from widedeep.errors import StaleError, UnknownOutcomeError, WidedeepError
from widedeep.publishing.store import ObjectStore

RIVALS = 10
ROUNDS = 3
"""A store that checks first and writes then lets two win in nearly every round. On SeaweedFS, where those who lose wait for a
lock that is looked at once a second, a round takes one to four seconds; elsewhere, as long as a few requests."""

ACCESS = "access"
"""The check without which no other makes sense."""

CLOCK_LIMIT = timedelta(minutes=5)
"""S3 refuses requests that are 15 minutes off; a third of that leaves time to mend the clock."""


class Check(Value):
    """One rule. `passed` is None if the store gave no usable answer: that is no verdict on the rule."""

    name: str
    passed: bool | None
    finding: str


class Diagnosis(Value):
    """What became of each check, in the order in which they were made; after one without an answer no other was made."""

    store: str
    examined_at: datetime
    checks: tuple[Check, ...]

    @property
    def safe(self) -> bool:
        return all(check.passed for check in self.checks)

    def verdict(self) -> str:
        """One sentence."""
        if self.safe:
            return f"{self.store} is safe to publish to."
        unsafe = any(check.passed is False for check in self.checks)
        why = "is not safe to publish to" if unsafe else "could not be examined"
        return f"{self.store} {why}: see {', '.join(check.name for check in self.checks if not check.passed)}."

    def in_words(self) -> str:
        """The same, with all that was found amiss."""
        faults = "; ".join(f"{check.name}: {check.finding}" for check in self.checks if not check.passed)
        return f"{self.verdict()} {faults}".rstrip()


class Server(Protocol):
    """What only the server behind a store can tell."""

    def time(self) -> datetime | None:
        """The time on its clock, which it tells with every answer, be it a refusal."""
        ...

    def accepted_damage(self, key: str) -> tuple[str, ...]:
        """What it took although the bytes were not those that their SHA-256 announced: nothing, if it keeps the rule."""
        ...

    def tells_checksum(self, key: str) -> bool:
        """Whether the SHA-256 that an object was written with comes with it when it is read."""
        ...


def examine(store: ObjectStore, server: Server | None, scratch: str, clock: Callable[[], datetime], folder: Path) -> Diagnosis:
    """Try all rules below the prefix `scratch`, which nobody else uses; `folder` takes two small files."""
    checks: list[Check] = []
    try:
        for name, rule in _rules(store, server, scratch, clock, folder):
            checks.append(_tried(name, rule))
            if checks[-1].passed is None or (name == ACCESS and not checks[-1].passed):
                break
    finally:
        if any(check.name == ACCESS and check.passed for check in checks):
            checks.append(_tried("clearing up", lambda: _cleared(store, scratch)))
    return Diagnosis(store=store.url, examined_at=clock(), checks=tuple(checks))


Rule = Callable[[], tuple[bool, str]]


def _rules(
    store: ObjectStore, server: Server | None, scratch: str, clock: Callable[[], datetime], folder: Path
) -> Iterator[tuple[str, Rule]]:
    if server:
        yield "clock", lambda: _clock(server, clock)
    yield ACCESS, lambda: _access(store, scratch)
    yield "round trip", lambda: _round_trip(store, f"{scratch}round-trip/", folder)
    if server:
        yield "damaged bytes", lambda: _damage(server, scratch)
    yield "create-only writes", lambda: _raced(store, f"{scratch}create/", _creators, "created the same object")
    yield "compare-and-swap writes", lambda: _raced(store, f"{scratch}swap/", _swappers, "replaced the same object")


def _tried(name: str, rule: Rule) -> Check:
    try:
        passed, finding = rule()
    except UnknownOutcomeError as error:
        return Check(name=name, passed=None, finding=str(error))
    except WidedeepError as error:
        return Check(name=name, passed=False, finding=str(error))
    return Check(name=name, passed=passed, finding=finding)


def _clock(server: Server, clock: Callable[[], datetime]) -> tuple[bool, str]:
    theirs = server.time()
    if theirs is None:
        return True, "the store tells no time"
    ahead = round((clock() - theirs).total_seconds())
    if abs(ahead) > CLOCK_LIMIT.total_seconds():
        where = f"{abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'}"
        return False, f"this machine's clock is {where} the store's, wanted at most {CLOCK_LIMIT.seconds} s. Set it (NTP)."
    return True, f"within {max(abs(ahead), 1)} s of the store's"


def _access(store: ObjectStore, scratch: str) -> tuple[bool, str]:
    next(store.keys(scratch), None)
    store.create(f"{scratch}access", b"")
    return True, "the credentials may list the bucket and write to it"


def _round_trip(store: ObjectStore, scratch: str, folder: Path) -> tuple[bool, str]:
    data = bytes(range(256)) * 256
    (folder / "sent").write_bytes(data)
    ref = store.upload(f"{scratch}file", folder / "sent")
    store.download(ref, folder / "received")
    if [item.size_bytes for item in store.listed(scratch)] != [len(data)]:
        return False, "an object that was just written is not listed: runs would overlook each other's work."
    store.delete(ref.name)
    if list(store.keys(scratch)) or store.get(ref.name):
        return False, "an object that was just deleted is still there."
    return True, f"{len(data)} bytes came back with their SHA-256, were listed, and could be deleted"


def _damage(server: Server, scratch: str) -> tuple[bool, str]:
    if taken := server.accepted_damage(f"{scratch}damaged"):
        return False, f"the store took {' and '.join(taken)} whose bytes are not what their SHA-256 says: it ignores checksums."
    if not server.tells_checksum(f"{scratch}access"):
        return False, "the store hands out an object without its SHA-256: damage on the way from it to a reader goes unnoticed."
    return True, "bytes that are not what their SHA-256 says are refused, and it comes with what is read"


Writers = Callable[[ObjectStore, str], Callable[[int], bool]]
"""Of a key: what each rival tries, and whether it is told that it won."""


def _raced(store: ObjectStore, prefix: str, writers: Writers, what: str) -> tuple[bool, str]:
    winners = [_winners(store, f"{prefix}{n}", writers) for n in range(ROUNDS)]
    if any(len(won) != 1 for won in winners):
        counts = ", ".join(str(len(won)) for won in winners)
        return False, (
            f"of {RIVALS} writers at once, {counts} were told in {ROUNDS} rounds that they had {what}, wanted 1 each time: "
            "two runs could both believe that they decided. Use a store with conditional writes (docs/store.md)."
        )
    standing = [store.get(f"{prefix}{n}") for n in range(ROUNDS)]
    if [blob and blob.data for blob in standing] != [b"%d" % won[0] for won in winners]:
        return False, "bytes stand that are not those of the writer who was told that it had won: what is decided could change."
    return True, f"of {RIVALS} writers at once exactly one won, {ROUNDS} times"


def _winners(store: ObjectStore, key: str, writers: Writers) -> list[int]:
    return [rival for rival, won in enumerate(_race(writers(store, key))) if won]


def _race(attempt: Callable[[int], bool]) -> list[bool]:
    start = Barrier(RIVALS)

    def run(rival: int) -> bool:
        start.wait()
        return attempt(rival)

    with ThreadPoolExecutor(RIVALS) as pool:
        return list(pool.map(run, range(RIVALS)))


def _creators(store: ObjectStore, key: str) -> Callable[[int], bool]:
    return lambda rival: store.create(key, b"%d" % rival)


def _swappers(store: ObjectStore, key: str) -> Callable[[int], bool]:
    etag = store.swap(key, b"before", None)

    def swap(rival: int) -> bool:
        try:
            store.swap(key, b"%d" % rival, etag)
        except StaleError:
            return False
        return True

    return swap


def _cleared(store: ObjectStore, scratch: str) -> tuple[bool, str]:
    for key in store.keys(scratch):
        store.delete(key)
    for upload in store.unfinished(scratch):
        store.abort(upload)
    left = list(store.keys(scratch))
    return not left, f"{len(left)} objects are left below {scratch}: grant the right to delete." if left else "nothing is left"
