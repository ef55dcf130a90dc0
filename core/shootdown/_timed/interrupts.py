"""Calls from one CPU to others: when each target takes them, what that costs, and when the sender has all answers."""

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
    T_MM,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.sets import IRQ_OFF, LAZY, LOADED, MASK, PREEMPTED, cpu_set, mm_set
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.costs import (
    BROADCAST,
    COMPLETION,
    COMPLETION_EACH,
    FULL_FLUSH,
    HYPERCALL,
    HYPERCALL_EACH,
    IPI_ANSWER_EACH,
    IPI_HANDLER,
    IPI_LATENCY,
    IPI_SCAN,
    IPI_SEND,
    IPI_SEND_EACH,
    IPI_WRITE,
    LINE,
    PAGE_FLUSH,
    PREEMPTED_FOR,
)
from shootdown._timed.entries import count, log
from shootdown._timed.handlers import (
    began,
    busy_until,
    can_step,
    charge,
    charge_everybody,
    charge_merged,
)
from shootdown._timed.heap import push
from shootdown._timed.served import begins


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
def take_by_word(S: Cells, L: Layout, Q: Cells, B: Books, sender: int, word: int, cpus: int) -> None:
    """Let a set of CPUs take the call of `sender`, and record which of them flush everything and which a range."""
    task = S[L.o_cpu + sender * CPU_CELLS + CPU_TASK] - 1
    full, partial, left = take(S, L, sender, word, cpus)
    if full | partial | left:
        account(Q, B, L, S, sender, task, full, partial, left)
    Q[B.o_taken + word] = cpus
    Q[B.o_whole + word] = full | (left & ~partial)
    Q[B.o_ranged + word] = partial & ~full


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


@internal
def spend(
    S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, events: Cells, sender: int, word: int, arrival: int
) -> int:
    """Charge the CPUs that `take_by_word` recorded for their handlers; return the time at which the last one ends."""
    kind = S[L.o_cpu + sender * CPU_CELLS + CPU_CALL] & o.CALL_MASK
    strides = S[L.o_cpu + sender * CPU_CELLS + CPU_CALL_STRIDES]
    taken = B.o_syncs_taken if kind == o.CALL_SYNC else B.o_flushes_taken
    task = S[L.o_cpu + sender * CPU_CELLS + CPU_TASK] - 1
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
            ends = charge_merged(Q, B, cpu, handler)
        else:
            ends = charge(Q, B, cpu, arrival, handler)
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
    everybody = everybody and Q[B.o_misc + k.MERGING] == 0
    task = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
    if everybody and S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL] & o.CALL_MASK == o.CALL_SYNC:
        take_sync(S, L, cpu)
        Q[B.o_misc + k.ALL_SYNCS] += 1
        Q[B.o_syncs_taken + cpu] -= 1
        count(Q, B, k.INTERRUPTS_TAKEN, targets, task)
        return charge_everybody(Q, B, L.cpus, cpu, arrival, costs[IPI_HANDLER])
    for w in range(L.words):
        pending = S[row + w]
        if pending:
            if not everybody:
                pending = takeable(S, L, cpu, w)
            take_by_word(S, L, Q, B, cpu, w, pending)
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
            return charge_everybody(Q, B, L.cpus, cpu, arrival, handler)
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
        take_by_word(S, L, Q, B, cpu, word, int64(1) << (target % L.bits))
        end = max(end, spend(S, L, Q, B, costs, events, cpu, word, arrival))
    return end


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
    begin_call(S, P, L, Q, B, costs, cpu, pc, targets, calls)


@inlined
def broadcasts(S: Cells, P: Cells, L: Layout, cpu: int, pc: int) -> int:
    """Return how many instructions a SEND broadcasts itself: none where named instructions did."""
    each = P[pc * 5 + 3]
    if each < 0:
        return int64(0)
    strides = S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL_STRIDES]
    return max(int64((strides + max(each, 1) - 1) // max(each, 1)), int64(1))


@inlined
def writes_of(S: Cells, L: Layout, Q: Cells, B: Books, cpu: int, targets: int) -> int:
    """Count the words that a CPU writes to the interrupt controller: one write for the targets of each cluster.

    Args:
        targets: those that are interrupted. The rest, of `note_merged`, are left out.
    """
    cluster = Q[B.o_misc + k.CLUSTER]
    if cluster == 0:
        return int64(0)
    writes = int64(targets)
    if cluster > 1:
        writes = int64(0)
        mask = (int64(1) << cluster) - 1
        for w in range(L.words):
            word = S[L.o_out + cpu * L.words + w]
            if Q[B.o_misc + k.MERGING]:
                word &= ~Q[B.o_merged + w]
            shift = int64(0)
            while word and shift < L.bits:
                writes += int64((word >> shift) & mask != 0)
                shift += cluster
    return int64(writes * Q[B.o_misc + k.WRITE_WORDS])


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
    """Charge a CPU for sending a call, in so many `calls` of what runs below; returns when it arrives.

    The books get the time at which the sender will have all answers if the call sends no interrupts, as that time does
    not depend on the targets; otherwise only the duration of collecting the answers.
    """
    kind = P[pc * 5 + 1]
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
        arrival += costs[IPI_SEND] + targets * costs[IPI_SEND_EACH]
        interrupted = targets - note_merged(S, L, Q, B, cpu, arrival)
        arrival += writes_of(S, L, Q, B, cpu, interrupted) * costs[IPI_WRITE]
        if Q[B.o_misc + k.SCAN_MISSES]:
            arrival += interrupted * costs[IPI_SCAN]
        Q[B.o_clock + cpu] = arrival
        Q[B.o_collect + cpu] = targets * costs[IPI_ANSWER_EACH]
        arrival += costs[IPI_LATENCY]
    return arrival


@inlined
def all_answered(Q: Cells, B: Books, cpu: int) -> int:
    """Return the time at which a waiting CPU has all answers and has left the handlers that it took meanwhile."""
    answered = Q[B.o_answer + cpu] + Q[B.o_collect + cpu]
    return int64(max(max(Q[B.o_clock + cpu], answered), busy_until(Q, B, cpu)))


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


@inlined
def targets_of(S: Cells, L: Layout, cpu: int) -> int:
    """Count the CPUs that have the call of a CPU pending."""
    n = int64(0)
    for w in range(L.words):
        n += popcount(S[L.o_out + cpu * L.words + w])
    return n


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
    n = targets_of(S, L, cpu)
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


@internal
def take_late(
    S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, events: Cells, cpu: int, now: int
) -> None:
    """Let a CPU whose interrupts are on again, or which runs again, take the calls that became pending meanwhile."""
    word = cpu // L.bits
    bit = int64(1) << (cpu % L.bits)
    Q[B.o_misc + k.MERGING] = 0
    Q[B.o_merged + word] = bit
    for sender in range(L.cpus):
        if S[L.o_out + sender * L.words + word] & bit and takeable(S, L, sender, word) & bit:
            take_by_word(S, L, Q, B, sender, word, bit)
            end = spend(S, L, Q, B, costs, events, sender, word, now)
            Q[B.o_misc + k.MERGING] = 1  # one interrupt for all that are queued
            Q[B.o_answer + sender] = max(Q[B.o_answer + sender], end)
            can_step(Q, B, sender)
