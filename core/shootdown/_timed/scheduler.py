"""One schedule among all: the earliest CPU takes the next step, locks are handed over first come, first served,
an interrupt is taken the moment that it is sent unless the target has interrupts off.

Semantics are those of `_machine.step`; this module adds clocks, queues, costs and the ledger.
"""

from __future__ import annotations

from shootdown._jit import inlined, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64, lowest, popcount
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CALL_MM,
    CPU_CALL_STRIDES,
    CPU_CELLS,
    CPU_TASK,
    M_CONSIDER,
    M_TRIM,
    MM_CELLS,
    T_CPU,
    T_MM,
    T_ON,
    T_PC,
    T_REG,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.step import (
    FLUSH_ON_ENTRY,
    LAZY,
    LOADED,
    PREEMPTED,
    STALE_LEAF,
    STALE_WALK,
    cpu_set,
    enter_guest,
    lock_of,
    mm_set,
    place,
    step,
    switch_to,
    take,
    takeable,
)
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
    IPI_SEND,
    IPI_SEND_EACH,
    LOCK_HANDOFF,
    LOCK_WAKE,
    MIGRATE,
    PAGE_FLUSH,
    PREEMPTED_FOR,
    START,
    SWITCH,
    USER,
)

SECOND = 10**12
#: The process numbers that tasks have begin here; INVLPGB's policy compares them with the jiffies.
FIRST_PID = 1000


@inlined
def count(Q: Cells, B: Books, what: int, n: int, task: int) -> None:
    """Count an occurrence: in all, in the open window, and for the window's actor."""
    Q[B.o_total + what] += n
    window = Q[B.o_misc + k.WINDOW]
    if window >= 0:
        Q[B.o_all + window * B.counters + what] += n
        if task == Q[B.o_misc + k.ACTOR]:
            Q[B.o_actor + window * B.counters + what] += n


@kernel
def log(
    Q: Cells, B: Books, events: Cells, kind: int, begin: int, end: int, cpu: int, about: int, targets: int
) -> None:
    """Remember an event for the timeline, as long as there is room."""
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


@inlined
def random_jitter(Q: Cells, B: Books, time: int, percent: int) -> int:
    """Vary a time at random by up to so many percent either way; reproducible for a seed."""
    x = int64(Q[B.o_misc + k.RANDOM])
    x ^= (x << 13) & 0x7FFFFFFFFFFFFFFF
    x ^= x >> 7
    x ^= (x << 17) & 0x7FFFFFFFFFFFFFFF
    Q[B.o_misc + k.RANDOM] = x
    return time + time // 100 * percent * (x % 2001 - 1000) // 1000


# --- the heap of CPUs that have a step to take, by clock and then by number


@inlined
def earlier(Q: Cells, B: Books, x: int, y: int) -> bool:
    """Say whether CPU x is before CPU y."""
    cx = Q[B.o_clock + x]
    cy = Q[B.o_clock + y]
    return cx < cy or (cx == cy and x < y)


@kernel
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


@kernel
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


@kernel
def push(Q: Cells, B: Books, cpu: int) -> None:
    """Let a CPU take part: it has a step to take at its clock."""
    if Q[B.o_place + cpu] >= 0:
        return
    n = Q[B.o_misc + k.HEAP_SIZE]
    Q[B.o_misc + k.HEAP_SIZE] = n + 1
    Q[B.o_heap + n] = cpu
    sift_up(Q, B, n)


@kernel
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


# --- tasks


@kernel
def note_running(S: Cells, L: Layout, Q: Cells, B: Books, cpu: int) -> None:
    """Keep the set of CPUs whose task has an mm: only those can be inside a lockless walk."""
    task = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
    word = B.o_user + cpu // L.bits
    bit = int64(1) << (cpu % L.bits)
    if task >= 0 and S[L.o_task + task * TASK_CELLS + T_MM] != 0:
        Q[word] |= bit
    else:
        Q[word] &= ~bit


