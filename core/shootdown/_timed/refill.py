"""What a flush costs later: translations that a task used before it and uses again are walked for again.

A task says how many it uses over and over (`ops.NOTE_USES`). A CPU that drops all of them walks for each again, one
after another, as the task goes on. What was not yet walked for when the next flush comes was not there to be dropped.
"""

from __future__ import annotations

from shootdown._compilation.kernels import internal
from shootdown._machine.bits import Cells, int64, lowest
from shootdown._machine.layout import CPU_CELLS, CPU_TASK, T_MM, TASK_CELLS, Layout
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.costs import REFILL, REFILL_LINE

#: Entries of a page table that share a cache line.
ENTRIES_A_LINE = 8


@internal
def drop(
    S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int, mm: int, now: int, sender: int
) -> None:
    """Let the task of a CPU that dropped all translations of an mm (all mms: -1) pay for those that it uses again.

    A task that computes goes on at once. One that is in the kernel pays when it is back.
    """
    task = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
    if task < 0 or Q[B.o_uses + task] == 0:
        return
    if mm >= 0 and S[L.o_task + task * TASK_CELLS + T_MM] != mm + 1:
        return
    uses = Q[B.o_uses + task]
    lines = (uses + ENTRIES_A_LINE - 1) // ENTRIES_A_LINE
    time = min(uses * costs[REFILL] + lines * costs[REFILL_LINE], max(now - Q[B.o_cold + task], int64(0)))
    if Q[B.o_computes + task]:
        Q[B.o_cold + task] = now
        pay(Q, B, cpu, task, time, cpu != sender)
    else:
        Q[B.o_pending + task] = max(int64(Q[B.o_pending + task]), time)


@internal
def drop_on(
    S: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    word: int,
    cpus: int,
    mm: int,
    now: int,
    sender: int,
) -> None:
    """Do so on a set of CPUs that took the call of `sender`."""
    rest = cpus
    while rest:
        drop(S, L, Q, B, costs, word * L.bits + lowest(rest), mm, now, sender)
        rest &= rest - 1


@internal
def pay(Q: Cells, B: Books, cpu: int, task: int, time: int, lost: bool) -> None:
    """Take the time of walks from a CPU; it is lost if another CPU asked for the flush."""
    Q[B.o_owed + cpu] += time
    Q[B.o_refilled + task] += time
    Q[B.o_misc + k.REFILL_TIME] += time
    if lost:
        Q[B.o_misc + k.LOST] += time


@internal
def note_uses(Q: Cells, B: Books, cpu: int, task: int, uses: int, computes: int) -> None:
    """Record how many translations a task uses from now on, and let it pay for those that were dropped."""
    Q[B.o_uses + task] = uses if Q[B.o_misc + k.REFILLS] else int64(0)
    Q[B.o_computes + task] = computes
    if Q[B.o_pending + task] and uses:
        pay(Q, B, cpu, task, Q[B.o_pending + task], False)
        Q[B.o_cold + task] = Q[B.o_clock + cpu]
    Q[B.o_pending + task] = 0
