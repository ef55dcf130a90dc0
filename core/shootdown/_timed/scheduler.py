"""The schedule of a timed run: the earliest CPU takes the next step.

Locks are handed over first come, first served; an interrupt is taken the moment it is sent unless the target has
interrupts off.

Semantics are those of `_machine.step`; this module adds clocks, queues, costs and the ledger.
"""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, internal, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import CPU_CELLS, CPU_TASK, T_PC, TASK_CELLS, Layout
from shootdown._machine.locks import lock_of
from shootdown._machine.step import step_inlined
from shootdown._machine.switching import enter_guest
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.cores import beside_others
from shootdown._timed.costs import (
    ACTS,
    ASKS_TIME,
    CHARGED,
    ELSEWHERE,
    EXACT,
    LOCKS,
    MIGRATE,
    NOTED,
    RELEASES,
    SERVED,
    SPENDS,
    USER_MODE,
    VARIES,
)
from shootdown._timed.effects import after_step, before_step
from shootdown._timed.entries import log
from shootdown._timed.handlers import owed
from shootdown._timed.heap import earlier, remove, second, sift_down
from shootdown._timed.randomness import after
from shootdown._timed.served import serve
from shootdown._timed.taking import take_late
from shootdown._timed.tasks import blocked, give_way, make_ready, next_task, note_running, slice_is_over


@inlined
def random_jitter(Q: Cells, B: Books, time: int, percent: int) -> int:
    """Vary a time at random by up to `percent` either way; reproducible for a seed."""
    x = after(Q[B.o_misc + k.RANDOM])
    Q[B.o_misc + k.RANDOM] = x
    return time + time // 100 * percent * (x % 2001 - 1000) // 1000


@internal
def resume(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, events: Cells, cpu: int) -> None:
    """Let a preempted vCPU enter the guest again and take its pending calls."""
    now = Q[B.o_clock + cpu]
    Q[B.o_resume + cpu] = 0
    if Q[B.o_idles + cpu]:
        Q[B.o_idles + cpu] = 0
        remove(Q, B, cpu)
    enter_guest(S, L, cpu)
    take_late(S, L, Q, B, costs, events, cpu, now)


@kernel
def begin(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, ready: Cells) -> None:
    """Make tasks runnable at time zero; that each is switched to is no part of what they do."""
    for i in range(len(ready)):
        make_ready(S, L, Q, B, costs, ready[i], int64(0))
    Q[B.o_misc + k.SYSTEM] = 0
    for cpu in range(L.cpus):
        note_running(S, L, Q, B, cpu)