@kernel
def run_on(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int, task: int) -> None:
    """Switch a CPU to a task at the CPU's clock."""
    said = switch_to(S, L, cpu, task)
    note_running(S, L, Q, B, cpu)
    if task >= 0:
        Q[B.o_clock + cpu] += costs[SWITCH]
        count(Q, B, k.CONTEXT_SWITCHES, 1, task)
        if said:
            count(Q, B, k.ROOT_LOADS, 1, task)
        push(Q, B, cpu)


@kernel
def make_ready(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, task: int, time: int) -> None:
    """Let a task run on its CPU from a time on: at once if the CPU idles, else in its queue."""
    cpu = S[L.o_task + task * TASK_CELLS + T_CPU]
    if cpu >= L.cpus:  # fork() chooses: an idle CPU if there is one, else the next in turn
        cpu = choose_cpu(S, L, Q, B)
        place(S, L, task, cpu)
    if S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] == 0:
        Q[B.o_clock + cpu] = max(max(Q[B.o_clock + cpu], time), Q[B.o_handler + cpu])
        Q[B.o_paid + cpu] = Q[B.o_owed + cpu]
        run_on(S, L, Q, B, costs, cpu, task)
        return
    Q[B.o_ready + task] = time
    Q[B.o_next + task] = -1
    last = Q[B.o_queue_end + cpu]
    if last < 0:
        Q[B.o_queue + cpu] = task
    else:
        Q[B.o_next + last] = task
    Q[B.o_queue_end + cpu] = task


@kernel
def choose_cpu(S: Cells, L: Layout, Q: Cells, B: Books) -> int:
    """Choose where a new task runs: the next idle CPU in turn, or the next CPU in turn that does not spin."""
    last = int64(Q[B.o_misc + k.LAST_CPU])
    fallback = int64(-1)
    for i in range(1, L.cpus + 1):
        cpu = (last + i) % L.cpus
        if S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] == 0:
            Q[B.o_misc + k.LAST_CPU] = cpu
            return cpu
        if fallback < 0 and Q[B.o_queue + cpu] < 0:
            fallback = cpu
    if fallback < 0:
        fallback = (last + 1) % L.cpus
    Q[B.o_misc + k.LAST_CPU] = fallback
    return fallback


@kernel
def next_task(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int) -> None:
    """Let a CPU whose task sleeps or is gone take the next of its queue, or idle."""
    task = Q[B.o_queue + cpu]
    if task < 0:
        remove(Q, B, cpu)
        switch_to(S, L, cpu, -1)
        note_running(S, L, Q, B, cpu)
        return
    Q[B.o_queue + cpu] = Q[B.o_next + task]
    if Q[B.o_next + task] < 0:
        Q[B.o_queue_end + cpu] = -1
    Q[B.o_clock + cpu] = max(Q[B.o_clock + cpu], Q[B.o_ready + task])
    run_on(S, L, Q, B, costs, cpu, task)
    sift_down(Q, B, Q[B.o_place + cpu])


@kernel
def wake_waiters(
    S: Cells, P: Cells, lists: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, lock: int, time: int
) -> None:
    """Hand a released lock to whoever waits longest: to one writer, or to all readers before the next writer."""
    while True:
        task = Q[B.o_lock + lock]
        if task < 0:
            return
        t = L.o_task + task * TASK_CELLS
        pc = S[t + T_PC]
        if step(S, P, lists, L, task) & 7 != o.DONE:
            return
        Q[B.o_lock + lock] = Q[B.o_next + task]
        if Q[B.o_next + task] < 0:
            Q[B.o_lock_end + lock] = -1
        if P[pc * 5] == o.LOCK_WRITE:
            waited = time - Q[B.o_since + task]
            Q[B.o_misc + k.SPIN_ALL] += waited
            Q[B.o_misc + k.SPIN_ONE] += time - max(Q[B.o_since + task], Q[B.o_lock_at + lock])
        Q[B.o_lock_at + lock] = time
        cpu = S[t + T_CPU]
        if P[pc * 5 + 3]:
            make_ready(S, L, Q, B, costs, task, time + costs[LOCK_WAKE])
        else:
            Q[B.o_clock + cpu] = max(Q[B.o_clock + cpu], time + costs[LOCK_HANDOFF])
            Q[B.o_misc + k.SYSTEM] += Q[B.o_clock + cpu] - Q[B.o_since + task]
            Q[B.o_paid + cpu] = Q[B.o_owed + cpu]
            push(Q, B, cpu)


