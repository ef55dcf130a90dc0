"""Runs that come to no end: found while they run, and named by plugin, kernel function and step."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from shootdown._machine.courses import OVER
from shootdown._machine.layout import CPU_CELLS, CPU_TASK, T_PC, TASK_CELLS
from shootdown._machine.machine import Machine
from shootdown._machine.mistakes import found_in
from shootdown._machine.steps.table import STEPS
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._values.errors import ShootdownError
from shootdown._values.sites import mistake

#: Seconds after which a run is looked at more closely for the first time; then after twice as many.
_SOON = 3.0
#: The part of the time so far that a look may take, the least that it may in seconds, and the most steps in it.
_PART, _LEAST, _MANY = 0.05, 0.2, 1 << 18
#: Steps at the end of a look that may be told.
_TOLD = 1 << 12
#: Steps after which clocks that stand still are suspicious; then after twice as many.
_STILL = 10_000


class Watch:
    """Notice that a run gets nowhere: the machine is in the same state again, after every CPU that runs went on.

    Programs know nothing but that state, so that they do the same again, for ever. A run whose clocks stand still
    is looked at as soon as that is seen, any other seldom, and only if it takes long.

    Args:
        machine, books: of the run.
    """

    def __init__(self, machine: Machine, books: Books) -> None:
        self._machine, self._books = machine, books
        self._begun = time.monotonic()
        self._next = _SOON
        self._still = _STILL
        self._before: npt.NDArray[np.int64] | None = None
        self._since = 0

    def look(
        self, state: npt.NDArray[np.int64], books: npt.NDArray[np.int64], taken: int, go_on: Callable[[], int]
    ) -> int:
        """Look at a run between two slices.

        Args:
            state: of the machine.
            books: of the engine.
            taken: steps taken so far.
            go_on: takes one more step, and returns how many were taken.

        Returns:
            how many steps were taken meanwhile.

        Raises:
            ShootdownError: the run comes to no end.
        """
        clocks = self._clocks(books)
        if self._before is None or (clocks != self._before).any():
            self._before, self._since = clocks, taken
        still = taken - self._since >= self._still
        so_far = time.monotonic() - self._begun
        late = so_far >= self._next
        if not still and not late:
            return 0
        if late:
            self._next *= 2
        if still:
            self._still *= 2
        self._since = taken
        seen: dict[bytes, npt.NDArray[np.int64]] = {}
        path: list[tuple[int, int]] = []
        more = 0
        until = time.process_time() + max(_LEAST, _PART * so_far)
        while len(path) < _MANY and time.process_time() < until:
            seen_now = blake2b(state.data, digest_size=16)
            # A CPU that begins to wait may leave the state as it is, but goes on no longer.
            seen_now.update(np.sort(self._running(books)).data)
            key = seen_now.digest()
            clocks = self._clocks(books)
            before = seen.get(key)
            if before is not None and self._all_went_on(books, before, clocks):
                raise self._endless(path)
            if before is None:
                seen[key] = clocks
            path.append(self._next_step(state, books))
            went = go_on()
            more += went
            if not went:
                break
        return more

    def _clocks(self, books: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        start = self._books.o_clock
        return books[start : start + self._machine.layout.cpus].copy()

    def _all_went_on(
        self, books: npt.NDArray[np.int64], before: npt.NDArray[np.int64], now: npt.NDArray[np.int64]
    ) -> bool:
        """Say whether each CPU that runs took a step since, or time stands still; and nobody is to come back."""
        B = self._books
        if books[B.o_resume : B.o_resume + len(now)].any():
            return False
        running = self._running(books)
        return bool((now == before).all() or (now[running] > before[running]).all())

    def _running(self, books: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the CPUs that have a step to take."""
        start = self._books.o_heap
        return books[start : start + int(books[self._books.o_misc + k.HEAP_SIZE])]

    def _next_step(self, state: npt.NDArray[np.int64], books: npt.NDArray[np.int64]) -> tuple[int, int]:
        L = self._machine.layout
        cpu = int(books[self._books.o_heap])
        task = int(state[L.o_cpu + cpu * CPU_CELLS + CPU_TASK]) - 1
        return cpu, int(state[L.o_task + task * TASK_CELLS + T_PC])

    def _endless(self, path: list[tuple[int, int]]) -> ShootdownError:
        cpu, pc = min(path[-_TOLD:], key=lambda step: (step[0], step[1]))
        code = self._machine.code
        note, name = code.notes[pc], STEPS[int(code.steps[pc * 5])].name
        site = code.sites[pc] if pc < len(code.sites) else None
        plugin = site.package if site is not None else "shootdown"
        where = f" in {note.function}()" if note.function else ""
        return mistake(
            f"the run comes to no end: CPU {cpu} goes round for ever{where}, at step {pc} "
            f"({name}{', ' + repr(note.text) if note.text else ''})" + (f" of {plugin}" if plugin else ""),
            site,
        )


def refuse_mistakes(machine: Machine, state: npt.NDArray[np.int64]) -> None:
    """Refuse a run in which a task stopped at a step that is a mistake.

    Raises:
        ShootdownError: one did.
    """
    L = machine.layout
    places = state[L.o_task + T_PC : L.o_task + L.tasks * TASK_CELLS : TASK_CELLS]
    if all(int(machine.code.steps[pc * 5]) in OVER for pc in places.tolist()):
        return
    found = found_in(state, machine.code, machine.code.lists, L)
    if found is not None:
        raise found
