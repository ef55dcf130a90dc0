"""The targets of a call take it: when, what that costs them, and when the last of them is through."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, internal, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64, lowest, popcount
from shootdown._machine.flushes import take, take_sync, takeable
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CALL_MM,
    CPU_CALL_STRIDES,
    CPU_CELLS,
    CPU_TASK,
    Layout,
)
from shootdown._machine.sets import IRQ_OFF, PREEMPTED, cpu_set
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.cores import slow_core, slower_by
from shootdown._timed.costs import (
    FAR_IPI,
    FULL_FLUSH,
    IPI_HANDLER,
    LINE,
    PAGE_FLUSH,
    PREEMPTED_FOR,
)
from shootdown._timed.entries import count, log
from shootdown._timed.handlers import (
    can_step,
    charge,
    charge_everybody,
    charge_everybody_merged,
    charge_merged,
)
from shootdown._timed.heap import push
from shootdown._timed.refill import drop_on


@internal
def account(
    Q: Cells, B: Books, L: Layout, S: Cells, sender: int, task: int, full: int, partial: int, left: int
) -> None:
    """Count full flushes, page invalidations and lazy switches of a flush on a set of CPUs."""
    strides = S[L.o_cpu + sender * CPU_CELLS + CPU_CALL_STRIDES]
    n = popcount(full)
    if n:
        count(Q, B, k.FULL_FLUSHES, n, task)
        count(Q, B, k.REMOTE_FULL_FLUSHES, n, task)
    if partial:
        count(Q, B, k.PAGE_INVALIDATIONS, popcount(partial) * strides, task)
    if left:
        count(Q, B, k.LAZY_SWITCHES, popcount(left), task)


@internal
def take_by_word(
    S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, sender: int, word: int, cpus: int
) -> None:
    """Let a set of CPUs take the call of `sender`, and record which of them flush everything and which a range."""
    task = S[L.o_cpu + sender * CPU_CELLS + CPU_TASK] - 1
    full, partial, left = take(S, L, sender, word, cpus)
    if full | partial | left:
        account(Q, B, L, S, sender, task, full, partial, left)
    if full and Q[B.o_misc + k.REFILLS]:
        drop_on(S, L, Q, B, costs, word, full, called_mm(S, L, sender), Q[B.o_clock + sender], sender)
    Q[B.o_taken + word] = cpus
    Q[B.o_whole + word] = full | (left & ~partial)
    Q[B.o_ranged + word] = partial & ~full


@inlined
def called_mm(S: Cells, L: Layout, sender: int) -> int:
    """Return the mm that the call of a CPU flushes, -1 if it is all of them."""
    kernel = S[L.o_cpu + sender * CPU_CELLS + CPU_CALL] & o.CALL_MASK == o.CALL_KERNEL
    return int64(-1) if kernel else S[L.o_cpu + sender * CPU_CELLS + CPU_CALL_MM] - 1


@inlined
def handler_time(costs: Cells, strides: int, whole: bool, ranged: bool) -> int:
    """Return how long the handler of a call takes that drops everything, a range, or nothing."""
    time = int64(costs[IPI_HANDLER])
    if whole:
        time += costs[FULL_FLUSH]
    elif ranged:
        time += strides * costs[PAGE_FLUSH]
    return time


@kernel
def answer(S: Cells, L: Layout, costs: Cells, sender: int, target: int) -> int:
    """Let one CPU take the call of `sender`; returns how long its handler takes if the call is an interrupt."""
    strides = S[L.o_cpu + sender * CPU_CELLS + CPU_CALL_STRIDES]
    full, partial, left = take(S, L, sender, target // L.bits, int64(1) << (target % L.bits))
    return handler_time(costs, strides, full | (left & ~partial) != 0, partial & ~full != 0)


@internal
def spend(
    S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, events: Cells, sender: int, word: int, arrival: int
) -> int:
    """Charge the CPUs that `take_by_word` recorded for their handlers; return the time at which the last one ends."""
    kind = S[L.o_cpu + sender * CPU_CELLS + CPU_CALL] & o.CALL_MASK
    strides = S[L.o_cpu + sender * CPU_CELLS + CPU_CALL_STRIDES]
    taken = B.o_syncs_taken if kind == o.CALL_SYNC else B.o_flushes_taken
    task = S[L.o_cpu + sender * CPU_CELLS + CPU_TASK] - 1
    home = Q[B.o_socket + sender]
    whole = Q[B.o_whole + word]
    ranged = Q[B.o_ranged + word]
    rest = Q[B.o_taken + word]
    merged = int64(0)
    if Q[B.o_misc + k.MERGING]:
        merged = rest & Q[B.o_merged + word]
    count(Q, B, k.INTERRUPTS_TAKEN, popcount(rest & ~merged), task)
    end = arrival
    while rest:
        bit = rest & -rest
        cpu = word * L.bits + lowest(rest)
        rest &= rest - 1
        handler = handler_time(costs, strides, whole & bit != 0, ranged & bit != 0)
        if merged & bit:
            handler += costs[LINE] - costs[IPI_HANDLER]
        if B.siblings:
            handler += slow_core(S, L, Q, B, sender, cpu, handler)
        if merged & bit:
            ends = charge_merged(Q, B, cpu, handler)
        else:
            far = costs[FAR_IPI] if Q[B.o_socket + cpu] != home else int64(0)
            ends = charge(Q, B, cpu, arrival + far, handler)
        Q[taken + cpu] += 1
        if events.shape[0] > 0:
            log(Q, B, events, k.LOG_HANDLER, ends - handler, ends, cpu, sender, kind)
        end = max(end, ends)
    return end


@internal
def alike(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, sender: int, targets: int) -> int:
    """Return the duration of a flush's handler if it is equal on all CPUs but the sender, else -1."""
    whole = int64(0)
    ranged = int64(0)
    for w in range(L.words):
        whole += popcount(Q[B.o_whole + w])
        ranged += popcount(Q[B.o_ranged + w])
    if (whole | ranged) != 0 and whole != targets and ranged != targets:
        return int64(-1)
    strides = S[L.o_cpu + sender * CPU_CELLS + CPU_CALL_STRIDES]
    return handler_time(costs, strides, whole == targets, ranged == targets)


