"""A lock that many share or one has alone. Who wants it alone goes next: those who share can't keep it out for ever.

A thread that shares it must not ask for it again: behind one who wants it alone it would wait for itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class SharedLock:
    def __init__(self) -> None:
        self._changed = Condition()
        self._sharing = 0
        self._claimed = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._claimed)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._claimed)
            self._claimed = True
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._sharing)
            yield
        finally:
            with self._changed:
                self._claimed = False
                self._changed.notify_all()