# --- interrupts


@kernel
def needed_walkers(
    S: Cells, L: Layout, Q: Cells, B: Books, ever: Cells, sender: int, section: int, task: int
) -> int:
    """Count the targets of a sync that could be walking a table just unshared, and remember those.

    A CPU can be walking it only if it runs a task whose mm maps or mapped the table (gup_fast() walks current->mm),
    and the sync is of use there only if no flush IPI of the same unsharing already made it answer.
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
    return needed


@inlined
def charge(Q: Cells, B: Books, cpu: int, arrival: int, handler: int) -> int:
    """Let a CPU spend time in a handler; returns when the handler ends."""
    begin = max(arrival, int64(Q[B.o_handler + cpu]))
    Q[B.o_handler + cpu] = begin + handler
    Q[B.o_owed + cpu] += handler
    return begin + handler


@kernel
def account(
    Q: Cells,
    B: Books,
    L: Layout,
    S: Cells,
    sender: int,
    task: int,
    word: int,
    full: int,
    partial: int,
    left: int,
) -> None:
    """Count what a flush did on a set of CPUs."""
    strides = S[L.o_cpu + sender * CPU_CELLS + CPU_CALL_STRIDES]
    n = popcount(full)
    if n:
        count(Q, B, k.FULL_FLUSHES, n, task)
        count(Q, B, k.REMOTE_FULL_FLUSHES, n, task)
    if partial:
        count(Q, B, k.PAGE_INVALIDATIONS, popcount(partial) * strides, task)
    if left:
        count(Q, B, k.LAZY_SWITCHES, popcount(left), task)


@kernel
def take_calls(
    S: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    events: Cells,
    sender: int,
    word: int,
    cpus: int,
    arrival: int,
) -> int:
    """Let a set of CPUs take the call of `sender`; returns when the last handler ends."""
    task = S[L.o_cpu + sender * CPU_CELLS + CPU_TASK] - 1
    kind = S[L.o_cpu + sender * CPU_CELLS + CPU_CALL] & o.CALL_MASK
    strides = S[L.o_cpu + sender * CPU_CELLS + CPU_CALL_STRIDES]
    full, partial, left = take(S, L, sender, word, cpus)
    if kind == o.CALL_BROADCAST or kind == o.CALL_HYPERCALL or kind == o.CALL_RCU:
        return arrival
    base = word * L.bits
    end = arrival
    logging = events.shape[0] > 0
    if kind == o.CALL_SYNC:
        handler = costs[IPI_HANDLER]
        if cpus == -1 and not logging:
            for cpu in range(base, base + 64):
                begin = max(arrival, Q[B.o_handler + cpu])
                Q[B.o_handler + cpu] = begin + handler
                end = max(end, begin + handler)
            for cpu in range(base, base + 64):
                Q[B.o_owed + cpu] += handler
            for cpu in range(base, base + 64):
                Q[B.o_syncs_taken + cpu] += 1
            return end
        rest = cpus
        while rest:
            cpu = base + lowest(rest)
            rest &= rest - 1
            ends = charge(Q, B, cpu, arrival, handler)
            Q[B.o_syncs_taken + cpu] += 1
            if logging:
                log(Q, B, events, k.LOG_HANDLER, ends - handler, ends, cpu, sender, kind)
            end = max(end, ends)
        return end
    if full | partial | left:
        account(Q, B, L, S, sender, task, word, full, partial, left)
    rest = cpus
    while rest:
        bit = rest & -rest
        cpu = base + lowest(rest)
        rest &= rest - 1
        handler = costs[IPI_HANDLER]
        if full & bit:
            handler += costs[FULL_FLUSH]
        elif partial & bit:
            handler += strides * costs[PAGE_FLUSH]
        elif left & bit:
            handler += costs[FULL_FLUSH]
        ends = charge(Q, B, cpu, arrival, handler)
        Q[B.o_flushes_taken + cpu] += 1
        if logging:
            log(Q, B, events, k.LOG_HANDLER, ends - handler, ends, cpu, sender, kind)
        end = max(end, ends)
    return end


@kernel
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
    """Deliver what a SEND made pending, charge the sender, and work out when it will have all answers."""
    kind = P[pc * 5 + 1]
    now = Q[B.o_clock + cpu]
    row = L.o_out + cpu * L.words
    Q[B.o_collect + cpu] = 0
    Q[B.o_answer + cpu] = now
    n = int64(0)
    for w in range(L.words):
        n += popcount(S[row + w])
    Q[B.o_step_targets + pc] += n
    section = Q[B.o_section_of + task]
    if kind == o.CALL_BROADCAST:
        strides = S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL_STRIDES]
        each = max(P[pc * 5 + 3], 1)
        instructions = max((strides + each - 1) // each, 1) if P[pc * 5 + 3] >= 0 else int64(0)
        count(Q, B, k.BROADCASTS, instructions, task)
        arrival = now + instructions * costs[BROADCAST]
        Q[B.o_clock + cpu] = arrival
        for w in range(L.words):
            pending = takeable(S, L, cpu, w)
            if pending:
                take(S, L, cpu, w, pending)
        if P[pc * 5 + 3] < 0:  # named instructions: what all CPUs share carries one after another
            arrival = max(arrival, Q[B.o_misc + k.CHANNEL])
            Q[B.o_misc + k.CHANNEL] = arrival + n * costs[COMPLETION_EACH]
        Q[B.o_answer + cpu] = arrival + costs[COMPLETION] + n * costs[COMPLETION_EACH]
        return
    if kind == o.CALL_RCU:  # nobody is interrupted; a CPU inside a lockless walk answers when it leaves
        for w in range(L.words):
            pending = takeable(S, L, cpu, w)
            if pending:
                take(S, L, cpu, w, pending)
        return
    if kind == o.CALL_HYPERCALL:
        count(Q, B, k.HYPERCALLS, 1, task)
        for w in range(L.words):
            pending = takeable(S, L, cpu, w)
            if pending:
                full, partial, left = take(S, L, cpu, w, pending)
                account(Q, B, L, S, cpu, task, w, full, partial, left)
        Q[B.o_answer + cpu] = now + costs[HYPERCALL] + n * costs[HYPERCALL_EACH]
        return
    if kind == o.CALL_FLUSH or kind == o.CALL_INVALIDATE or kind == o.CALL_LEAVE:
        count(Q, B, k.FLUSH_IPIS, n, task)
        mm = S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL_MM] - 1
        for w in range(L.words):
            targets = S[row + w]
            if targets:
                loaded = targets & S[mm_set(L, mm, LOADED) + w]
                count(Q, B, k.LAZY_IPIS, popcount(loaded & S[cpu_set(L, LAZY) + w]), task)
                count(Q, B, k.TRIM_IPIS, popcount(targets & ~loaded), task)
                Q[B.o_section_flushed + section * L.words + w] |= targets
                spared = targets
                while spared:
                    other = section * L.cpus + w * L.bits + lowest(spared)
                    spared &= spared - 1
                    redundant = Q[B.o_section_needed + other]
                    if redundant:
                        Q[B.o_section_needed + other] = 0
                        count(Q, B, k.REDUNDANT_SYNC_IPIS, redundant, task)
    elif kind == o.CALL_TRANSITION:
        count(Q, B, k.TRANSITION_IPIS, n, task)
    else:
        count(Q, B, k.SYNC_BROADCASTS, 1, task)
        count(Q, B, k.SYNC_IPIS, n, task)
        needed = needed_walkers(S, L, Q, B, ever, cpu, section, task)
        count(Q, B, k.REDUNDANT_SYNC_IPIS, n - needed, task)
    Q[B.o_misc + k.DELIVERIES] += n
    if n == 0:
        return
    sent = now + costs[IPI_SEND] + n * costs[IPI_SEND_EACH]
    Q[B.o_clock + cpu] = sent
    arrival = sent + costs[IPI_LATENCY]
    end = arrival
    for w in range(L.words):
        if S[row + w]:
            late = S[row + w] & S[cpu_set(L, PREEMPTED) + w]
            while late:  # a preempted vCPU answers once the host lets it run again
                other = w * L.bits + lowest(late)
                late &= late - 1
                if Q[B.o_resume + other] == 0:
                    Q[B.o_resume + other] = now + costs[PREEMPTED_FOR]
                    if Q[B.o_place + other] < 0:
                        Q[B.o_clock + other] = Q[B.o_resume + other]
                        push(Q, B, other)
            pending = takeable(S, L, cpu, w)
            if one_by_one:
                while pending:
                    post_delivery(Q, B, now, cpu, w * L.bits + lowest(pending))
                    pending &= pending - 1
            elif pending:
                end = max(end, take_calls(S, L, Q, B, costs, events, cpu, w, pending, arrival))
    Q[B.o_answer + cpu] = max(Q[B.o_answer + cpu], end)
    Q[B.o_collect + cpu] = n * costs[IPI_ANSWER_EACH]


@kernel
def post_delivery(Q: Cells, B: Books, arrival: int, sender: int, target: int) -> None:
    """Queue one delivery (the slow mode, an event for each)."""
    n = Q[B.o_misc + k.EVENTS_SIZE]
    at = B.o_events + n * 3
    Q[at] = arrival
    Q[at + 1] = sender
    Q[at + 2] = target
    Q[B.o_misc + k.EVENTS_SIZE] = n + 1


@kernel
def deliver_events(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, events: Cells) -> None:
    """Deliver what is queued, each interrupt as an event of its own, in the order of sending."""
    for i in range(Q[B.o_misc + k.EVENTS_SIZE]):
        at = B.o_events + i * 3
        sender = Q[at + 1]
        target = Q[at + 2]
        bit = int64(1) << (target % L.bits)
        end = take_calls(S, L, Q, B, costs, events, sender, target // L.bits, bit, Q[at])
        Q[B.o_answer + sender] = max(Q[B.o_answer + sender], end)
    Q[B.o_misc + k.EVENTS_SIZE] = 0


@kernel
def take_late(
    S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, events: Cells, cpu: int, now: int
) -> None:
    """Let a CPU whose interrupts are on again, or which runs again, take what became pending meanwhile."""
    word = cpu // L.bits
    bit = int64(1) << (cpu % L.bits)
    for sender in range(L.cpus):
        if S[L.o_out + sender * L.words + word] & bit and takeable(S, L, sender, word) & bit:
            end = take_calls(S, L, Q, B, costs, events, sender, word, bit, now)
            Q[B.o_answer + sender] = max(Q[B.o_answer + sender], end)
            push(Q, B, sender)


# --- what a step means for clocks and ledger, beyond what it costs


@kernel
def audit(S: Cells, L: Layout, Q: Cells, B: Books, task: int, pc: int) -> None:
    """Count what hardware could still use of the tables that the task's mm has just given up.

    Looked at when i_mmap_rwsem drops: from then on another process may reuse the table. A CPU can use what it
    cached only while it has the mm loaded; a preempted vCPU that will flush on entry can't. The first time that
    something is left is written down with its CPUs.
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