@internal
def all_can_take(S: Cells, L: Layout) -> bool:
    """Whether no CPU has interrupts off or is preempted."""
    off = int64(0)
    for w in range(L.words):
        off |= S[cpu_set(L, IRQ_OFF) + w] | S[cpu_set(L, PREEMPTED) + w]
    return off == 0


@internal
def deliver(
    S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, events: Cells, cpu: int, targets: int, arrival: int
) -> int:
    """Let all targets of a call that can take it do so, 64 CPUs at a time; return when the last handler ends."""
    row = L.o_out + cpu * L.words
    everybody = targets == L.cpus - 1 and events.shape[0] == 0 and all_can_take(S, L)
    everybody = everybody and (B.siblings == 0 or Q[B.o_misc + k.CORES_FULL] != 0)
    task = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
    syncs = S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL] & o.CALL_MASK == o.CALL_SYNC
    if everybody and syncs and Q[B.o_misc + k.MERGING] == targets:
        take_sync(S, L, cpu)
        Q[B.o_misc + k.ALL_SYNCS] += 1
        Q[B.o_syncs_taken + cpu] -= 1
        handler = costs[LINE]
        if B.siblings:
            handler += slower_by(Q, B, handler, B.siblings)
        return max(arrival, charge_everybody_merged(Q, B, L.cpus, cpu, handler))
    everybody = everybody and Q[B.o_misc + k.MERGING] == 0
    if everybody and syncs:
        take_sync(S, L, cpu)
        Q[B.o_misc + k.ALL_SYNCS] += 1
        Q[B.o_syncs_taken + cpu] -= 1
        count(Q, B, k.INTERRUPTS_TAKEN, targets, task)
        handler = costs[IPI_HANDLER]
        if B.siblings:
            handler += slower_by(Q, B, handler, B.siblings)
        return charge_everybody(Q, B, L.cpus, cpu, arrival, costs[FAR_IPI], handler)
    for w in range(L.words):
        pending = S[row + w]
        if pending:
            if not everybody:
                pending = takeable(S, L, cpu, w)
            take_by_word(S, L, Q, B, costs, cpu, w, pending)
        else:
            Q[B.o_taken + w] = 0
            Q[B.o_whole + w] = 0
            Q[B.o_ranged + w] = 0
    if everybody:
        handler = alike(S, L, Q, B, costs, cpu, targets)
        if handler >= 0:
            Q[B.o_misc + k.ALL_FLUSHES] += 1
            Q[B.o_flushes_taken + cpu] -= 1
            count(Q, B, k.INTERRUPTS_TAKEN, targets, task)
            if B.siblings:
                handler += slower_by(Q, B, handler, B.siblings)
            return charge_everybody(Q, B, L.cpus, cpu, arrival, costs[FAR_IPI], handler)
    end = arrival
    for w in range(L.words):
        if Q[B.o_taken + w]:
            end = max(end, spend(S, L, Q, B, costs, events, cpu, w, arrival))
    return end


@internal
def deliver_one_by_one(
    S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, events: Cells, cpu: int, arrival: int
) -> int:
    """Do as `deliver` does, with an event for each interrupt: the slow twin for tests."""
    n = int64(0)
    for w in range(L.words):
        pending = takeable(S, L, cpu, w)
        while pending:
            Q[B.o_events + n] = w * L.bits + lowest(pending)
            n += 1
            pending &= pending - 1
    end = arrival
    for i in range(n):
        target = Q[B.o_events + i]
        word = target // L.bits
        take_by_word(S, L, Q, B, costs, cpu, word, int64(1) << (target % L.bits))
        end = max(end, spend(S, L, Q, B, costs, events, cpu, word, arrival))
    return end


@internal
def wake_preempted(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int) -> None:
    """Let preempted vCPUs that are called answer when the host runs them again."""
    now = Q[B.o_clock + cpu]
    for w in range(L.words):
        late = S[L.o_out + cpu * L.words + w] & S[cpu_set(L, PREEMPTED) + w]
        while late:
            other = w * L.bits + lowest(late)
            late &= late - 1
            if Q[B.o_resume + other] == 0:
                Q[B.o_resume + other] = now + costs[PREEMPTED_FOR]
                if Q[B.o_place + other] < 0:
                    Q[B.o_clock + other] = Q[B.o_resume + other]
                    push(Q, B, other)
                    Q[B.o_idles + other] = 1


@internal
def take_late(
    S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, events: Cells, cpu: int, now: int
) -> None:
    """Let a CPU whose interrupts are on again, or which runs again, take the calls that became pending meanwhile."""
    word = cpu // L.bits
    bit = int64(1) << (cpu % L.bits)
    Q[B.o_misc + k.MERGING] = 0
    Q[B.o_merged + word] = bit
    for w in range(L.words):
        Q[B.o_called + w] = 0
    for sender in range(L.cpus):
        if S[L.o_out + sender * L.words + word] & bit and takeable(S, L, sender, word) & bit:
            take_by_word(S, L, Q, B, costs, sender, word, bit)
            end = spend(S, L, Q, B, costs, events, sender, word, now)
            Q[B.o_misc + k.MERGING] = 1  # one interrupt for all that are queued
            Q[B.o_answer + sender] = max(Q[B.o_answer + sender], end)
            can_step(Q, B, sender)
