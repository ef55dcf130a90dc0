"""The cost of each step of a program and how the engine treats it, computed from the table of steps before a run."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import numpy.typing as npt

from shootdown._machine import ops
from shootdown._machine.steps.row import Clock, Row, Use
from shootdown._machine.steps.table import ROWS
from shootdown._timed.costs import (
    ACTS,
    ASKS_TIME,
    CHARGED,
    ELSEWHERE,
    EXACT,
    LINE,
    LOCK_LINE,
    LOCKS,
    LRU,
    MM_LINE,
    NODE,
    NOTED,
    NOTHING,
    RELEASES,
    SERVED,
    SMALL_FAULT,
    SPENDS,
    START,
    USER,
    USER_MODE,
    VARIES,
    ZAP,
    ZONE,
    ZONE_BATCH,
)
from shootdown._values.platform import COST_NAMES

_MEANS: tuple[tuple[int, Callable[[Row], bool]], ...] = (
    (VARIES, lambda row: row.varies),
    (ASKS_TIME, lambda row: row.asks_time),
    (LOCKS, lambda row: row.lock is Use.TAKE),
    (RELEASES, lambda row: row.lock is Use.RELEASE),
    (ACTS, lambda row: row.clock in (Clock.ACTS, Clock.SPENDS)),
    (NOTED, lambda row: row.clock is Clock.NOTED),
    (SPENDS, lambda row: row.clock is Clock.SPENDS),
)


def _by_number() -> npt.NDArray[np.int64]:
    """Return how the engine treats each operation (`costs`' flags), by its number."""
    found = np.zeros(1 + max(row.number for row in ROWS), np.int64)
    for row in ROWS:
        found[row.number] = sum(flag for flag, holds in _MEANS if holds(row))
    return found


_WHAT = _by_number()


def charges(
    steps: npt.NDArray[np.int64],
    cost_of: npt.NDArray[np.int64],
    costs: npt.NDArray[np.int64],
    serial: Collection[int] = (),
) -> npt.NDArray[np.int64]:
    """Return for each step its picoseconds, how the engine treats it, what serves it and for how long.

    Shape (steps * 4,). What serves it is a kind (`costs`), the time is in picoseconds.

    Args:
        steps: operations and operands, shape (steps * 5,).
        cost_of: the index of each step's cost in `COST_NAMES`, -1 for none.
        costs: picoseconds, in the order of `COST_NAMES`, and those of a nanosecond.
        serial: the kinds that serve one CPU after another.
    """
    table = steps.reshape(-1, 5)
    what = _WHAT[table[:, 0]]
    kind, service = _served(table, cost_of, costs)
    kind[~np.isin(kind, list(serial))] = NOTHING
    charged = (cost_of >= 0) & ~((cost_of == LRU) & (kind != NOTHING))  # lru_lock's time is that of the node
    time = np.where(charged, costs[cost_of], 0)
    time = np.where(what & VARIES, time * table[:, 2], time)
    exact = cost_of == len(COST_NAMES)  # so many nanoseconds, no more and no less
    elsewhere = exact & (table[:, 0] == ops.WORK) & (table[:, 3] != 0)
    user = (np.isin(cost_of, (USER, START)) | exact) & ~elsewhere
    what = (what & ~(VARIES * exact)) + CHARGED * charged + USER_MODE * user
    what = what + EXACT * exact + ELSEWHERE * elsewhere
    what = what | ACTS * ((table[:, 0] == ops.NOTE) & (table[:, 1] == ops.NOTE_USES))
    what = what + SERVED * (kind != NOTHING)
    return np.column_stack((time, what, kind, service)).astype(np.int64).ravel()


def _served(
    table: npt.NDArray[np.int64], cost_of: npt.NDArray[np.int64], costs: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each step the kind of what serves it, and for how long.

    Taking and releasing a lock writes its line, for reading too (kernel/locking/rwsem.c: the count); a flush increments
    the mm's tlb_gen. Pages come from a zone and go back to it in batches; WORK says where none does.
    """
    kind, service = np.zeros(len(table), np.int64), np.zeros(len(table), np.int64)
    work = table[:, 0] == ops.WORK
    pages = work & np.isin(cost_of, (SMALL_FAULT, ZAP)) & (table[:, 1] == 0)
    locks = (_WHAT[table[:, 0]] & (LOCKS | RELEASES)) != 0
    for where, what, time in (
        (locks, LOCK_LINE, costs[LINE]),
        (table[:, 0] == ops.FLUSH_BEGIN, MM_LINE, costs[LINE]),
        (pages, NODE, costs[ZONE] * table[:, 2] // ZONE_BATCH),
        (work & (cost_of == LRU), NODE, costs[LRU]),
    ):
        kind = np.where(where, what, kind)
        service = np.where(where, time, service)
    return kind, service
