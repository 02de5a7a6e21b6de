"""Work on the next item while the present one is used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
END = object()


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items in the same order; a thread makes each while the one before it is in use, and never more than one.

    What the making of an item raises is raised when that item is asked for.
    """
    with ThreadPoolExecutor(1, "ahead") as pool:
        coming = pool.submit(next, items, END)
        while (item := coming.result()) is not END:
            coming = pool.submit(next, items, END)
            yield item  # type: ignore[misc]
