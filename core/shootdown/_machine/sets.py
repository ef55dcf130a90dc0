"""Sets of CPUs, a bit for each: those of the machine and those of an mm."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import CPU_SETS, MM_SETS, Layout

ONLINE = CPU_SETS.index("online")
IRQ_OFF = CPU_SETS.index("irq_off")
LAZY = CPU_SETS.index("lazy")
PREEMPTED = CPU_SETS.index("preempted")
FLUSH_ON_ENTRY = CPU_SETS.index("flush_on_entry")
WALKING = CPU_SETS.index("walking")
USER = CPU_SETS.index("user")
MASK = MM_SETS.index("mask")
LOADED = MM_SETS.index("loaded")
BEHIND = MM_SETS.index("behind")
FAR_BEHIND = MM_SETS.index("far_behind")
LEAF = MM_SETS.index("leaf")
WALK = MM_SETS.index("walk")
STALE_LEAF = MM_SETS.index("stale_leaf")
STALE_WALK = MM_SETS.index("stale_walk")
MM_SET_COUNT = len(MM_SETS)


@inlined
def cpu_set(L: Layout, which: int) -> int:
    """Return the first cell of a CPU set of the machine."""
    return L.o_sets + which * L.words


@inlined
def mm_set(L: Layout, mm: int, which: int) -> int:
    """Return the first cell of a CPU set of an mm."""
    return L.o_mmset + (mm * MM_SET_COUNT + which) * L.words


@inlined
def has(S: Cells, at: int, L: Layout, cpu: int) -> bool:
    """Whether a CPU is in the set that begins at `at`."""
    return (int64(S[at + (cpu >> L.shift)]) >> (cpu & (L.bits - 1))) & 1 != 0


@inlined
def put(S: Cells, at: int, L: Layout, cpu: int) -> None:
    """Add a CPU to the set that begins at `at`."""
    S[at + (cpu >> L.shift)] = int64(S[at + (cpu >> L.shift)]) | (int64(1) << (cpu & (L.bits - 1)))


@inlined
def take_out(S: Cells, at: int, L: Layout, cpu: int) -> None:
    """Remove a CPU from the set that begins at `at`."""
    S[at + (cpu >> L.shift)] = int64(S[at + (cpu >> L.shift)]) & ~(int64(1) << (cpu & (L.bits - 1)))
