"""Several pieces of work at once, in threads: compiled kernels do not hold the interpreter."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Found = TypeVar("Found")


class AbandonedError(Exception):
    """Nobody waits for this piece of work any more."""


_here = threading.local()


def check() -> None:
    """Stop this thread's work if it was abandoned; called between the parts of long work.

    Raises:
        AbandonedError: it was.
    """
    abandoned = getattr(_here, "abandoned", None)
    if abandoned is not None and abandoned.is_set():
        raise AbandonedError


def abandonment() -> threading.Event | None:
    """Return what is set when nobody waits for this thread's work any more; None if it is nobody's piece of work."""
    found: threading.Event | None = getattr(_here, "abandoned", None)
    return found


def cores() -> int:
    """Return how many CPUs this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def in_threads(work: Callable[[Item], Found], items: Sequence[Item], threads: int) -> Iterator[Found]:
    """Work on all items, a few at once, and yield what was found for each, in their order.

    Args:
        work: takes an item.
        items: what it takes.
        threads: how many work at once.
    """
    from concurrent.futures import ThreadPoolExecutor  # takes some milliseconds

    abandoned = threading.Event()

    def begin() -> None:
        _here.abandoned = abandoned

    pool = ThreadPoolExecutor(threads, initializer=begin)
    waiting: deque[Future[Found]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        abandoned.set()
        pool.shutdown(cancel_futures=True)
