"""The cost of each step of a program and how the engine treats it, computed from the table of steps before a run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from shootdown._machine.steps.row import Clock, Row, Use
from shootdown._machine.steps.table import ROWS
from shootdown._timed.costs import (
    ACTS,
    ASKS_TIME,
    CHARGED,
    LOCKS,
    NOTED,
    RELEASES,
    SPENDS,
    START,
    USER,
    USER_MODE,
    VARIES,
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
    steps: npt.NDArray[np.int64], cost_of: npt.NDArray[np.int64], costs: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return for each step its picoseconds and how the engine treats it; shape (steps * 2,).

    Args:
        steps: operations and operands, shape (steps * 5,).
        cost_of: the index of each step's cost in `COST_NAMES`, -1 for none.
        costs: picoseconds, in the order of `COST_NAMES`, and those of a nanosecond.
    """
    table = steps.reshape(-1, 5)
    what = _WHAT[table[:, 0]]
    charged = cost_of >= 0
    time = np.where(charged, costs[cost_of], 0)
    time = np.where(what & VARIES, time * table[:, 2], time)
    exact = cost_of == len(COST_NAMES)  # so many nanoseconds, no more and no less
    what = (
        (what & ~(VARIES * exact)) + CHARGED * charged + USER_MODE * (np.isin(cost_of, (USER, START)) | exact)
    )
    return np.column_stack((time, what)).astype(np.int64).ravel()
