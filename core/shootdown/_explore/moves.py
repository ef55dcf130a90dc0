"""One move of a machine under exploration: a task's step with the local ones around it, or an agent's.

A move is named by a label: what moves, and which task or CPU. Search, replay, random walks and stories all make
moves here.
"""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, inlined_copy, kernel
from shootdown._explore.locality import locality, runs
from shootdown._explore.marks import ARRIVE_FRESH, Marks, Rules
from shootdown._explore.quiet import QUIET_AND_ENABLING, SEEN
from shootdown._machine import ops as o
from shootdown._machine.agents import (
    come_back,
    drain_store,
    fill_entry,
    go_idle,
    go_on_at,
    preempt,
    resume,
    step_aside,
)
from shootdown._machine.bits import Cells, int64, lowest
from shootdown._machine.flushes import take, takeable
from shootdown._machine.holding import fill, fill_all, is_fresh, usable_dead
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CALL_MM,
    CPU_CELLS,
    CPU_TASK,
    G_TABLES,
    GATHER_CELLS,
    T_CPU,
    T_GATHER,
    T_PC,
    T_REG,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.sets import PREEMPTED, cpu_set, has
from shootdown._machine.step import choose, step, step_inlined
from shootdown._machine.switching import switch_to

# What moves: the low bits of a label. Above: x (task or CPU), then y.
STEP = 0  # task x takes its next step
CHOOSE = 1  # task x, at a CHOICE, goes the other way
TAKE = 2  # CPU y takes the call of CPU x
FILL = 3  # the walker of CPU x caches the link of slot y, or the translation of an atom; see `holding.fill`
COPY = 4  # the walker of CPU x copies entry y into its TLB
DRAIN = 5  # store y of CPU x reaches memory
PREEMPT = 6  # the host takes vCPU x off its CPU
RESUME = 7  # the host lets vCPU x run
IDLE = 8  # task x waits, and its CPU idles meanwhile
GRANT = 9  # task x, off its CPU, gets the lock or event that it waits for
SWITCH = 10  # the CPU of task x switches to it
AWAY = 11  # task x, which waits for answers, is preempted; its CPU runs y, see `agents.step_aside`
BACK = 12  # task x, which was preempted so, goes on, on CPU y
KINDS = 13
#: The most steps in one move: a loop of local steps alone, which no other CPU can observe, would never end.
LONGEST = 4096
_X = 4
_Y = 12
_BYTE = 0xFF

# Results of a move.
REFUSED = 0  # it is not possible now; nothing was written
MOVED = 1
VIOLATED = 2  # an invariant is broken; its number is above the low 2 bits
LONG = 4 | MOVED  # it took as many steps as a move can, and may go on


@inlined
def label_of(kind: int, x: int, y: int) -> int:
    """Name a move."""
    return kind | (x << _X) | (y << _Y)


@kernel
def forget_dead(S: Cells, dead: Cells, L: Layout, task: int) -> None:
    """Clear the registers and gathers of a task that no later step reads."""
    t = L.o_task + task * TASK_CELLS
    mask = int64(dead[int64(S[t + T_PC])])
    for r in range(o.REGISTERS):
        if (mask >> r) & 1:
            S[t + T_REG + r] = 0
    for g in range(3):
        if (mask >> (o.REGISTERS + g)) & 1:
            for i in range(GATHER_CELLS if g < 2 else G_TABLES):
                S[t + T_GATHER + g * GATHER_CELLS + i] = 0
    if (mask >> (o.REGISTERS + 3)) & 1:  # flow.QUEUED
        S[t + T_GATHER + 2 * GATHER_CELLS + G_TABLES] = 0


@inlined
def woken(S: Cells, L: Layout, F: Marks, R: Rules, cpu: int) -> int:
    """Return the task of a CPU, or of a request, which may go on because its wait may be over; -1 for none."""
    if L.by_task:  # the request is that of a task, which may be on another CPU, or on none
        if R.fuse == 0 or cpu >= L.tasks or not runs(S, L, cpu):
            return int64(-1)
        return int64(cpu)
    task = int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK]) - 1
    if R.fuse == 0 or task < 0 or has(S, cpu_set(L, PREEMPTED), L, cpu):
        return int64(-1)
    return task