@kernel
def note(S: Cells, P: Cells, L: Layout, Q: Cells, B: Books, task: int, pc: int) -> None:
    """Write down an occurrence that only the ledger knows."""
    what = P[pc * 5 + 1]
    times = P[pc * 5 + 2]
    if what == o.NOTE_SECTION:
        section = P[pc * 5 + 3]
        if times:
            Q[B.o_section_of + task] = section
            for w in range(L.words):
                Q[B.o_section_flushed + section * L.words + w] = 0
            for cpu in range(L.cpus):
                Q[B.o_section_needed + section * L.cpus + cpu] = 0
            Q[B.o_section_count + section] = 0
        else:
            Q[B.o_section_of + task] = B.sections - 1
    elif what == o.NOTE_AUDIT:
        audit(S, L, Q, B, task, pc)
    else:
        count(Q, B, note_counter(what), times, task)


@inlined
def note_counter(what: int) -> int:
    """Say which counter an occurrence belongs to."""
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
    return int64(k.GRACE_PERIODS)


@kernel
def before_step(S: Cells, P: Cells, L: Layout, Q: Cells, B: Books, task: int, pc: int, tick: int) -> None:
    """Tell the state what time it is, where a step asks: trimming once a second or by the flush, ASIDs by the jiffy."""
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


