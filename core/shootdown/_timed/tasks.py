"""Each CPU's queue of tasks, and the queues of tasks that wait for a lock or an event."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, internal
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import (
    CPU_CELLS,
    CPU_TASK,
    K_WRITER,
    LOCK_CELLS,
    T_CPU,
    T_MM,
    T_PC,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.step import step
from shootdown._machine.switching import place, switch_to
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.cores import beside_others
from shootdown._timed.costs import LOCK_HANDOFF, LOCK_WAKE, MIGRATE, SWITCH
from shootdown._timed.entries import count
from shootdown._timed.handlers import busy_until, can_step, hit, outside, owed
from shootdown._timed.heap import leave, steps_later
from shootdown._timed.randomness import after
from shootdown._timed.refill import drop

#: Picoseconds for which who waits for a rwsem lets those that spin overtake it (kernel/locking/rwsem.c: HZ / 250).
WAIT_TIMEOUT = 4 * 10**9


@internal
def note_running(S: Cells, L: Layout, Q: Cells, B: Books, cpu: int) -> None:
    """Update the set of CPUs whose task has an mm: only those can be inside a lockless walk."""
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
        time = beside_others(S, L, Q, B, cpu, costs[SWITCH])
        Q[B.o_clock + cpu] += time
        Q[B.o_misc + k.SYSTEM] += time
        Q[B.o_began + cpu] = Q[B.o_clock + cpu]
        count(Q, B, k.CONTEXT_SWITCHES, 1, task)
        if said:
            count(Q, B, k.ROOT_LOADS, 1, task)
        if said == 3 and Q[B.o_misc + k.REFILLS]:
            drop(S, L, Q, B, costs, cpu, int64(-1), Q[B.o_clock + cpu], cpu)
        can_step(Q, B, cpu)


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
    """Make a task runnable on its CPU from a time on: it runs at once if the CPU idles, else it is queued."""
    cpu = S[L.o_task + task * TASK_CELLS + T_CPU]
    if cpu >= L.cpus:  # fork() chooses: an idle CPU if there is one, else the next in turn
        cpu = choose_cpu(S, L, Q, B)
        place(S, L, task, cpu)
    current = S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] - 1
    if Q[B.o_floats + task] and current >= 0:  # select_idle_sibling(): an idle CPU, if there is one
        other = idle_cpu(S, L, Q, B)
        if other >= 0:
            cpu = other
            current = int64(-1)
            time += move_to(S, L, Q, B, costs, task, cpu)
    gives_up = current >= 0 and Q[B.o_spins + current] != 0
    if gives_up:  # need_resched(): who spins for a lock sleeps from now on
        stops_spinning(Q, B, cpu, current, time)
    spins = current >= 0 and Q[B.o_parked + current] != 0
    if spins:  # the running task spins for ever: the one that wakes up takes its place, and it is queued
        enqueue(Q, B, cpu, current, time)
    if spins or gives_up or current < 0:
        if steps_later(Q, B, cpu):  # it is still switching to the task that spins: handlers put that off
            Q[B.o_clock + cpu] += owed(Q, B, cpu) - Q[B.o_paid + cpu]
        Q[B.o_clock + cpu] = max(max(Q[B.o_clock + cpu], time), busy_until(Q, B, cpu))
        Q[B.o_paid + cpu] = owed(Q, B, cpu)
        run_on(S, L, Q, B, costs, cpu, task)
    else:
        enqueue(Q, B, cpu, task, time)


@internal
def wake(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int, task: int, time: int) -> None:
    """Let a CPU wake a task that sleeps.

    On another CPU an interrupt and the way out of idle come first. On its own the task is queued, no more
    (ttwu_queue(), kernel/sched/core.c): `switch_ns` has that.
    """
    stays = S[L.o_task + task * TASK_CELLS + T_CPU] == cpu and Q[B.o_floats + task] == 0
    make_ready(S, L, Q, B, costs, task, time if stays else time + costs[LOCK_WAKE])


@inlined
def move_to(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, task: int, cpu: int) -> int:
    """Let the scheduler move a task to another CPU; returns how long that takes."""
    place(S, L, task, cpu)
    count(Q, B, k.MIGRATIONS, 1, task)
    return int64(costs[MIGRATE])


@internal
def turn_from(L: Layout, Q: Cells, B: Books) -> int:
    """Draw the CPU with which a search begins, from the seed of the run."""
    Q[B.o_misc + k.RANDOM] = after(Q[B.o_misc + k.RANDOM])
    return int64((Q[B.o_misc + k.RANDOM] >> 17) % L.cpus)


@internal
def idle_cpu(S: Cells, L: Layout, Q: Cells, B: Books) -> int:
    """Choose an idle CPU by the seed; -1 if there is none."""
    first = turn_from(L, Q, B)
    for i in range(L.cpus):
        cpu = (first + i) % L.cpus
        if S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] == 0:
            return cpu
    return int64(-1)


@internal
def pulled(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int) -> int:
    """Take a task that the scheduler may move from the longest queue: newidle_balance(); -1 if there is none."""
    busiest, most = int64(-1), int64(0)
    first = turn_from(L, Q, B)
    for i in range(L.cpus):
        other = (first + i) % L.cpus
        count_here = int64(0)
        task = Q[B.o_queue + other]
        while task >= 0:
            count_here += int64(Q[B.o_floats + task] != 0 and Q[B.o_parked + task] == 0)
            task = Q[B.o_next + task]
        if count_here > most:
            busiest, most = int64(other), count_here
    if busiest < 0:
        return int64(-1)
    before = int64(-1)
    task = Q[B.o_queue + busiest]
    while Q[B.o_floats + task] == 0 or Q[B.o_parked + task] != 0:
        before = task
        task = Q[B.o_next + task]
    following = Q[B.o_next + task]
    if before < 0:
        Q[B.o_queue + busiest] = following
    else:
        Q[B.o_next + before] = following
    if following < 0:
        Q[B.o_queue_end + busiest] = before
    Q[B.o_ready + task] = max(Q[B.o_ready + task], Q[B.o_clock + cpu]) + move_to(S, L, Q, B, costs, task, cpu)
    return int64(task)


@inlined
def slice_is_over(Q: Cells, B: Books, cpu: int, slice_ns: int) -> bool:
    """Whether the task of a CPU has run for a slice while another one is ready there."""
    task = Q[B.o_queue + cpu]
    now = Q[B.o_clock + cpu]
    return bool(task >= 0 and Q[B.o_ready + task] <= now and now - Q[B.o_began + cpu] >= slice_ns * 1000)


@internal
def give_way(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int, task: int) -> None:
    """Preempt a task: the next one of its CPU runs, and it waits for a CPU."""
    now = Q[B.o_clock + cpu]
    count(Q, B, k.PREEMPTIONS, 1, task)
    next_task(S, L, Q, B, costs, cpu)
    make_ready(S, L, Q, B, costs, task, now)


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
    """Let a CPU whose task sleeps or has ended run the next task of its queue, or idle."""
    task = Q[B.o_queue + cpu]
    if task < 0 and Q[B.o_misc + k.FLOATING]:
        task = pulled(S, L, Q, B, costs, cpu)
        if task >= 0:
            Q[B.o_clock + cpu] = max(Q[B.o_clock + cpu], Q[B.o_ready + task])
            run_on(S, L, Q, B, costs, cpu, task)
            return
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


@internal
def spin_for_good(S: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, cpu: int, task: int) -> None:
    """Leave a CPU to a task that spins for ever; queued tasks that don't spin run first."""
    before = int64(-1)
    other = Q[B.o_queue + cpu]
    while other >= 0 and Q[B.o_parked + other]:
        before = other
        other = Q[B.o_next + other]
    if other < 0:
        leave(Q, B, cpu)
        return
    if before >= 0:  # the first task of the queue that doesn't spin goes to its front
        Q[B.o_next + before] = Q[B.o_next + other]
        if Q[B.o_queue_end + cpu] == other:
            Q[B.o_queue_end + cpu] = before
        Q[B.o_next + other] = Q[B.o_queue + cpu]
        Q[B.o_queue + cpu] = other
    enqueue(Q, B, cpu, task, Q[B.o_clock + cpu])
    next_task(S, L, Q, B, costs, cpu)


