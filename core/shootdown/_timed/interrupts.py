"""Calls from one CPU to others: which are counted, and which way each takes to its targets."""

from __future__ import annotations

from shootdown._compilation.kernels import internal
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64, lowest, popcount
from shootdown._machine.flushes import take, takeable
from shootdown._machine.layout import (
    CPU_CALL_MM,
    CPU_CELLS,
    CPU_TASK,
    T_MM,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.sets import LAZY, LOADED, cpu_set, mm_set
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.entries import count
from shootdown._timed.refill import drop_on
from shootdown._timed.sending import begin_call, broadcasts, calls_below, targets_of
from shootdown._timed.taking import account, called_mm, deliver, deliver_one_by_one, wake_preempted


@internal
def needed_walkers(
    S: Cells, L: Layout, Q: Cells, B: Books, ever: Cells, sender: int, section: int, task: int
) -> int:
    """Count the targets of a sync that could be walking a table just unshared, and keep them as a set.

    A CPU can be walking it only if it runs a task whose mm maps or mapped the table (gup_fast() walks current->mm),
    and the sync is needed there only if no flush IPI of the same unsharing interrupted it already.
    """
    needed = int64(0)
    slots = Q[B.o_section_count + section]
    for w in range(L.words):
        rest = S[L.o_out + sender * L.words + w] & Q[B.o_user + w]
        if section < B.sections:
            rest &= ~Q[B.o_section_flushed + section * L.words + w]
        while rest:
            cpu = w * L.bits + lowest(rest)
            rest &= rest - 1
            other = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
            mm = S[L.o_task + other * TASK_CELLS + T_MM] - 1
            walks = False
            for i in range(slots):
                if ever[mm * L.slots + Q[B.o_section_slots + section * L.slots + i]]:
                    walks = True
                    break
            if walks:
                needed += 1
                Q[B.o_section_needed + section * L.cpus + cpu] += 1
    Q[B.o_section_count + section] = 0
    Q[B.o_section_waits + section] += needed
    return needed


@internal
def send_flush(S: Cells, L: Layout, Q: Cells, B: Books, cpu: int, task: int, targets: int) -> None:
    """Count flush IPIs; a sync of the same unsharing is redundant on the CPUs that they interrupt."""
    row = L.o_out + cpu * L.words
    section = Q[B.o_section_of + task]
    count(Q, B, k.FLUSH_IPIS, targets, task)
    mm = S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL_MM] - 1
    for w in range(L.words):
        word = S[row + w]
        if word == 0:
            continue
        loaded = word & S[mm_set(L, mm, LOADED) + w]
        count(Q, B, k.LAZY_IPIS, popcount(loaded & S[cpu_set(L, LAZY) + w]), task)
        count(Q, B, k.TRIM_IPIS, popcount(word & ~loaded), task)
        Q[B.o_section_flushed + section * L.words + w] |= word
        while word and Q[B.o_section_waits + section]:
            other = section * L.cpus + w * L.bits + lowest(word)
            word &= word - 1
            redundant = Q[B.o_section_needed + other]
            if redundant:
                Q[B.o_section_needed + other] = 0
                Q[B.o_section_waits + section] -= redundant
                count(Q, B, k.REDUNDANT_SYNC_IPIS, redundant, task)


@internal
def send_without_interrupts(
    S: Cells,
    P: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    cpu: int,
    task: int,
    pc: int,
    targets: int,
) -> None:
    """Carry out a call that interrupts no CPU (hardware, the hypervisor, RCU), and compute when it is complete."""
    kind = P[pc * 5 + 1]
    calls = int64(1)
    if kind == o.CALL_HYPERCALL:
        calls = calls_below(S, L, Q, B, cpu)
        count(Q, B, k.HYPERCALLS, calls, task)
    elif kind == o.CALL_BROADCAST:
        count(Q, B, k.BROADCASTS, broadcasts(S, P, L, cpu, pc), task)
    for w in range(L.words):
        pending = takeable(S, L, cpu, w)  # a CPU inside a lockless walk answers a CALL_RCU when it leaves
        if pending:
            full, partial, left = take(S, L, cpu, w, pending)
            if kind == o.CALL_HYPERCALL:
                account(Q, B, L, S, cpu, task, full, partial, left)
            if full and Q[B.o_misc + k.REFILLS]:
                drop_on(S, L, Q, B, costs, w, full, called_mm(S, L, cpu), Q[B.o_clock + cpu], cpu)
    begin_call(S, P, L, Q, B, costs, cpu, pc, targets, calls)


@internal
def send_calls(
    S: Cells,
    P: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    ever: Cells,
    events: Cells,
    cpu: int,
    task: int,
    pc: int,
    one_by_one: int,
) -> None:
    """Deliver the calls that a SEND made pending, charge the sender, and compute when it will have all answers."""
    kind = P[pc * 5 + 1]
    n = targets_of(S, L, cpu, int64(0))
    Q[B.o_step_targets + pc] += n
    if kind == o.CALL_BROADCAST or kind == o.CALL_HYPERCALL or kind == o.CALL_RCU:
        send_without_interrupts(S, P, L, Q, B, costs, cpu, task, pc, n)
        return
    if kind == o.CALL_SYNC:
        count(Q, B, k.SYNC_BROADCASTS, 1, task)
        count(Q, B, k.SYNC_IPIS, n, task)
        needed = needed_walkers(S, L, Q, B, ever, cpu, Q[B.o_section_of + task], task)
        count(Q, B, k.REDUNDANT_SYNC_IPIS, n - needed, task)
    elif kind == o.CALL_BARRIER:
        count(Q, B, k.BARRIER_IPIS, n, task)
    elif kind == o.CALL_KERNEL:
        count(Q, B, k.FLUSH_IPIS, n, task)
    elif kind == o.CALL_TRANSITION:
        count(Q, B, k.TRANSITION_IPIS, n, task)
    else:
        send_flush(S, L, Q, B, cpu, task, n)
    Q[B.o_misc + k.DELIVERIES] += n
    if B.siblings:
        for w in range(L.words):
            Q[B.o_called + w] = S[L.o_out + cpu * L.words + w]
    if n:
        wake_preempted(S, L, Q, B, costs, cpu)
    arrival = begin_call(S, P, L, Q, B, costs, cpu, pc, n, int64(1))
    if n == 0:
        return
    if one_by_one:
        end = deliver_one_by_one(S, L, Q, B, costs, events, cpu, arrival)
    else:
        end = deliver(S, L, Q, B, costs, events, cpu, n, arrival)
    Q[B.o_answer + cpu] = max(Q[B.o_answer + cpu], end)