@kernel
def unnoticed(S: Cells, L: Layout, F: Marks, R: Rules, sender: int) -> int:
    """Return the CPUs that can take a call now and that it changes nothing on, as a mask; one word holds all CPUs.

    An invalidation changes nothing on a CPU that holds what its walker could read now and nothing else: it would hold
    that again at once. Taken later it could only drop more (ADR 51).
    """
    kind = int64(S[L.o_cpu + sender * CPU_CELLS + CPU_CALL]) & o.CALL_MASK
    if (R.late >> kind) & 1:
        return int64(0)
    found = changing_nothing(S, L, F, R, sender)
    if (R.last >> kind) & 1 and found == int64(S[L.o_out + sender]):
        found = found & (found - 1)  # until the last one has answered, the task may be preempted
    return found


@kernel
def changing_nothing(S: Cells, L: Layout, F: Marks, R: Rules, sender: int) -> int:
    """Return the CPUs that can take a call now and that it changes nothing on, as a mask."""
    base = L.o_cpu + sender * CPU_CELLS
    call = int64(S[base + CPU_CALL])
    kind = call & o.CALL_MASK
    if kind == o.CALL_SYNC or kind == o.CALL_RCU or call == o.CALL_INVALIDATE:
        return takeable(S, L, sender, int64(0))
    mm = int64(S[base + CPU_CALL_MM]) - 1
    invalidates = kind == o.CALL_INVALIDATE or kind == o.CALL_INVALIDATE_MASKED
    if mm < 0 or not (invalidates or kind == o.CALL_BROADCAST or kind == o.CALL_HYPERCALL):
        return int64(0)
    there = takeable(S, L, sender, int64(0))
    found = there & int64(F.without[mm])
    rest = int64(0)
    if R.arrive == ARRIVE_FRESH:
        rest = there & ~found
    while rest:
        cpu = lowest(rest)
        rest = rest & (rest - 1)
        if is_fresh(S, L, cpu, mm):
            found = found | int64(1) << cpu
    return found


@kernel
def let_arrive(S: Cells, L: Layout, F: Marks, R: Rules) -> int:
    """Let CPUs take the calls that change nothing on them, until that ends a wait.

    Returns:
        the task that has waited, and goes on; -1 if there is none.
    """
    for sender in range(L.cpus):
        if int64(S[L.o_out + sender]):
            cpus = unnoticed(S, L, F, R, sender)
            if cpus:
                take(S, L, sender, int64(0), cpus)
                if int64(S[L.o_out + sender]) == 0:
                    task = woken(S, L, F, R, sender)
                    if task >= 0:
                        return task
    return int64(-1)


@inlined
def waits_asleep(P: Cells, pc: int) -> bool:
    """Whether a task may sleep at a step until it is woken."""
    op = P[pc * 5]
    return bool(op == o.AWAIT or (op in (o.LOCK_READ, o.LOCK_WRITE) and P[pc * 5 + 3] != 0))


@inlined
def goes_on(F: Marks, R: Rules, pc: int) -> bool:
    """Whether a step is local, so that the next step belongs to the same move.

    A step that makes moves of others possible ends its move: their moves must not wait for the next step.
    """
    local = F.local[pc]
    return R.fuse != 0 and local != SEEN and local != QUIET_AND_ENABLING


@inlined
def after_move(S: Cells, L: Layout, R: Rules) -> int:
    """Let CPUs hold what they could read now, and look for something dead that they can use; return as `_move`."""
    if L.walks:
        if R.eager:
            fill_all(S, L)
        what = usable_dead(S, L)
        if what:
            return int64(((what - 1) << 2) | VIOLATED)
    return int64(MOVED)