@inlined
def stops_spinning(Q: Cells, B: Books, cpu: int, task: int, time: int) -> None:
    """Count the kernel time for which a task span for a lock, until it gets the lock or sleeps."""
    Q[B.o_misc + k.SYSTEM] += outside(Q, B, cpu, time - Q[B.o_since + task], Q[B.o_since_hit + task])
    if Q[B.o_spins + task]:
        Q[B.o_spinning + Q[B.o_spins + task] - 1] -= 1
        Q[B.o_spins + task] = 0


@internal
def next_holder(Q: Cells, B: Books, lock: int, time: int) -> tuple[int, int]:
    """Return who stands before the next holder in a lock's queue, and who that is; -1 for nobody.

    A writer that spins sees the lock free before who sleeps is awake: rwsem_try_write_lock_unqueued(), which
    rwsem_mark_wake() gives way to, until the longest waiter has waited for RWSEM_WAIT_TIMEOUT.
    """
    first = Q[B.o_lock + lock]
    if first >= 0 and Q[B.o_spinning + lock] and time - Q[B.o_since + first] < WAIT_TIMEOUT:
        before, task = int64(-1), first
        while Q[B.o_spins + task] == 0:
            before = task
            task = Q[B.o_next + task]
        return int64(before), int64(task)
    return int64(-1), int64(first)


