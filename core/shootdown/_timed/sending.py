"""What a call costs its sender: queueing it for each target, interrupting them, collecting their answers."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, internal
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64, lowest, popcount
from shootdown._machine.layout import (
    CPU_CALL_MM,
    CPU_CALL_STRIDES,
    CPU_CELLS,
    CPU_TASK,
    Layout,
)
from shootdown._machine.sets import MASK, mm_set
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.costs import (
    BROADCAST,
    COMPLETION,
    COMPLETION_EACH,
    FAR_LINE,
    HYPERCALL,
    HYPERCALL_EACH,
    IPI_ANSWER_EACH,
    IPI_LATENCY,
    IPI_SCAN,
    IPI_SEND,
    IPI_SEND_EACH,
    IPI_WRITE,
)
from shootdown._timed.entries import count
from shootdown._timed.handlers import began, busy_until
from shootdown._timed.served import begins

#: Cache lines that queueing a call moves: the target's queue, and the call (kernel/smp.c, call_single_data_t).
CALL_LINES = 2


@inlined
def targets_of(S: Cells, L: Layout, cpu: int, masked: int) -> int:
    """Count the CPUs that have the call of a CPU pending; with `masked` those of them that are in mm_cpumask."""
    n = int64(0)
    mm = S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL_MM] - 1
    for w in range(L.words):
        targets = S[L.o_out + cpu * L.words + w]
        if masked:
            targets &= S[mm_set(L, mm, MASK) + w]
        n += popcount(targets)
    return n


@internal
def calls_below(S: Cells, L: Layout, Q: Cells, B: Books, cpu: int) -> int:
    """Count the calls that the targets of a CPU and the CPU itself, if it is in mm_cpumask, take of what runs below.

    arch/riscv/kernel/sbi.c: __sbi_rfence_v02() goes through the CPUs in their order and begins a call where one more
    hart would make the window of hart ids too wide.
    """
    reach = Q[B.o_misc + k.REACH]
    if reach == 0:
        return int64(1)
    mm = S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL_MM] - 1
    calls = int64(0)
    lowest_number = int64(0)
    highest = int64(0)
    for w in range(L.words):
        rest = S[L.o_out + cpu * L.words + w]
        if mm >= 0 and cpu >> L.shift == w:
            rest |= S[mm_set(L, mm, MASK) + w] & (int64(1) << (cpu & (L.bits - 1)))
        while rest:
            number = Q[B.o_number + w * L.bits + lowest(rest)]
            rest &= rest - 1
            if calls == 0 or number + reach <= highest or lowest_number + reach <= number:
                calls += 1
                lowest_number = number
                highest = number
            lowest_number = min(lowest_number, number)
            highest = max(highest, number)
    return calls


@inlined
def broadcasts(S: Cells, P: Cells, L: Layout, cpu: int, pc: int) -> int:
    """Return how many instructions a SEND broadcasts itself: none where named instructions did."""
    each = P[pc * 5 + 3]
    if each < 0:
        return int64(0)
    strides = S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL_STRIDES]
    return max(int64((strides + max(each, 1) - 1) // max(each, 1)), int64(1))


@internal
def note_merged(S: Cells, L: Layout, Q: Cells, B: Books, sender: int, queued: int) -> int:
    """Find the targets of a call whose queue is not empty, keep them as a set, and return how many there are.

    kernel/smp.c: __smp_call_single_queue() and smp_call_function_many_cond() interrupt a CPU only if llist_add() found
    its queue empty. __flush_smp_call_function_queue() empties it as the handler begins.
    """
    Q[B.o_misc + k.MERGING] = 0
    if queued >= Q[B.o_misc + k.LAST_BEGAN]:
        return int64(0)
    merged = int64(0)
    for w in range(L.words):
        rest = S[L.o_out + sender * L.words + w]
        there = int64(0)
        while rest:
            bit = rest & -rest
            cpu = w * L.bits + lowest(rest)
            rest &= rest - 1
            if began(Q, B, cpu) > queued:
                there |= bit
                merged += 1
        Q[B.o_merged + w] = there
    Q[B.o_misc + k.MERGING] = merged
    return merged


@inlined
def writes_of(S: Cells, L: Layout, Q: Cells, B: Books, cpu: int, targets: int) -> int:
    """Count the words that a CPU writes to the interrupt controller: one write for the targets of each cluster.

    Args:
        targets: those that are interrupted. The rest, of `note_merged`, are left out.
    """
    cluster = Q[B.o_misc + k.CLUSTER]
    if cluster == 0 or targets == 0:
        return int64(0)
    everybody = targets == L.cpus - 1
    if everybody and Q[B.o_misc + k.SHORTHAND]:
        return int64(1)
    writes = int64(targets)
    if cluster > 1 and everybody:
        writes = Q[B.o_misc + k.CLUSTERS] - int64(Q[B.o_cluster_size + Q[B.o_cluster + cpu]] == 1)
    elif cluster > 1:
        writes = int64(0)
        last = int64(-1)
        for piece in range(Q[B.o_misc + k.PIECES]):
            w = Q[B.o_piece_word + piece]
            word = S[L.o_out + cpu * L.words + w] & Q[B.o_piece_set + piece]
            if Q[B.o_misc + k.MERGING]:
                word &= ~Q[B.o_merged + w]
            if word != 0 and Q[B.o_piece_of + piece] != last:
                last = int64(Q[B.o_piece_of + piece])
                writes += 1
    return int64(writes * Q[B.o_misc + k.WRITE_WORDS])


@inlined
def far_targets(S: Cells, L: Layout, Q: Cells, B: Books, cpu: int) -> int:
    """Count the targets of a CPU that are on other sockets."""
    far = int64(0)
    if B.sockets > 1:
        near = B.o_socket_set + Q[B.o_socket + cpu] * L.words
        for w in range(L.words):
            far += popcount(S[L.o_out + cpu * L.words + w] & ~Q[near + w])
    return far


@internal
def begin_call(
    S: Cells,
    P: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    cpu: int,
    pc: int,
    targets: int,
    calls: int,
) -> int:
    """Charge a CPU for sending a call, in so many `calls` of what runs below; returns when it arrives on its socket.

    The books get the time at which the sender will have all answers if the call sends no interrupts, as that time does
    not depend on the targets; otherwise only the duration of collecting the answers.
    """
    kind = P[pc * 5 + 1]
    task = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
    arrival = int64(Q[B.o_clock + cpu])
    Q[B.o_collect + cpu] = 0
    Q[B.o_answer + cpu] = arrival
    if kind == o.CALL_HYPERCALL:
        Q[B.o_answer + cpu] = arrival + calls * costs[HYPERCALL] + targets * costs[HYPERCALL_EACH]
    elif kind == o.CALL_BROADCAST:
        arrival += broadcasts(S, P, L, cpu, pc) * costs[BROADCAST]
        Q[B.o_clock + cpu] = arrival
        if Q[B.o_misc + k.SERIAL]:  # what all CPUs share carries one after another
            arrival = begins(Q, B, k.MACHINE, arrival)
            Q[B.o_free + k.MACHINE] = arrival + targets * costs[COMPLETION_EACH]
        Q[B.o_answer + cpu] = arrival + costs[COMPLETION] + targets * costs[COMPLETION_EACH]
    elif kind != o.CALL_RCU and targets:
        far = far_targets(S, L, Q, B, cpu)
        arrival += costs[IPI_SEND] + targets * costs[IPI_SEND_EACH] + far * CALL_LINES * costs[FAR_LINE]
        interrupted = targets - note_merged(S, L, Q, B, cpu, arrival)
        arrival += writes_of(S, L, Q, B, cpu, interrupted) * costs[IPI_WRITE]
        if Q[B.o_misc + k.SCAN_MISSES] and not (Q[B.o_misc + k.SHORTHAND] and interrupted == L.cpus - 1):
            arrival += interrupted * costs[IPI_SCAN]
        Q[B.o_clock + cpu] = arrival
        Q[B.o_collect + cpu] = targets * costs[IPI_ANSWER_EACH] + far * costs[FAR_LINE]
        if far:
            count(Q, B, k.FAR_CALLS, 1, task)
            count(Q, B, k.FAR_TARGETS, far, task)
        arrival += costs[IPI_LATENCY]
    return arrival


@inlined
def all_answered(Q: Cells, B: Books, cpu: int) -> int:
    """Return the time at which a waiting CPU has all answers and has left the handlers that it took meanwhile."""
    answered = Q[B.o_answer + cpu] + Q[B.o_collect + cpu]
    return int64(max(max(Q[B.o_clock + cpu], answered), busy_until(Q, B, cpu)))
