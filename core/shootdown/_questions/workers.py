"""Divide the rows of a table among processes: first in this one, then in more of them if that pays.

A new process takes a second or two until it has loaded what this one has. So this process begins alone, and small
tables are done before it would start another. Which process finds a row changes nothing of the row.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import attrs

from shootdown._compilation import running
from shootdown._compilation.announcing import tick
from shootdown._compilation.threads import cores
from shootdown._plugins import files
from shootdown._plugins.registry import registry
from shootdown._values.architecture import Architecture
from shootdown._values.errors import ShootdownError
from shootdown._values.scenario import Scenario
from shootdown._values.workload import Workload

Item = TypeVar("Item")
Found = TypeVar("Found")

#: Items that wait for a process, for each process.
_WAITING = 8
#: Seconds that this process works alone.
ALONE = 1.5
#: Seconds that others have to save.
WORTH_IT = 2.0


class EndedError(ShootdownError):
    """A process ended before its work was done."""


def free_cores() -> int:
    """Return how many CPUs this process may run on and others leave to it, at least one."""
    there = cores()
    try:
        busy, _, _ = os.getloadavg()  # this process is one of those that are counted
    except (AttributeError, OSError):
        return there
    return max(min(there, round(there + 1 - busy)), 1)


def divided(
    work: Callable[[Item], Found],
    items: Sequence[Item],
    *,
    processes: int,
    size: Callable[[Item], int] = lambda _: 1,
) -> Iterator[tuple[int, Found]]:
    """Work on all items, and yield each one's number and result as soon as it is done.

    Args:
        work: a function of a module, so that another process finds it by its name.
        items: what it takes; other processes get copies.
        processes: the most that work at once.
        size: about how much work an item is.

    Raises:
        EndedError: a process ended before its work was done.
    """
    began = time.monotonic()
    sizes = [size(item) for item in items]
    for number, item in enumerate(items):
        rest = len(items) - number
        if (
            processes > 1
            and rest > 1
            and _pays(sizes, number, time.monotonic() - began, min(processes, rest))
        ):
            yield from _others(work, items, number, sizes, min(processes, rest))
            return
        yield number, work(item)


def _pays(sizes: Sequence[int], done: int, took: float, processes: int) -> bool:
    """Whether more processes are likely to save time, by how long the first items took."""
    if took < ALONE:
        return False
    left = took * sum(sizes[done:]) / max(sum(sizes[:done]), 1)
    return left * (1 - 1 / processes) > WORTH_IT


def _others(
    work: Callable[[Item], Found], items: Sequence[Item], first: int, sizes: Sequence[int], processes: int
) -> Iterator[tuple[int, Found]]:
    """Let other processes work on the items from `first` on; they end at once if this one is interrupted."""
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing.reduction import ForkingPickler

    for kind in (Architecture, Workload, Scenario):
        ForkingPickler.register(kind, _by_name)
    pool = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(running.budget.spent, files.given()),
    )
    try:
        # The largest first, so that no long one is left at the end.
        order = iter(sorted(range(first, len(items)), key=lambda number: -sizes[number]))
        futures: dict[Any, int] = {}
        while True:
            wanted = list(itertools.islice(order, processes * _WAITING - len(futures)))
            with _uninterrupted():
                futures.update({pool.submit(work, items[number]): number for number in wanted})
            if not futures:
                break
            done, _ = wait(futures, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=futures.__getitem__):
                yield futures.pop(future), future.result()
            tick()
    except BrokenProcessPool:
        raise EndedError(
            "a process that worked on a part of this was ended; --jobs 1 does all in one process"
        ) from None
    except BaseException:
        workers = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()
        raise
    pool.shutdown()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while processes start, which then never get it: this one ends them."""
    mask: Any = getattr(signal, "pthread_sigmask", None)
    if mask is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    before = mask(
        signal.SIG_BLOCK, {signal.SIGINT}
    )  # what is blocked here is blocked in processes that start
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _by_name(value: Architecture | Workload | Scenario) -> Any:
    """Hand over what a plugin offers by its name: its functions may be ones that no other process finds by theirs."""
    kind, called = type(value).__name__, getattr(value, "called", "")
    if _offered(kind, value.name, called) == value:
        return _offered, (kind, value.name, called)
    return value.__reduce_ex__(4)


def _offered(kind: str, name: str, called: str) -> Architecture | Workload | Scenario | None:
    """Return what a plugin offers under a name, if any; an architecture as it is under the alias that was typed."""
    installed = registry()
    if kind == "Architecture":
        found = installed.architectures().get(name)
        return attrs.evolve(found, called=called) if found and called else found
    return installed.workloads().get(name) if kind == "Workload" else installed.scenarios().get(name)


def _begin(spent: float, plugins: Sequence[str]) -> None:
    """Begin a process that works for another one.

    Args:
        spent: the seconds of plain kernels in the other process: whether loading numba has paid is known by them.
        plugins: the files of plugins that the other process was given.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(ValueError, OSError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    running.budget.spent = spent
    if plugins:
        files.give(plugins)
        registry()  # what comes to work on names functions of the files by their modules


def _end_with_parent() -> None:
    """End this process when the one that it works for has ended, killed without a chance to say so."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