@internal
def wake_waiters(
    S: Cells,
    P: Cells,
    lists: Cells,
    L: Layout,
    Q: Cells,
    B: Books,
    costs: Cells,
    releases: int,
    lock: int,
    time: int,
) -> None:
    """Hand a lock that a CPU releases to a writer that spins or to the longest waiter.

    That is one writer, or all readers before it.
    """
    while True:
        before, task = next_holder(Q, B, lock, time)
        if task < 0:
            return
        t = L.o_task + task * TASK_CELLS
        pc = S[t + T_PC]
        if step(S, P, lists, L, task) & 7 != o.DONE:
            return
        if before < 0:
            Q[B.o_lock + lock] = Q[B.o_next + task]
        else:
            Q[B.o_next + before] = Q[B.o_next + task]
        if Q[B.o_next + task] < 0:
            Q[B.o_lock_end + lock] = before
        cpu = S[t + T_CPU]
        if P[pc * 5 + 3] and Q[B.o_spins + task] == 0:
            wake(S, L, Q, B, costs, releases, task, time)
        else:
            Q[B.o_clock + cpu] = max(Q[B.o_clock + cpu], time + costs[LOCK_HANDOFF])
            stops_spinning(Q, B, cpu, task, Q[B.o_clock + cpu])
            Q[B.o_paid + cpu] = owed(Q, B, cpu)
            can_step(Q, B, cpu)


@inlined
def spins_first(S: Cells, P: Cells, L: Layout, Q: Cells, B: Books, cpu: int, pc: int, lock: int) -> bool:
    """Whether a task that wants a sleeping lock spins first: rwsem_optimistic_spin(), mutex_optimistic_spin().

    A writer does while another one holds the lock and no other task wants its CPU, since 3.16 (4fc828e24cd9). It is
    taken as spinning until it gets the lock, whether the holder sleeps meanwhile or not. Readers sleep, as they do
    since 5.12 (617f3ef95177) and did until 5.2.
    """
    return bool(
        P[pc * 5] == o.LOCK_WRITE
        and P[pc * 5 + 4] == 0
        and Q[B.o_queue + cpu] < 0
        and S[L.o_lock + lock * LOCK_CELLS + K_WRITER] != 0
    )


@internal
def blocked(
    S: Cells, P: Cells, L: Layout, Q: Cells, B: Books, costs: Cells, task: int, pc: int, said: int
) -> None:
    """Let a task wait: in a lock's queue, for answers, for an event, or for ever."""
    t = L.o_task + task * TASK_CELLS
    cpu = S[t + T_CPU]
    why = said & 7
    if why == o.BLOCKED_LOCK:
        lock = said >> 3
        Q[B.o_since + task] = Q[B.o_clock + cpu]
        Q[B.o_since_hit + task] = hit(Q, B, cpu)
        Q[B.o_next + task] = -1
        last = Q[B.o_lock_end + lock]
        if Q[B.o_lock + lock] < 0:
            Q[B.o_lock + lock] = task
        else:
            Q[B.o_next + last] = task
        Q[B.o_lock_end + lock] = task
        count(Q, B, k.LOCK_WAITS, 1, task)
        if P[pc * 5 + 3] and not spins_first(S, P, L, Q, B, cpu, pc, lock):
            next_task(S, L, Q, B, costs, cpu)
        else:
            if P[pc * 5 + 3]:
                Q[B.o_spins + task] = lock + 1
                Q[B.o_spinning + lock] += 1
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
