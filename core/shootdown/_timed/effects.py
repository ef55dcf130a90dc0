"""The effects of a step on clocks, queues and ledger, apart from its cost."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, internal, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64, popcount
from shootdown._machine.layout import (
    CPU_CALL_STRIDES,
    CPU_CELLS,
    CPU_TASK,
    M_CONSIDER,
    M_TRIM,
    MM_CELLS,
    T_CPU,
    T_ON,
    T_REG,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.sets import FLUSH_ON_ENTRY, LAZY, LOADED, STALE_LEAF, STALE_WALK, cpu_set, mm_set
from shootdown._machine.step import step
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.costs import FULL_FLUSH, PAGE_FLUSH, START
from shootdown._timed.entries import count, log
from shootdown._timed.handlers import owed, pay_at_once
from shootdown._timed.interrupts import send_calls
from shootdown._timed.refill import drop, note_uses
from shootdown._timed.sending import all_answered, begin_call, calls_below, targets_of
from shootdown._timed.served import begins
from shootdown._timed.taking import take_late
from shootdown._timed.tasks import make_ready, note_running, wake, wake_waiters
from shootdown._timed.windows import mark

SECOND = 10**12
#: The first process number of tasks; the policy for global ASIDs compares it with the jiffies.
FIRST_PID = 1000


@internal
def before_step(S: Cells, P: Cells, L: Layout, Q: Cells, B: Books, task: int, pc: int, tick: int) -> None:
    """Write the time into the state where a step reads it: trimming of mm_cpumask, and ASIDs by the jiffy."""
    op = P[pc * 5]
    now = Q[B.o_clock + S[L.o_task + task * TASK_CELLS + T_CPU]]
    mm = S[L.o_task + task * TASK_CELLS + T_ON] - 1
    if op == o.TARGET_LOADED:
        if now >= Q[B.o_trim + mm]:
            S[L.o_mm + mm * MM_CELLS + M_TRIM] = 1
            Q[B.o_trim + mm] = now + SECOND
    elif op == o.JUMP_NOT_DUE:
        at = B.o_asked + S[L.o_task + task * TASK_CELLS + T_CPU]
        Q[at] += 1
        if Q[at] >= P[pc * 5 + 1]:
            Q[at] = 0
            S[L.o_mm + mm * MM_CELLS + M_TRIM] = 1
    elif (FIRST_PID + task) & 31 == (now // tick) & 31:
        S[L.o_mm + mm * MM_CELLS + M_CONSIDER] = 1


@inlined
def after_step(
    S: Cells,
    P: Cells,
    lists: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    ever: Cells,
    events: Cells,
    task: int,
    pc: int,
    said: int,
    slow: int,
) -> None:
    """Update clocks, queues and ledger after a step, apart from its cost."""
    op = P[pc * 5]
    a = P[pc * 5 + 1]
    b = P[pc * 5 + 2]
    t = L.o_task + task * TASK_CELLS
    cpu = S[t + T_CPU]
    now = Q[B.o_clock + cpu]
    mm = S[t + T_ON] - 1
    if op == o.UNLOCK_WRITE or op == o.UNLOCK_READ:
        wake_waiters(S, P, lists, L, Q, B, costs, cpu, said >> 3, now)
    elif op == o.NOTE:
        note(S, P, L, Q, B, cpu, task, pc)
    elif op == o.SEND:
        send_calls(S, P, L, Q, B, costs, ever, events, cpu, task, pc, slow)
    elif op == o.WAIT:
        done = all_answered(Q, B, cpu)
        if events.shape[0] > 0 and done > now:
            log(Q, B, events, k.LOG_WAIT, now, done, cpu, pc, 0)
        Q[B.o_misc + k.SYSTEM] += done - now
        Q[B.o_step_time + pc] += done - now
        Q[B.o_paid + cpu] = owed(Q, B, cpu)
        Q[B.o_clock + cpu] = done
        Q[B.o_answer + cpu] = 0
        Q[B.o_collect + cpu] = 0
    elif op == o.FLUSH_BEGIN:
        count(Q, B, k.FLUSH_REQUESTS, 1, task)
        count(Q, B, k.FLUSH_WHOLE_MM, said >> 3, task)
    elif op == o.KERNEL_BEGIN:
        count(Q, B, k.KERNEL_FLUSHES, 1, task)
    elif op == o.KERNEL_SELF:
        flush_kernel_here(S, L, Q, B, costs, cpu, task, said)
    elif op == o.FLUSH_SELF:
        flush_here(S, P, L, Q, B, costs, cpu, task, pc, said)
    elif op == o.UNSHARE:
        count(Q, B, k.UNSHARED, 1, task)
        if said >> 3 == 1:
            count(Q, B, k.FULLY_UNSHARED, 1, task)
        Q[B.o_unshared_of + task] += 1
    elif op == o.SET_PUD or op == o.POPULATE:
        ever[mm * L.slots + S[t + T_REG + o.SLOT]] = 1
    elif op == o.CLEAR_PUD:
        section = Q[B.o_section_of + task]
        n = Q[B.o_section_count + section]
        if n < L.slots:
            Q[B.o_section_slots + section * L.slots + n] = S[t + T_REG + o.SLOT]
            Q[B.o_section_count + section] = n + 1
    elif op == o.SPAWN:
        child = S[L.o_task + a * TASK_CELLS + T_ON] - 1
        if child >= 0:
            Q[B.o_trim + child] = now + SECOND
        make_ready(S, L, Q, B, costs, a, now + costs[START])
    elif op == o.SIGNAL:
        waiter = Q[B.o_waiting + a]
        Q[B.o_waiting + a] = -1
        while waiter >= 0:
            after = Q[B.o_next + waiter]
            if step(S, P, lists, L, waiter) & 7 == o.DONE:
                wake(S, L, Q, B, costs, cpu, waiter, now)
            else:
                Q[B.o_next + waiter] = Q[B.o_waiting + a]
                Q[B.o_waiting + a] = waiter
            waiter = after
    elif op == o.USE_MM:
        if said >> 3:
            count(Q, B, k.ROOT_LOADS, 1, task)
        Q[B.o_trim + a] = now + SECOND
        note_running(S, L, Q, B, cpu)
    elif op == o.RELEASE_MM:
        note_running(S, L, Q, B, cpu)
    elif op == o.IRQ_ON:
        take_late(S, L, Q, B, costs, events, cpu, now)
    elif op == o.MARK:
        mark(S, L, Q, B, a, b, P[pc * 5 + 3], now)
        if events.shape[0] > 0:
            log(Q, B, events, k.LOG_STEP, now, now, cpu, pc, task)
    elif op == o.EXECUTE:
        execute(S, P, L, Q, B, costs, cpu, pc)
    elif op == o.FLUSH_LOCAL_PAGES:
        flush_pages_here(P, Q, B, costs, cpu, task, pc)


@kernel
def charge_step(
    S: Cells,
    P: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    task: int,
    pc: int,
    said: int,
) -> int:
    """Charge a task's CPU for the part of a step's time that is not known beforehand, without any other effect.

    Calls are not delivered and no task is woken: a replay does that, as it has the order of moves.

    Returns:
        for a SEND, when the call arrives, else 0.
    """
    op = P[pc * 5]
    cpu = S[L.o_task + task * TASK_CELLS + T_CPU]
    if op == o.SEND:
        calls = calls_below(S, L, Q, B, cpu) if P[pc * 5 + 1] == o.CALL_HYPERCALL else int64(1)
        return begin_call(S, P, L, Q, B, costs, cpu, pc, targets_of(S, L, cpu, int64(0)), calls)
    if op == o.FLUSH_SELF:
        flush_here(S, P, L, Q, B, costs, cpu, task, pc, said)
    elif op == o.KERNEL_SELF:
        flush_kernel_here(S, L, Q, B, costs, cpu, task, said)
    elif op == o.FLUSH_LOCAL_PAGES:
        flush_pages_here(P, Q, B, costs, cpu, task, pc)
    elif op == o.EXECUTE:
        execute(S, P, L, Q, B, costs, cpu, pc)
    return int64(0)


@inlined
def flush_here(
    S: Cells,
    P: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    cpu: int,
    task: int,
    pc: int,
    said: int,
) -> None:
    """Count and charge what a CPU's own part of a flush did: everything, the range, or leaving the mm."""
    what = said >> 3
    strides = S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL_STRIDES]
    if what & 1:
        count(Q, B, k.FULL_FLUSHES, 1, task)
        Q[B.o_clock + cpu] += costs[FULL_FLUSH]
        if Q[B.o_misc + k.REFILLS]:
            drop(S, L, Q, B, costs, cpu, S[L.o_task + task * TASK_CELLS + T_ON] - 1, Q[B.o_clock + cpu], cpu)
    elif what & 2:
        count(Q, B, k.PAGE_INVALIDATIONS, strides, task)
        Q[B.o_clock + cpu] += strides * costs[PAGE_FLUSH]
    elif what & 4:
        count(Q, B, k.LAZY_SWITCHES, 1, task)
        Q[B.o_clock + cpu] += costs[FULL_FLUSH]
    if (
        P[pc * 5 + 2] and not what & 4
    ):  # a CPU that was lazy has left mm_cpumask before the targets are chosen
        count(Q, B, k.OWN_HANDLER_RUNS, 1, task)


