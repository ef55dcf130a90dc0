"""What serves one CPU after another: broadcasts, contended cache lines, a node's locks.

Each has the time from which it is free. A CPU that uses it begins then, or at once if that was earlier, and it is free
again when the CPU has been served. That is right because the CPU that takes a step is the earliest of all.
"""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, internal
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import T_ON, TASK_CELLS, Layout
from shootdown._machine.locks import lock_of
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.cores import same_core
from shootdown._timed.costs import FAR_LINE, LOCK_LINE, MM_LINE, NODE
from shootdown._timed.entries import count


@inlined
def begins(Q: Cells, B: Books, thing: int, time: int) -> int:
    """Return when a CPU that wants something from a time on is served by it."""
    return max(time, int64(Q[B.o_free + thing]))


@internal
def serve(
    S: Cells,
    P: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    cpu: int,
    task: int,
    pc: int,
    kind: int,
    service: int,
) -> int:
    """Let what a step uses serve its CPU; return how long that took, waiting included.

    What the CPU itself used last, or another thread of its core, is in its cache: that costs nothing more. A line that
    a CPU of another socket used last takes longer.
    """
    thing = int64(k.NODE)
    if kind == LOCK_LINE:
        lock = lock_of(S, L, P, pc, task)
        if lock < 0:
            return int64(0)
        thing = k.LOCKS + lock
    elif kind == MM_LINE:
        thing = k.LOCKS + L.locks + S[L.o_task + task * TASK_CELLS + T_ON] - 1
    before = Q[B.o_user_of + thing]
    Q[B.o_user_of + thing] = cpu
    if before == cpu or before < 0 or same_core(Q, B, before, cpu):
        return int64(0)
    if B.sockets > 1 and kind != NODE and Q[B.o_socket + before] != Q[B.o_socket + cpu]:
        service += costs[FAR_LINE]
        count(Q, B, k.FAR_LINES, 1, task)
    now = Q[B.o_clock + cpu]
    end = begins(Q, B, thing, now) + service
    Q[B.o_free + thing] = end
    Q[B.o_clock + cpu] = end
    return int64(end - now)
