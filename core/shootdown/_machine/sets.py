"""Sets of CPUs, a bit for each: those of the machine and those of an mm."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import Layout

# Positions in layout.CPU_SETS and layout.MM_SETS; a test keeps them in step.
ONLINE, IRQ_OFF, LAZY, PREEMPTED, FLUSH_ON_ENTRY, WALKING = range(6)
MASK, LOADED, BEHIND, FAR_BEHIND, LEAF, WALK, STALE_LEAF, STALE_WALK = range(8)
MM_SET_COUNT = 8


@inlined
def cpu_set(L: Layout, which: int) -> int:
    """Say where a CPU set of the machine begins."""
    return L.o_sets + which * L.words


@inlined
def mm_set(L: Layout, mm: int, which: int) -> int:
    """Say where a CPU set of an mm begins."""
    return L.o_mmset + (mm * MM_SET_COUNT + which) * L.words


@inlined
def has(S: Cells, at: int, L: Layout, cpu: int) -> bool:
    """Say whether a CPU is in the set that begins at `at`."""
    return (int64(S[at + (cpu >> L.shift)]) >> (cpu & (L.bits - 1))) & 1 != 0


@inlined
def put(S: Cells, at: int, L: Layout, cpu: int) -> None:
    """Add a CPU to the set that begins at `at`."""
    S[at + (cpu >> L.shift)] = int64(S[at + (cpu >> L.shift)]) | (int64(1) << (cpu & (L.bits - 1)))


@inlined
def take_out(S: Cells, at: int, L: Layout, cpu: int) -> None:
    """Remove a CPU from the set that begins at `at`."""
    S[at + (cpu >> L.shift)] = int64(S[at + (cpu >> L.shift)]) & ~(int64(1) << (cpu & (L.bits - 1)))
