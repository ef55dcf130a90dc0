"""The CPUs that have a step to take, as a heap by clock and then by number."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, internal
from shootdown._machine.bits import Cells, int64
from shootdown._timed import books as k
from shootdown._timed.books import Books


@inlined
def earlier(Q: Cells, B: Books, x: int, y: int) -> bool:
    """Whether CPU x is before CPU y."""
    cx = Q[B.o_clock + x]
    cy = Q[B.o_clock + y]
    return cx < cy or (cx == cy and x < y)


@internal
def sift_up(Q: Cells, B: Books, at: int) -> None:
    """Move a heap entry towards the root until its parent is earlier."""
    cpu = Q[B.o_heap + at]
    while at > 0:
        up = (at - 1) >> 1
        other = Q[B.o_heap + up]
        if earlier(Q, B, other, cpu):
            break
        Q[B.o_heap + at] = other
        Q[B.o_place + other] = at
        at = up
    Q[B.o_heap + at] = cpu
    Q[B.o_place + cpu] = at


@internal
def sift_down(Q: Cells, B: Books, at: int) -> None:
    """Move a heap entry towards the leaves until its children are later."""
    n = Q[B.o_misc + k.HEAP_SIZE]
    cpu = Q[B.o_heap + at]
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and earlier(Q, B, Q[B.o_heap + child + 1], Q[B.o_heap + child]):
            child += 1
        other = Q[B.o_heap + child]
        if earlier(Q, B, cpu, other):
            break
        Q[B.o_heap + at] = other
        Q[B.o_place + other] = at
        at = child
    Q[B.o_heap + at] = cpu
    Q[B.o_place + cpu] = at


@internal
def push(Q: Cells, B: Books, cpu: int) -> None:
    """Add a CPU, which has a step to take at its clock, to the heap."""
    if Q[B.o_place + cpu] >= 0:
        return
    n = Q[B.o_misc + k.HEAP_SIZE]
    Q[B.o_misc + k.HEAP_SIZE] = n + 1
    Q[B.o_heap + n] = cpu
    sift_up(Q, B, n)


@internal
def remove(Q: Cells, B: Books, cpu: int) -> None:
    """Take a CPU out of the heap."""
    at = Q[B.o_place + cpu]
    if at < 0:
        return
    n = Q[B.o_misc + k.HEAP_SIZE] - 1
    Q[B.o_misc + k.HEAP_SIZE] = n
    Q[B.o_place + cpu] = -1
    if at < n:
        other = Q[B.o_heap + n]
        Q[B.o_heap + at] = other
        Q[B.o_place + other] = at
        sift_up(Q, B, at)
        sift_down(Q, B, Q[B.o_place + other])


@internal
def leave(Q: Cells, B: Books, cpu: int) -> None:
    """Remove a CPU that has no step to take; if it is a preempted vCPU that was called, it is added again to answer."""
    remove(Q, B, cpu)
    if Q[B.o_resume + cpu] > 0:
        Q[B.o_clock + cpu] = max(Q[B.o_clock + cpu], Q[B.o_resume + cpu])
        push(Q, B, cpu)
        Q[B.o_idles + cpu] = 1


@inlined
def steps_later(Q: Cells, B: Books, cpu: int) -> bool:
    """Whether a CPU has a step to take, and is not in the heap only until the host runs it again."""
    return bool(Q[B.o_place + cpu] >= 0 and Q[B.o_idles + cpu] == 0)


@inlined
def second(Q: Cells, B: Books) -> int:
    """Return the CPU that comes after the one at the root, or -1 if there is none."""
    n = Q[B.o_misc + k.HEAP_SIZE]
    if n < 2:
        return int64(-1)
    if n > 2 and earlier(Q, B, Q[B.o_heap + 2], Q[B.o_heap + 1]):
        return int64(Q[B.o_heap + 2])
    return int64(Q[B.o_heap + 1])
