"""Work that is done before it is asked for.

This module alone knows how the steps of a flow overlap: a thread computes the next
items of an iterator while the caller uses this one, so that reading, computing and
writing happen at the same time.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

Key = TypeVar("Key")
Item = TypeVar("Item")
_END = object()


def prefetched(
    items: Generator[Item, None, None], n_items: int = 1
) -> Generator[Item, None, None]:
    """Give the items of a generator that runs in a thread of its own.

    Parameters
    ----------
    items
        Run by one thread, item by item; what it raises is raised here in its turn.
        It is closed when this generator is closed.
    n_items
        How many may be done before they are asked for.

    Yields
    ------
    object
        The items in their order.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="napari-sr") as thread:
        upcoming: deque[Future] = deque(
            thread.submit(next, items, _END) for _ in range(n_items)
        )
        try:
            while (item := upcoming.popleft().result()) is not _END:
                upcoming.append(thread.submit(next, items, _END))
                yield item
        finally:
            for upcoming_item in upcoming:
                upcoming_item.cancel()
            # In that thread, after what it is doing: a running generator is not closed.
            thread.submit(items.close).result()


def prefetched_calls(
    make: Callable[[Key], Item],
    keys: Iterator[Key],
    n_threads: int,
    begin: Callable[[], object] | None = None,
) -> Generator[Item, None, None]:
    """Give what is made of keys, in their order, by several threads.

    Parameters
    ----------
    make
        Called by any of the threads; what it raises is raised here in its turn.
    keys
        May be endless: only a few more than were asked for are taken.
    n_threads
        How many make something at a time.
    begin
        Called once by each thread, first.

    Yields
    ------
    object
        Items in the order of the keys.
    """
    with ThreadPoolExecutor(n_threads, "napari-sr", begin) as threads:
        upcoming = deque(
            threads.submit(make, key) for key in islice(keys, n_threads + 1)
        )
        try:
            while upcoming:
                item = upcoming.popleft().result()
                upcoming.extend(threads.submit(make, key) for key in islice(keys, 1))
                yield item
        finally:
            for upcoming_item in upcoming:
                upcoming_item.cancel()