@inlined
def flush_kernel_here(
    S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int, task: int, said: int
) -> None:
    """Count and charge a CPU's own part of a flush of kernel addresses."""
    pages = said >> 3
    count(Q, B, k.PAGE_INVALIDATIONS if pages else k.FULL_FLUSHES, max(pages, 1), task)
    Q[B.o_clock + cpu] += pages * costs[PAGE_FLUSH] if pages else costs[FULL_FLUSH]
    if not pages and Q[B.o_misc + k.REFILLS]:
        drop(S, L, Q, B, costs, cpu, int64(-1), Q[B.o_clock + cpu], cpu)


@inlined
def flush_pages_here(P: Cells, Q: Cells, B: Books, costs: Cells, cpu: int, task: int, pc: int) -> None:
    """Count and charge pages that a CPU flushes outside a request."""
    pages = P[pc * 5 + 1]
    count(Q, B, k.PAGE_INVALIDATIONS, pages, task)
    Q[B.o_clock + cpu] += pages * costs[PAGE_FLUSH]


@internal
def execute(S: Cells, P: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int, pc: int) -> None:
    """Count an instruction by its name and charge it; the first row is the whole run, then one for each window."""
    strides = S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL_STRIDES]
    times = P[pc * 5 + 2]
    per = P[pc * 5 + 3] & 3
    if per == o.PER_STRIDE:
        times *= max(strides, 1)
    elif per == o.PER_RANGE_DIGIT:
        digits = int64(0)
        rest = strides >> 1
        while rest:
            digits += int64(rest & 31 != 0)
            rest >>= 5
        times *= digits
    elif per == o.PER_ODD_STRIDE:
        times *= strides & 1
    if P[pc * 5 + 3] & o.PER_PMD:
        times *= strides >> L.pmd_shift
    if P[pc * 5 + 3] & o.PER_TARGET:
        times *= targets_of(S, L, cpu, P[pc * 5 + 3] & o.IN_MASK)
    if P[pc * 5 + 3] & o.PER_CALL_BELOW:
        times *= calls_below(S, L, Q, B, cpu)
    if P[pc * 5 + 3] & o.ONE_STRIDE and strides != 1:
        times = int64(0)
    if P[pc * 5 + 3] & o.MORE_STRIDES and strides < 2:
        times = int64(0)
    Q[B.o_instructions + P[pc * 5 + 1]] += times
    if P[pc * 5 + 3] & o.BROADCASTS:
        count(Q, B, k.BROADCASTS, times, S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1)
        broadcast(L, Q, B, cpu, times, costs[FULL_FLUSH] if strides == 0 else costs[PAGE_FLUSH])
    window = Q[B.o_misc + k.WINDOW]
    if window >= 0:
        Q[B.o_instructions + (window + 1) * B.instructions + P[pc * 5 + 1]] += times
    if P[pc * 5 + 4] >= 0:
        Q[B.o_clock + cpu] += times * costs[P[pc * 5 + 4]]
        if P[pc * 5 + 3] & o.BROADCASTS:
            Q[B.o_free + k.MACHINE] = Q[B.o_clock + cpu]


