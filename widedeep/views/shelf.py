"""Objects of the store as they were read before: what is written once is read once.

- Kept is what a view makes of an object, not its bytes, and only of keys that are never written again.
- What is not there yet is asked for again; so is a listing once it is older than `fresh_s`. For two minutes more who asks gets
  the old one at once, and who asks next what was listed meanwhile.
- A damaged object is a value, `Unreadable`: one bad manifest must not hide two thousand good ones.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

from pydantic import ValidationError

from widedeep.errors import FormatError, IntegrityError, WidedeepError
from widedeep.publishing.store import ObjectStore

log = logging.getLogger(__name__)

T = TypeVar("T")

READERS = 10
"""Objects that are fetched at once: as many connections as the S3 client keeps open."""

MOST = 60_000
"""Values that are kept: some twenty for each of 2,000 releases."""

FRESH_S = 5.0
"""Who reloads the page at once does not list again."""

STALE_S = 120.0
"""How long after that an old listing is good enough to look at: one of 5,000 keys takes a second on a local store."""

UNREADABLE = (IntegrityError, FormatError, ValidationError, ValueError, KeyError, TypeError)


@dataclass(frozen=True)
class Unreadable:
    """An object that is there, and is not what it should be. `key` says which; why is in the server's log."""

    key: str


class Shelf:
    """Thread-safe. Two who ask for the same at once may both read it."""

    def __init__(
        self, store: ObjectStore, *, clock: Callable[[], float] = time.monotonic, readers: int = READERS, most: int = MOST
    ) -> None:
        self.store = store
        self._clock = clock
        self._most = most
        self._kept: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._listed: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._under_way: set[str] = set()
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="shelf")
        self._behind = ThreadPoolExecutor(2, thread_name_prefix="shelf-behind")

    def value(self, key: str, read: Callable[[bytes], T]) -> T | Unreadable | None:
        """What `read` makes of an object that is written once; None if it is not there.

        Raises:
            StoreUnavailableError, StoreAccessError: the store can't be read.
        """
        name = (key, f"{read.__module__}.{read.__qualname__}")
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                found: T | Unreadable = self._kept[name]
                return found
        return self._keep(name, self.fresh(key, read))

    def fresh(self, key: str, read: Callable[[bytes], T]) -> T | Unreadable | None:
        """The same of an object that may be replaced: it is read each time."""
        blob = self.store.get(key)
        if blob is None:
            return None
        try:
            return read(blob.data)
        except UNREADABLE as error:
            log.warning("%s/%s: can't be read: %s", self.store.url, key, error)
            return Unreadable(key)

    def keys(self, prefix: str, fresh_s: float = FRESH_S) -> tuple[str, ...]:
        """All keys that begin so, as they were at most `fresh_s` seconds ago, or when somebody asked within two minutes."""
        known = self._listed.get(prefix)
        if known is None or self._clock() - known[0] > fresh_s + STALE_S:
            return self._list(prefix)
        if self._clock() - known[0] > fresh_s:
            self._list_behind(prefix)
        return known[1]

    def _list(self, prefix: str) -> tuple[str, ...]:
        now, found = self._clock(), tuple(self.store.keys(prefix))
        with self._lock:
            if len(self._listed) >= self._most:
                self._listed.clear()
            self._listed[prefix] = (now, found)
        return found

    def _list_behind(self, prefix: str) -> None:
        """List again while nobody waits, unless that is under way."""
        with self._lock:
            if prefix in self._under_way:
                return
            self._under_way.add(prefix)

        def again() -> None:
            try:
                self._list(prefix)
            except WidedeepError as error:  # whoever waits for it next is told
                log.warning("%s", error)
            finally:
                with self._lock:
                    self._under_way.discard(prefix)

        self._behind.submit(again)

    def each(self, ask: Callable[[Any], T], of: Iterable[Any]) -> list[T]:
        """`ask` of each, some at once, in their order. What is asked must not ask so in turn."""
        return list(self._pool.map(ask, of))

    def _keep(self, name: tuple[str, str], value: T | Unreadable | None) -> T | Unreadable | None:
        if value is None or isinstance(value, Unreadable):  # it may be restored from a copy
            return value
        with self._lock:
            self._kept[name] = value
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return value