@kernel
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
    """Do for clocks, queues and ledger what a step asks, beyond what it costs."""
    op = P[pc * 5]
    a = P[pc * 5 + 1]
    b = P[pc * 5 + 2]
    t = L.o_task + task * TASK_CELLS
    cpu = S[t + T_CPU]
    now = Q[B.o_clock + cpu]
    mm = S[t + T_ON] - 1
    if op == o.UNLOCK_WRITE or op == o.UNLOCK_READ:
        wake_waiters(S, P, lists, L, Q, B, costs, said >> 3, now)
    elif op == o.NOTE:
        note(S, P, L, Q, B, task, pc)
    elif op == o.SEND:
        send_calls(S, P, L, Q, B, costs, ever, events, cpu, task, pc, slow)
        if slow:
            deliver_events(S, L, Q, B, costs, events)
    elif op == o.WAIT:
        done = max(max(now, Q[B.o_answer + cpu] + Q[B.o_collect + cpu]), Q[B.o_handler + cpu])
        if events.shape[0] > 0 and done > now:
            log(Q, B, events, k.LOG_WAIT, now, done, cpu, pc, 0)
        Q[B.o_misc + k.SYSTEM] += done - now
        Q[B.o_step_time + pc] += done - now
        Q[B.o_paid + cpu] = Q[B.o_owed + cpu]
        Q[B.o_clock + cpu] = done
        Q[B.o_answer + cpu] = 0
        Q[B.o_collect + cpu] = 0
    elif op == o.FLUSH_BEGIN:
        count(Q, B, k.FLUSH_REQUESTS, 1, task)
        count(Q, B, k.FLUSH_WHOLE_MM, said >> 3, task)
    elif op == o.FLUSH_SELF:
        what = said >> 3
        strides = S[L.o_cpu + cpu * CPU_CELLS + CPU_CALL_STRIDES]
        if what & 1:
            count(Q, B, k.FULL_FLUSHES, 1, task)
            Q[B.o_clock + cpu] += costs[FULL_FLUSH]
        elif what & 2:
            count(Q, B, k.PAGE_INVALIDATIONS, strides, task)
            Q[B.o_clock + cpu] += strides * costs[PAGE_FLUSH]
        elif what & 4:
            count(Q, B, k.LAZY_SWITCHES, 1, task)
            Q[B.o_clock + cpu] += costs[FULL_FLUSH]
        if P[pc * 5 + 2]:
            count(Q, B, k.OWN_HANDLER_RUNS, 1, task)
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
                make_ready(S, L, Q, B, costs, waiter, now + costs[LOCK_WAKE])
            else:
                Q[B.o_next + waiter] = Q[B.o_waiting + a]
                Q[B.o_waiting + a] = waiter
            waiter = after
    elif op == o.RELEASE_MM:
        note_running(S, L, Q, B, cpu)
    elif op == o.IRQ_ON:
        take_late(S, L, Q, B, costs, events, cpu, now)
    elif op == o.MARK:
        mark(L, Q, B, a, b, P[pc * 5 + 3], now)
        if events.shape[0] > 0:
            log(Q, B, events, k.LOG_STEP, now, now, cpu, pc, task)
    elif op == o.EXECUTE:
        execute(S, P, L, Q, B, costs, cpu, pc)
    elif op == o.FLUSH_LOCAL_PAGES:
        count(Q, B, k.PAGE_INVALIDATIONS, a, task)
        Q[B.o_clock + cpu] += a * costs[PAGE_FLUSH]


