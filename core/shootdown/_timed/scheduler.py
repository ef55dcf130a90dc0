"""One schedule among all: the earliest CPU takes the next step, locks are handed over first come, first served,
an interrupt is taken the moment that it is sent unless the target has interrupts off.

Semantics are those of `_machine.step`; this module adds clocks, queues, costs and the ledger.
"""

from __future__ import annotations

from shootdown._jit import inlined, internal, kernel
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
    STALE_LEAF,
    STALE_WALK,
    cpu_set,
    enter_guest,
    lock_of,
    mm_set,
    place,
    step,
    step_inlined,
    switch_to,
)
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.costs import (
    ACTS,
    ASKS_TIME,
    CHARGED,
    FULL_FLUSH,
    LOCK_HANDOFF,
    LOCK_WAKE,
    LOCKS,
    MIGRATE,
    NOTED,
    PAGE_FLUSH,
    RELEASES,
    SPENDS,
    START,
    SWITCH,
    USER_MODE,
    VARIES,
)
from shootdown._timed.entries import count, log
from shootdown._timed.handlers import busy_until, owed, pay_at_once
from shootdown._timed.heap import earlier, leave, push, remove, second, sift_down
from shootdown._timed.interrupts import send_calls, take_late

SECOND = 10**12
#: The process numbers that tasks have begin here; INVLPGB's policy compares them with the jiffies.
FIRST_PID = 1000


@inlined
def random_jitter(Q: Cells, B: Books, time: int, percent: int) -> int:
    """Vary a time at random by up to so many percent either way; reproducible for a seed."""
    x = int64(Q[B.o_misc + k.RANDOM])
    x ^= (x << 13) & 0x7FFFFFFFFFFFFFFF
    x ^= x >> 7
    x ^= (x << 17) & 0x7FFFFFFFFFFFFFFF
    Q[B.o_misc + k.RANDOM] = x
    return time + time // 100 * percent * (x % 2001 - 1000) // 1000


# --- tasks


@internal
def note_running(S: Cells, L: Layout, Q: Cells, B: Books, cpu: int) -> None:
    """Keep the set of CPUs whose task has an mm: only those can be inside a lockless walk."""
    task = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
    word = B.o_user + cpu // L.bits
    bit = int64(1) << (cpu % L.bits)
    if task >= 0 and S[L.o_task + task * TASK_CELLS + T_MM] != 0:
        Q[word] |= bit
    else:
        Q[word] &= ~bit


@internal
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
        Q[B.o_idles + cpu] = 0


@inlined
def enqueue(Q: Cells, B: Books, cpu: int, task: int, time: int) -> None:
    """Put a task at the end of a CPU's queue."""
    Q[B.o_ready + task] = time
    Q[B.o_next + task] = -1
    last = Q[B.o_queue_end + cpu]
    if last < 0:
        Q[B.o_queue + cpu] = task
    else:
        Q[B.o_next + last] = task
    Q[B.o_queue_end + cpu] = task


@internal
def make_ready(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, task: int, time: int) -> None:
    """Let a task run on its CPU from a time on: at once if the CPU idles, else in its queue."""
    cpu = S[L.o_task + task * TASK_CELLS + T_CPU]
    if cpu >= L.cpus:  # fork() chooses: an idle CPU if there is one, else the next in turn
        cpu = choose_cpu(S, L, Q, B)
        place(S, L, task, cpu)
    current = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
    spins = current >= 0 and Q[B.o_parked + current] != 0
    if spins:  # it would run for ever: who wakes up takes its place, and it waits in the queue
        enqueue(Q, B, cpu, current, time)
    if spins or current < 0:
        Q[B.o_clock + cpu] = max(max(Q[B.o_clock + cpu], time), busy_until(Q, B, cpu))
        Q[B.o_paid + cpu] = owed(Q, B, cpu)
        run_on(S, L, Q, B, costs, cpu, task)
    else:
        enqueue(Q, B, cpu, task, time)