@internal
def broadcast(L: Layout, Q: Cells, B: Books, cpu: int, times: int, each: int) -> None:
    """Let a CPU wait for what carries broadcasts, and charge every other CPU for the invalidations."""
    if Q[B.o_misc + k.SERIAL]:
        Q[B.o_clock + cpu] = begins(Q, B, k.MACHINE, Q[B.o_clock + cpu])
    Q[B.o_misc + k.ALL_OWED] += times * each
    Q[B.o_misc + k.LOST] += times * each * (L.cpus - 1)
    Q[B.o_owed + cpu] -= times * each
    pay_at_once(Q, B, cpu, times * each)


@internal
def note(S: Cells, P: Cells, L: Layout, Q: Cells, B: Books, cpu: int, task: int, pc: int) -> None:
    """Record an occurrence that only the ledger has."""
    what = P[pc * 5 + 1]
    times = P[pc * 5 + 2]
    if what == o.NOTE_SECTION:
        section = P[pc * 5 + 3]
        if times:
            Q[B.o_section_of + task] = section
            for w in range(L.words):
                Q[B.o_section_flushed + section * L.words + w] = 0
            if Q[B.o_section_waits + section]:
                Q[B.o_section_waits + section] = 0
                for cpu in range(L.cpus):
                    Q[B.o_section_needed + section * L.cpus + cpu] = 0
            Q[B.o_section_count + section] = 0
        else:
            Q[B.o_section_of + task] = B.sections - 1
    elif what == o.NOTE_AUDIT:
        audit(S, L, Q, B, task, pc)
    elif what == o.NOTE_USES:
        note_uses(Q, B, cpu, task, times, P[pc * 5 + 4])
    else:
        count(Q, B, note_counter(what), times, task)


