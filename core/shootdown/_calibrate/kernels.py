"""What runs beside a measured call, and what reads memory so that TLBs and caches decide how long it takes."""

from __future__ import annotations

from shootdown._compilation.kernels import kernel
from shootdown._machine.bits import Cells, int64


@kernel
def spin(times: int) -> int:
    """Compute and touch no memory: its CPU stays in this process, in user mode."""
    found = int64(1)
    for _ in range(times):
        found = (found * 2862933555777941757 + 3037000493) & 0x7FFFFFFFFFFFFFFF
    return found


@kernel
def chase(cells: Cells, start: int, times: int) -> int:
    """Follow indices from cell to cell, so that each read waits for the one before."""
    at = int64(start)
    for _ in range(times):
        at = cells[at]
    return at