@internal
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


@internal
def next_task(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int) -> None:
    """Let a CPU whose task sleeps or is gone take the next of its queue, or idle."""
    task = Q[B.o_queue + cpu]
    if task < 0:
        leave(Q, B, cpu)
        switch_to(S, L, cpu, -1)
        note_running(S, L, Q, B, cpu)
        return
    Q[B.o_queue + cpu] = Q[B.o_next + task]
    if Q[B.o_next + task] < 0:
        Q[B.o_queue_end + cpu] = -1
    Q[B.o_clock + cpu] = max(Q[B.o_clock + cpu], Q[B.o_ready + task])
    run_on(S, L, Q, B, costs, cpu, task)
    sift_down(Q, B, Q[B.o_place + cpu])


@internal
def spin_for_good(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int, task: int) -> None:
    """Leave a CPU to a task that runs for ever; tasks that wait in its queue, and don't, run first."""
    before = int64(-1)
    other = Q[B.o_queue + cpu]
    while other >= 0 and Q[B.o_parked + other]:
        before = other
        other = Q[B.o_next + other]
    if other < 0:
        leave(Q, B, cpu)
        return
    if before >= 0:  # it goes to the front
        Q[B.o_next + before] = Q[B.o_next + other]
        if Q[B.o_queue_end + cpu] == other:
            Q[B.o_queue_end + cpu] = before
        Q[B.o_next + other] = Q[B.o_queue + cpu]
        Q[B.o_queue + cpu] = other
    enqueue(Q, B, cpu, task, Q[B.o_clock + cpu])
    next_task(S, L, Q, B, costs, cpu)


@internal
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
            Q[B.o_paid + cpu] = owed(Q, B, cpu)
            push(Q, B, cpu)
            Q[B.o_idles + cpu] = 0


# --- what a step means for clocks and ledger, beyond what it costs


@internal
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


@internal
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
            if Q[B.o_section_waits + section]:
                Q[B.o_section_waits + section] = 0
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


@internal
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
    elif op == o.WAIT:
        done = max(max(now, Q[B.o_answer + cpu] + Q[B.o_collect + cpu]), busy_until(Q, B, cpu))
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


@internal
def broadcast(L: Layout, Q: Cells, B: Books, cpu: int, times: int, each: int) -> None:
    """Let a CPU wait for the channel that carries broadcasts, and every other CPU spend time on what it brings."""
    Q[B.o_clock + cpu] = max(Q[B.o_clock + cpu], Q[B.o_misc + k.CHANNEL])
    Q[B.o_misc + k.ALL_OWED] += times * each
    Q[B.o_owed + cpu] -= times * each
    pay_at_once(Q, B, cpu, times * each)


@internal
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
    Q[B.o_misc + k.ALL_FLUSHES] = 0
    Q[B.o_misc + k.ALL_SYNCS] = 0
    for cpu in range(L.cpus):
        Q[B.o_flushes_taken + cpu] = 0
        Q[B.o_syncs_taken + cpu] = 0


@internal
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
            leave(Q, B, cpu)
    elif why == o.BLOCKED_ACK:
        leave(Q, B, cpu)
    elif why == o.BLOCKED_EVENT:
        Q[B.o_next + task] = Q[B.o_waiting + (said >> 3)]
        Q[B.o_waiting + (said >> 3)] = task
        next_task(S, L, Q, B, costs, cpu)
    elif why == o.HALTED or why == o.FAILED:
        Q[B.o_misc + k.UNFINISHED] -= 1
        next_task(S, L, Q, B, costs, cpu)
    elif P[pc * 5 + 1] == 1:
        if Q[B.o_parked + task] == 0:
            Q[B.o_misc + k.UNFINISHED] -= 1
            Q[B.o_parked + task] = 1
        spin_for_good(S, L, Q, B, costs, cpu, task)
    else:
        Q[B.o_misc + k.UNFINISHED] -= 1
        next_task(S, L, Q, B, costs, cpu)


