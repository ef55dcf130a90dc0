"""Which steps may change what CPUs hold or can use: after other steps nothing is looked for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shootdown._machine import ops as o
from shootdown._machine.steps.table import ROWS, steps_that

#: What no walker reads and no use of a translation depends on.
_APART = frozenset(
    {
        "lock",
        "pending",
        "call",
        "variable",
        "share",
        "trim",
        "irq",
        "users",
        "generation",
        "preempted",
        "global",
    }
)
#: Steps that touch nothing else, or only read it.
_STILL = steps_that(lambda row: all(one.what in _APART or not one.writes for one in row.touches)) - {
    o.FLUSH_SELF,
    o.FLUSH_LOCAL_PAGES,
}
_ACTS = np.ones(max(row.number for row in ROWS) + 1, np.uint8)
_ACTS[sorted(_STILL)] = 0


def acting(steps: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return for each step whether it may change what CPUs hold or can use; `steps` as in `Code`."""
    found: npt.NDArray[np.uint8] = _ACTS[steps[::5]]
    return found