@kernel
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
        targets = int64(0)
        for w in range(L.words):
            targets += popcount(S[L.o_out + cpu * L.words + w])
        times *= targets
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
            Q[B.o_misc + k.CHANNEL] = Q[B.o_clock + cpu]


@kernel
def broadcast(L: Layout, Q: Cells, B: Books, cpu: int, times: int, each: int) -> None:
    """Let a CPU wait for the channel that carries broadcasts, and every other CPU spend time on what it brings."""
    Q[B.o_clock + cpu] = max(Q[B.o_clock + cpu], Q[B.o_misc + k.CHANNEL])
    for other in range(L.cpus):
        if other != cpu:
            Q[B.o_owed + other] += times * each


@kernel
def mark(L: Layout, Q: Cells, B: Books, window: int, opens: int, actor: int, now: int) -> None:
    """Open a window for counting, or close it; per-CPU interrupts and CPU time count from the last opening.

    The ledger by step is that of the first window: emptied when it opens, put aside when it closes.
    """
    ledger = 3 * B.steps
    if window == 0:
        for i in range(ledger):
            if opens:
                Q[B.o_step_count + i] = 0
            else:
                Q[B.o_step_kept + i] = Q[B.o_step_count + i]
    if not opens:
        Q[B.o_misc + k.WINDOW] = -1
        Q[B.o_window_end + window] = now
        Q[B.o_window_system + window] = Q[B.o_misc + k.SYSTEM] - Q[B.o_window_system + window]
        return
    Q[B.o_misc + k.WINDOW] = window
    Q[B.o_misc + k.ACTOR] = actor
    Q[B.o_window_begin + window] = now
    Q[B.o_window_system + window] = Q[B.o_misc + k.SYSTEM]
    for cpu in range(L.cpus):
        Q[B.o_flushes_taken + cpu] = 0
        Q[B.o_syncs_taken + cpu] = 0