@internal
def resume(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, events: Cells, cpu: int) -> None:
    """Let a preempted vCPU enter the guest again and take the calls that wait for it."""
    now = Q[B.o_clock + cpu]
    Q[B.o_resume + cpu] = 0
    if Q[B.o_idles + cpu]:
        Q[B.o_idles + cpu] = 0
        remove(Q, B, cpu)
    enter_guest(S, L, cpu)
    take_late(S, L, Q, B, costs, events, cpu, now)


@kernel
def begin(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, ready: Cells) -> None:
    """Let tasks be ready at time zero."""
    for i in range(len(ready)):
        make_ready(S, L, Q, B, costs, ready[i], int64(0))
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
    """Run until nobody has a step to take, or for so many steps.

    A CPU keeps stepping as long as no other is earlier; only steps that take time or act on others can change that.

    Args:
        S, P, lists, L: the machine; see `step`.
        charges: for each step picoseconds and what it is to the engine (`costs.charges`).
        Q, B: the books.
        costs: picoseconds, in the order of `COST_NAMES`.
        ever: whether an mm ever mapped a slot, uint8, shape (mms * slots,).
        events: the timeline, int64; empty if nobody wants it.
        tuning: jitter in percent, length of a tick in picoseconds, 1 for the slow mode.
        limit: steps at most, but for the rest of a run without a pause.

    Returns:
        steps taken.
    """
    taken = int64(0)
    while Q[B.o_misc + k.HEAP_SIZE] > 0 and taken < limit:
        cpu = Q[B.o_heap]
        stolen = owed(Q, B, cpu) - Q[B.o_paid + cpu]
        if stolen:
            Q[B.o_paid + cpu] += stolen
            Q[B.o_clock + cpu] += stolen
            sift_down(Q, B, int64(0))
            continue
        if Q[B.o_resume + cpu] > 0 and Q[B.o_clock + cpu] >= Q[B.o_resume + cpu]:
            resume(S, L, Q, B, costs, events, cpu)
            continue
        task = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
        t = L.o_task + task * TASK_CELLS
        other = second(Q, B)
        while True:
            pc = S[t + T_PC]
            what = charges[2 * pc + 1]
            said = int64(-1)
            if what & (ASKS_TIME | LOCKS):
                if what & ASKS_TIME:
                    before_step(S, P, L, Q, B, task, pc, tuning[1])
                else:
                    lock = lock_of(S, L, P, pc, task)
                    if Q[B.o_lock + lock] >= 0:
                        said = (lock << 3) | o.BLOCKED_LOCK
            if said < 0:
                said = step_inlined(S, P, lists, L, task)
            taken += 1
            Q[B.o_step_count + pc] += 1
            if said & 7:
                blocked(S, P, L, Q, B, costs, task, pc, said)
                break
            if what & RELEASES and not what & CHARGED and Q[B.o_lock + (said >> 3)] < 0:
                continue
            if what & CHARGED:
                time = charges[2 * pc]
                if what & VARIES and tuning[0]:
                    time = random_jitter(Q, B, time, tuning[0])
                begin = Q[B.o_clock + cpu]
                Q[B.o_clock + cpu] = begin + time
                Q[B.o_step_time + pc] += time
                if what & USER_MODE:
                    Q[B.o_misc + k.USER_TIME] += time
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
                if Q[B.o_heap] != cpu or owed(Q, B, cpu) != Q[B.o_paid + cpu]:
                    sift_down(Q, B, Q[B.o_place + cpu])
                    break
                other = second(Q, B)
            if what & (CHARGED | ACTS):
                if other >= 0 and earlier(Q, B, other, cpu):
                    sift_down(Q, B, int64(0))
                    break
                if taken >= limit:
                    break
        Q[B.o_misc + k.ELAPSED] = max(Q[B.o_misc + k.ELAPSED], Q[B.o_clock + cpu])
    return taken
