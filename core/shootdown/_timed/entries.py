"""Write entries into the books: counters, and events of the timeline."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, internal
from shootdown._machine.bits import Cells
from shootdown._timed import books as k
from shootdown._timed.books import Books


@inlined
def count(Q: Cells, B: Books, what: int, n: int, task: int) -> None:
    """Count an occurrence: in total, in the open window, and for the window's actor."""
    Q[B.o_total + what] += n
    window = Q[B.o_misc + k.WINDOW]
    if window >= 0:
        Q[B.o_all + window * B.counters + what] += n
        if task == Q[B.o_misc + k.ACTOR]:
            Q[B.o_actor + window * B.counters + what] += n


@internal
def log(
    Q: Cells, B: Books, events: Cells, kind: int, begin: int, end: int, cpu: int, about: int, targets: int
) -> None:
    """Record an event of the timeline, as long as there is room."""
    n = Q[B.o_misc + k.LOG_SIZE]
    if (n + 1) * k.LOG_CELLS > events.shape[0]:
        Q[B.o_misc + k.LOG_LOST] += 1
        return
    at = n * k.LOG_CELLS
    events[at] = kind
    events[at + 1] = begin
    events[at + 2] = end
    events[at + 3] = cpu
    events[at + 4] = about
    events[at + 5] = targets
    Q[B.o_misc + k.LOG_SIZE] = n + 1
