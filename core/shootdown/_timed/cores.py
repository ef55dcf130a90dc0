"""Threads of one core: what runs on one of them slows what the others do."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, internal
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import CPU_CELLS, CPU_TASK, Layout
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.heap import steps_later


@inlined
def same_core(Q: Cells, B: Books, one: int, other: int) -> bool:
    """Whether two CPUs are threads of one core."""
    return bool(B.siblings > 0 and Q[B.o_core + one] == Q[B.o_core + other])


@inlined
def slower_by(Q: Cells, B: Books, time: int, busy: int) -> int:
    """Return how much longer something takes while so many other threads of the core are busy."""
    return int64(time * busy * Q[B.o_misc + k.SLOWED] // 100)


@inlined
def beside_others(S: Cells, L: Layout, Q: Cells, B: Books, cpu: int, time: int) -> int:
    """Return how long what a task does on a CPU takes, as its core's other threads are busy now.

    They are if they have a step to take, or spin in user mode for ever. Who waits for a lock or an answer is not: it
    pauses, and leaves the core to others.
    """
    if B.siblings == 0:
        return time
    busy = int64(0)
    for i in range(B.siblings):
        other = Q[B.o_sibling + cpu * B.siblings + i]
        if other >= 0:
            task = S[L.o_cpu + other * CPU_CELLS + CPU_TASK] - 1
            busy += int64(steps_later(Q, B, other) or (task >= 0 and Q[B.o_parked + task] != 0))
    return time + slower_by(Q, B, time, busy)


@internal
def slow_core(S: Cells, L: Layout, Q: Cells, B: Books, sender: int, cpu: int, handler: int) -> int:
    """Return how much longer a handler takes on a CPU because of its core's other threads, and slow these.

    A thread is busy if it was called too, or if it runs a task. Each busy one slows the handler by a part. One that was
    called is in a handler of its own, which has its turn; another loses such a part of its time. The sender only waits.
    """
    extra = slower_by(Q, B, handler, int64(1))
    busy = int64(0)
    for i in range(B.siblings):
        other = Q[B.o_sibling + cpu * B.siblings + i]
        if other < 0:
            continue
        called = (Q[B.o_called + other // L.bits] >> (other % L.bits)) & 1 != 0
        runs = S[L.o_cpu + other * CPU_CELLS + CPU_TASK] != 0
        busy += int64(called or runs)
        if runs and not called and other != sender:
            Q[B.o_owed + other] += extra
            Q[B.o_shared + other] += extra
            Q[B.o_misc + k.LOST] += extra
    return extra * busy