@inlined
def note_counter(what: int) -> int:
    """Return the counter of an occurrence."""
    if what == o.NOTE_GATHER:
        return int64(k.GATHERS)
    if what == o.NOTE_GATHER_VMA:
        return int64(k.GATHERS_VMA)
    if what == o.NOTE_WARNING:
        return int64(k.WARNINGS)
    if what == o.NOTE_COMPLETION:
        return int64(k.COMPLETIONS)
    if what == o.NOTE_SHARED:
        return int64(k.SHARED)
    if what == o.NOTE_FLUSH_RANGE:
        return int64(k.FLUSH_RANGE_CALLS)
    if what == o.NOTE_FLUSH_PAGE:
        return int64(k.FLUSH_PAGE_CALLS)
    return int64(k.GRACE_PERIODS)


@internal
def audit(S: Cells, L: Layout, Q: Cells, B: Books, task: int, pc: int) -> None:
    """Count the entries that hardware could still use and that lead into tables which the task's mm has just unshared.

    This happens when i_mmap_rwsem drops: from then on another process may reuse the table. A CPU can use cached
    entries only while it has the mm loaded; a preempted vCPU that will flush on entry can't. The first occurrence is
    recorded with its CPUs.
    """
    mm = S[L.o_task + task * TASK_CELLS + T_ON] - 1
    tables = Q[B.o_unshared_of + task]
    Q[B.o_unshared_of + task] = 0
    if tables == 0:
        return
    stale = int64(0)
    for w in range(L.words):
        usable = S[mm_set(L, mm, LOADED) + w] & ~S[cpu_set(L, FLUSH_ON_ENTRY) + w]
        stale += popcount(S[mm_set(L, mm, STALE_WALK) + w] & usable) * min(tables, B.walk_entries)
        leaves = min(tables * Q[B.o_misc + k.PAGES_PER_TABLE], B.huge_entries)
        stale += popcount(S[mm_set(L, mm, STALE_LEAF) + w] & usable) * leaves
    if stale:
        count(Q, B, k.STALE_LEFT, stale, task)
        if B.windows == 0 or Q[B.o_misc + k.WINDOW] == 0:
            if Q[B.o_stale + k.STALE_TIMES] == 0:
                Q[B.o_stale + k.STALE_STEP] = pc
                Q[B.o_stale + k.STALE_MM] = mm
                Q[B.o_stale + k.STALE_TABLES] = tables
                for w in range(L.words):
                    usable = S[mm_set(L, mm, LOADED) + w] & ~S[cpu_set(L, FLUSH_ON_ENTRY) + w]
                    at = B.o_stale + k.STALE_CELLS + w
                    Q[at] = S[mm_set(L, mm, STALE_WALK) + w] & usable
                    Q[at + L.words] = S[mm_set(L, mm, STALE_LEAF) + w] & usable
                    Q[at + 2 * L.words] = S[cpu_set(L, LAZY) + w] & usable
            Q[B.o_stale + k.STALE_TIMES] += 1