def _move(
    S: Cells,
    P: Cells,
    lists: Cells,
    L: Layout,
    F: Marks,
    R: Rules,
    label: int,
) -> int:
    """Make one move.

    Args:
        S, P, lists, L: the machine; see `step`.
        F: the program's `Marks`.
        R: the rules.
        label: which move.

    Returns:
        `REFUSED`, `MOVED`, `LONG`, or `VIOLATED` with the invariant above the low 2 bits.
    """
    kind = label & 15
    x = (label >> _X) & _BYTE
    y = (label >> _Y) & _BYTE
    task = int64(-1)  # the task that goes on after it
    must = False  # a step of that task, or no move
    begun = False  # it took a step
    acts = kind != STEP and kind != CHOOSE  # it may have changed what CPUs hold or can use
    alone = int64(kind != STEP or y != 0)  # at a local step, nothing but local ones
    done = True
    if kind == STEP:
        done = runs(S, L, x)
        task = x
        must = True
    elif kind == TAKE:
        word = y >> L.shift
        bit = int64(1) << (y & (L.bits - 1))
        done = takeable(S, L, x, word) & bit != 0
        if done:
            take(S, L, x, word, bit)
            task = woken(S, L, F, R, x)
    elif kind == CHOOSE:
        done = runs(S, L, x) and choose(S, P, L, x)
        if done:
            task = x
    elif kind == FILL:
        done = fill(S, L, x, y)
    elif kind == COPY:
        done = (R.entries >> x) & 1 != 0 and fill_entry(S, L, x, y)
    elif kind == DRAIN:
        done = drain_store(S, L, x, y)
    elif kind == PREEMPT:
        done = (R.preemptible >> x) & 1 != 0 and preempt(S, L, x)
    elif kind == RESUME:
        done = resume(S, L, x)
        if done and L.by_task:
            task = int64(S[L.o_cpu + x * CPU_CELLS + CPU_TASK]) - 1 if R.fuse else int64(-1)
        elif done:
            task = woken(S, L, F, R, x)
    elif kind == IDLE:
        done = go_idle(S, P, L, x)
    elif kind == GRANT:
        pc = int64(S[L.o_task + x * TASK_CELLS + T_PC])
        cpu = int64(S[L.o_task + x * TASK_CELLS + T_CPU])
        done = waits_asleep(P, pc) and int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK]) != x + 1
        task = x
        must = True
    elif kind == SWITCH:
        done = come_back(S, P, L, x)
    elif kind == AWAY:
        done = step_aside(S, P, L, x, y)
    elif kind == BACK:
        done = go_on_at(S, P, L, x, y)
        if done and R.fuse:
            task = x
    if not done:
        return int64(REFUSED)
    said = int64(MOVED)
    for _ in range(LONGEST):
        if task >= 0:
            t = L.o_task + task * TASK_CELLS
            taken = int64(0)
            while taken < LONGEST:
                pc = int64(S[t + T_PC])
                op = P[pc * 5]
                how = locality(S, L, F, R, task, pc)
                if not must and op != o.FAIL and (how == SEEN or R.fuse == 0):
                    break
                if begun and op == o.CHOICE:  # both branches are open to a move that begins at a CHOICE
                    break
                why = step_inlined(S, P, lists, L, task)
                if why & 7 == o.FAILED:
                    return int64(((why >> 3) << 2) | VIOLATED)
                why = why & 7
                if must and (why == o.HALTED or (why == o.PARKED and P[pc * 5 + 1] == 0)):
                    switch_to(S, L, int64(S[t + T_CPU]), -1)
                    acts = True
                    break
                if why != o.DONE:
                    if must and not begun:
                        return int64(REFUSED)
                    break
                F.taken[pc] = 1
                if op == o.REACHED:
                    F.seen[P[pc * 5 + 1]] = 1
                acts = acts or F.acts[pc] != 0
                must = must and alone == 0 and R.fuse != 0 and how != SEEN and how != QUIET_AND_ENABLING
                begun = True
                taken += 1
            F.taken[int64(S[t + T_PC])] = 1
            if R.dead:
                forget_dead(S, F.dead, L, task)
            if taken == LONGEST:
                said = int64(LONG)
        if R.arrive == 0:
            break
        before = int64(0)
        for cpu in range(L.cpus):
            before += int64(S[L.o_out + cpu])
        task = let_arrive(S, L, F, R)
        for cpu in range(L.cpus):
            before -= int64(S[L.o_out + cpu])
        acts = acts or before != 0
        if task < 0:
            break
        must = False
    if not acts:
        return said
    after = after_move(S, L, R)
    return said if after == MOVED else after


@kernel
def settle(S: Cells, P: Cells, lists: Cells, L: Layout, F: Marks, R: Rules) -> None:
    """Let every running task take the local steps that it begins with: no other CPU or agent can observe when."""
    for task in range(L.tasks):
        t = L.o_task + task * TASK_CELLS
        for _ in range(LONGEST):
            if not runs(S, L, task):
                break
            pc = int64(S[t + T_PC])
            if not goes_on(F, R, pc) or P[pc * 5] == o.FAIL or step(S, P, lists, L, task) & 7 != o.DONE:
                break
            F.taken[pc] = 1
            if P[pc * 5] == o.REACHED:
                F.seen[P[pc * 5 + 1]] = 1
        F.taken[int64(S[t + T_PC])] = 1
        if R.dead:
            forget_dead(S, F.dead, L, task)
    if L.walks and R.eager:
        fill_all(S, L)


#: `move` as a kernel of its own, and inlined into the loop of the search.
move = kernel(_move)
move_inlined = inlined_copy(_move)