@kernel
def blocked(
    S: Cells, P: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, task: int, pc: int, said: int
) -> None:
    """Let a task wait: in a lock's queue, for answers, for an event, or for good."""
    t = L.o_task + task * TASK_CELLS
    cpu = S[t + T_CPU]
    why = said & 7
    if why == o.BLOCKED_LOCK:
        lock = said >> 3
        Q[B.o_since + task] = Q[B.o_clock + cpu]
        Q[B.o_next + task] = -1
        last = Q[B.o_lock_end + lock]
        if Q[B.o_lock + lock] < 0:
            Q[B.o_lock + lock] = task
        else:
            Q[B.o_next + last] = task
        Q[B.o_lock_end + lock] = task
        count(Q, B, k.LOCK_WAITS, 1, task)
        if P[pc * 5 + 3]:
            next_task(S, L, Q, B, costs, cpu)
        else:
            remove(Q, B, cpu)
    elif why == o.BLOCKED_ACK:
        remove(Q, B, cpu)
    elif why == o.BLOCKED_EVENT:
        Q[B.o_next + task] = Q[B.o_waiting + (said >> 3)]
        Q[B.o_waiting + (said >> 3)] = task
        next_task(S, L, Q, B, costs, cpu)
    elif why == o.HALTED or why == o.FAILED:
        Q[B.o_misc + k.UNFINISHED] -= 1
        next_task(S, L, Q, B, costs, cpu)
    elif P[pc * 5 + 1] == 1:
        Q[B.o_misc + k.UNFINISHED] -= 1
        remove(Q, B, cpu)
    else:
        Q[B.o_misc + k.UNFINISHED] -= 1
        next_task(S, L, Q, B, costs, cpu)