@kernel
def run(
    S: Cells,
    P: Cells,
    lists: Cells,
    charges: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    ever: Cells,
    events: Cells,
    tuning: Cells,
    limit: int,
) -> int:
    """Run until no CPU has a step to take, or for `limit` steps.

    A CPU goes on as long as no other is earlier; only steps that take time or affect other CPUs can change that.

    Args:
        S, P, lists, L: the machine; see `step`.
        charges: for each step its picoseconds, how the engine treats it, what serves it and how long (`charges`).
        Q, B: the books.
        costs: picoseconds, in the order of `COST_NAMES`.
        ever: whether each mm has ever mapped each slot, uint8, shape (mms * slots,).
        events: receives the timeline, int64; empty if it is not wanted.
        tuning: jitter in percent, length of a tick in picoseconds, 1 for the slow mode.
        limit: steps at most; called again, it goes on where it was.

    Returns:
        The number of steps taken.
    """
    taken = int64(0)
    while Q[B.o_misc + k.HEAP_SIZE] > 0 and taken < limit:
        cpu = Q[B.o_heap]
        stolen = owed(Q, B, cpu) - Q[B.o_paid + cpu]
        if stolen:
            Q[B.o_paid + cpu] += stolen
            if Q[B.o_idles + cpu] == 0:
                Q[B.o_clock + cpu] += stolen
            sift_down(Q, B, int64(0))
            continue
        if Q[B.o_resume + cpu] > 0 and Q[B.o_clock + cpu] >= Q[B.o_resume + cpu]:
            resume(S, L, Q, B, costs, events, cpu)
            continue
        task = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
        t = L.o_task + task * TASK_CELLS
        other = second(Q, B)
        while taken < limit:
            pc = S[t + T_PC]
            what = charges[4 * pc + 1]
            said = int64(-1)
            if what & (ASKS_TIME | LOCKS):
                if what & ASKS_TIME:
                    before_step(S, P, L, Q, B, task, pc, tuning[1])
                else:
                    lock = lock_of(S, L, P, pc, task)
                    if lock >= 0 and Q[B.o_lock + lock] >= 0:
                        said = (lock << 3) | o.BLOCKED_LOCK
            if said < 0:
                said = step_inlined(S, P, lists, L, task)
            taken += 1
            Q[B.o_step_count + pc] += 1
            if said & 7:
                blocked(S, P, L, Q, B, costs, task, pc, said)
                break
            if what & SERVED:
                begin = Q[B.o_clock + cpu]
                time = serve(S, P, L, Q, B, costs, cpu, task, pc, charges[4 * pc + 2], charges[4 * pc + 3])
                Q[B.o_step_time + pc] += time
                Q[B.o_misc + k.SYSTEM] += time
                if time and events.shape[0] > 0:
                    log(Q, B, events, k.LOG_STEP, begin, begin + time, cpu, pc, task)
            elif what & RELEASES and not what & CHARGED and Q[B.o_lock + (said >> 3)] < 0:
                continue
            if what & CHARGED:
                time = charges[4 * pc]
                if what & VARIES and tuning[0]:
                    time = random_jitter(Q, B, time, tuning[0])
                time = beside_others(S, L, Q, B, cpu, time)
                begin = Q[B.o_clock + cpu]
                Q[B.o_clock + cpu] = begin + time
                Q[B.o_step_time + pc] += time
                if what & EXACT:
                    Q[B.o_exact + task] += time
                if what & USER_MODE:
                    Q[B.o_misc + k.USER_TIME] += time
                elif what & ELSEWHERE:
                    Q[B.o_misc + k.OTHER_TIME] += time
                else:
                    Q[B.o_misc + k.SYSTEM] += time
                if events.shape[0] > 0:
                    log(Q, B, events, k.LOG_STEP, begin, begin + time, cpu, pc, task)
            before = Q[B.o_clock + cpu]
            if what & (ACTS | NOTED):
                after_step(S, P, lists, L, Q, B, costs, ever, events, task, pc, said, tuning[2])
            if what & ACTS:
                if what & SPENDS:
                    spent = Q[B.o_clock + cpu] - before
                    Q[B.o_misc + k.SYSTEM] += spent
                    Q[B.o_step_time + pc] += spent
                    if events.shape[0] > 0:
                        log(Q, B, events, k.LOG_STEP, before, before + spent, cpu, pc, task)
                elif P[pc * 5] == o.MIGRATE:
                    time = Q[B.o_clock + cpu] + costs[MIGRATE]
                    next_task(S, L, Q, B, costs, cpu)
                    make_ready(S, L, Q, B, costs, task, time)
                    break
                elif P[pc * 5] == o.RESCHED and slice_is_over(Q, B, cpu, P[pc * 5 + 1]):
                    give_way(S, L, Q, B, costs, cpu, task)
                    break
                if Q[B.o_heap] != cpu or owed(Q, B, cpu) != Q[B.o_paid + cpu]:
                    sift_down(Q, B, Q[B.o_place + cpu])
                    break
                other = second(Q, B)
            if what & (CHARGED | ACTS | SERVED):
                if other >= 0 and earlier(Q, B, other, cpu):
                    sift_down(Q, B, int64(0))
                    break
                if 0 < Q[B.o_resume + cpu] <= Q[B.o_clock + cpu]:
                    break
        Q[B.o_misc + k.ELAPSED] = max(Q[B.o_misc + k.ELAPSED], Q[B.o_clock + cpu])
    return taken