@kernel
def run(
    S: Cells,
    P: Cells,
    lists: Cells,
    cost_of: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    ever: Cells,
    events: Cells,
    tuning: Cells,
    limit: int,
) -> int:
    """Run until nobody has a step to take, or for so many steps.

    Args:
        S, P, lists, L: the machine; see `step`.
        cost_of: which cost a step has, shape (steps,); -1 for none.
        Q, B: the books.
        costs: picoseconds, in the order of `COST_NAMES`.
        ever: whether an mm ever mapped a slot, uint8, shape (mms * slots,).
        events: the timeline, int64; empty if nobody wants it.
        tuning: jitter in percent, length of a tick in picoseconds, 1 for the slow mode.
        limit: steps at most.

    Returns:
        steps taken.
    """
    jitter = tuning[0]
    tick = tuning[1]
    slow = tuning[2]
    taken = int64(0)
    while Q[B.o_misc + k.HEAP_SIZE] > 0 and taken < limit:
        cpu = Q[B.o_heap]
        owed = Q[B.o_owed + cpu] - Q[B.o_paid + cpu]
        if owed:
            Q[B.o_paid + cpu] += owed
            Q[B.o_clock + cpu] += owed
            sift_down(Q, B, int64(0))
            continue
        if Q[B.o_resume + cpu] > 0 and Q[B.o_clock + cpu] >= Q[B.o_resume + cpu]:
            now = Q[B.o_clock + cpu]
            Q[B.o_resume + cpu] = 0
            remove(Q, B, cpu)
            enter_guest(S, L, cpu)
            take_late(S, L, Q, B, costs, events, cpu, now)
            continue
        task = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
        t = L.o_task + task * TASK_CELLS
        while True:
            pc = S[t + T_PC]
            op = P[pc * 5]
            if op == o.TARGET_LOADED or op == o.CONSIDER_GLOBAL or op == o.JUMP_NOT_DUE:
                before_step(S, P, L, Q, B, task, pc, tick)
            said = int64(-1)
            if op == o.LOCK_READ or op == o.LOCK_WRITE:
                lock = lock_of(S, L, P, pc, task)
                if Q[B.o_lock + lock] >= 0:
                    said = (lock << 3) | o.BLOCKED_LOCK
            if said < 0:
                said = step(S, P, lists, L, task)
            taken += 1
            Q[B.o_step_count + pc] += 1
            if said & 7:
                blocked(S, P, L, Q, B, costs, task, pc, said)
                break
            price = cost_of[pc]
            if price >= 0:
                time = costs[price]
                if op == o.WORK:
                    time *= P[pc * 5 + 2]
                    if jitter:
                        time = random_jitter(Q, B, time, jitter)
                begin = Q[B.o_clock + cpu]
                Q[B.o_clock + cpu] = begin + time
                Q[B.o_step_time + pc] += time
                if price in (USER, START):
                    Q[B.o_misc + k.USER_TIME] += time
                else:
                    Q[B.o_misc + k.SYSTEM] += time
                if events.shape[0] > 0:
                    log(Q, B, events, k.LOG_STEP, begin, begin + time, cpu, pc, task)
            if op >= o.AFTER:
                before = Q[B.o_clock + cpu]
                after_step(S, P, lists, L, Q, B, costs, ever, events, task, pc, said, slow)
                if op == o.SEND or op == o.FLUSH_SELF or op == o.FLUSH_LOCAL_PAGES or op == o.EXECUTE:
                    spent = Q[B.o_clock + cpu] - before
                    Q[B.o_misc + k.SYSTEM] += spent
                    Q[B.o_step_time + pc] += spent
                    if events.shape[0] > 0:
                        log(Q, B, events, k.LOG_STEP, before, before + spent, cpu, pc, task)
                elif op == o.MIGRATE:
                    time = Q[B.o_clock + cpu] + costs[MIGRATE]
                    next_task(S, L, Q, B, costs, cpu)
                    make_ready(S, L, Q, B, costs, task, time)
                    break
            if Q[B.o_misc + k.HEAP_SIZE] > 1 or Q[B.o_owed + cpu] != Q[B.o_paid + cpu]:
                sift_down(Q, B, Q[B.o_place + cpu])
                if Q[B.o_heap] != cpu or Q[B.o_owed + cpu] != Q[B.o_paid + cpu]:
                    break
            if taken >= limit:
                break
        Q[B.o_misc + k.ELAPSED] = max(Q[B.o_misc + k.ELAPSED], Q[B.o_clock + cpu])
    return taken
