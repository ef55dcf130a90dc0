"""The semantics of steps, shared by both engines.

Each family of steps has a function, most of them in a module of their own; it returns the result of the step and the
number of the next one. Both engines run these functions, those for interrupts (`flushes`) and those for context
switches (`switching`), and nothing else writes semantic state. They know no time, no queue, no cost and no ledger. A
step that can't be taken returns the reason and has written nothing.
"""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, inlined_copy, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.gathers import gather_step
from shootdown._machine.layout import T_CPU, T_MM, T_ON, T_PC, T_REG, TASK_CELLS, Layout
from shootdown._machine.locks import lock_step
from shootdown._machine.memory import memory_step
from shootdown._machine.requests import request_step
from shootdown._machine.sets import IRQ_OFF, LAZY, PREEMPTED, WALKING, cpu_set, put, take_out
from shootdown._machine.switching import load_mm
from shootdown._machine.tables import table_step
from shootdown._machine.variables import variable_step


@inlined
def control_step(S: Cells, P: Cells, L: Layout, task: int, pc: int) -> tuple[int, int]:
    """Jump, or change the CPU, mm or run state of the task."""
    t = L.o_task + task * TASK_CELLS
    op = P[pc * 5]
    a = P[pc * 5 + 1]
    b = P[pc * 5 + 2]
    c = P[pc * 5 + 3]
    cpu = int64(S[t + T_CPU])
    regs = t + T_REG
    nxt = pc + 1
    said = int64(0)
    if op == o.NEXT:
        i = int64(S[regs + a]) + 1
        if i < b:
            S[regs + a] = i
            nxt = c
        else:
            S[regs + a] = 0
    elif op == o.JUMP_ZERO:
        if int64(S[regs + a]) == 0:
            nxt = b
    elif op == o.JUMP_EQUAL:
        if int64(S[regs + a]) == b:
            nxt = c
    elif op == o.JUMP:
        nxt = a
    elif op == o.SET:
        S[regs + a] = b
    elif op == o.SPAWN:
        said = a << 3
    elif op == o.SIGNAL:
        S[L.o_event + a] = int64(S[L.o_event + a]) + 1
        said = a << 3
    elif op == o.AWAIT:
        if int64(S[L.o_event + a]) < b:
            said = int64((a << 3) | o.BLOCKED_EVENT)
        elif c:
            S[L.o_event + a] = int64(S[L.o_event + a]) - b
    elif op == o.MIGRATE:
        S[t + T_CPU] = a
    elif op == o.ON_MM:
        mm = a if b < 0 else a + int64(S[regs + b])
        if 0 <= mm < L.mms:
            S[t + T_ON] = mm + 1
        else:
            said = int64((o.NO_MM << 3) | o.FAILED)
    elif op == o.USE_MM:
        S[t + T_MM] = a + 1
        S[t + T_ON] = a + 1
        said = load_mm(S, L, cpu, int64(a + 1)) << 3
    elif op == o.RELEASE_MM:
        S[t + T_MM] = 0
        if L.lazy_tlb:
            put(S, cpu_set(L, LAZY), L, cpu)
    elif op == o.HOST_PREEMPT:
        put(S, cpu_set(L, PREEMPTED), L, cpu)
    elif op == o.PARK:
        said = int64(o.PARKED)
    elif op == o.HALT:
        said = int64(o.HALTED)
    return said, nxt


@inlined
def irq_step(S: Cells, P: Cells, L: Layout, task: int, pc: int) -> None:
    """Turn the CPU's interrupts off or on, as around a lockless walk."""
    t = L.o_task + task * TASK_CELLS
    op = P[pc * 5]
    a = P[pc * 5 + 1]
    cpu = int64(S[t + T_CPU])
    if op == o.IRQ_OFF:
        put(S, cpu_set(L, IRQ_OFF), L, cpu)
        if a:
            put(S, cpu_set(L, WALKING), L, cpu)
    elif op == o.IRQ_ON:
        take_out(S, cpu_set(L, IRQ_OFF), L, cpu)
        if a:
            take_out(S, cpu_set(L, WALKING), L, cpu)


def _step(S: Cells, P: Cells, lists: Cells, L: Layout, task: int) -> int:
    """Take the next step of a task.

    Args:
        S: the state, changed in place.
        P: steps, shape (n * 5,): operation and operands a b c d.
        lists: tables that PICK reads, any length.
        L: the layout.
        task: the task that takes it, on its home CPU.

    Returns:
        The result (`DONE`, `BLOCKED_*`, `HALTED`, `PARKED`, `FAILED`) in the low 3 bits; above it the lock, event,
        invariant or mistake (`MISTAKES`) that it concerns, or for FLUSH_SELF what the flush did (1 everything, 2 the
        range, 4 left the mm).
    """
    pc = int64(S[L.o_task + task * TASK_CELLS + T_PC])
    op = P[pc * 5]
    family = op & ~o.AFTER
    said = int64(0)
    nxt = pc + 1
    if family < o.LOCKING:
        said, nxt = control_step(S, P, L, task, pc)
    elif family < o.TABLES:
        said, nxt = lock_step(S, P, L, task, pc)
    elif op == o.PICK:
        regs = L.o_task + task * TASK_CELLS + T_REG
        place = int64(S[regs + P[pc * 5 + 2]])
        if 0 <= place < P[pc * 5 + 3]:
            S[regs + o.SLOT] = lists[P[pc * 5 + 1] + place]
        else:
            said = int64((o.NO_PLACE << 3) | o.FAILED)
    elif family < o.GATHERING:
        said, nxt = table_step(S, P, L, task, pc)
    elif family < o.REQUESTING:
        said, nxt = gather_step(S, P, L, task, pc)
    elif family < o.INTERRUPTS:
        said, nxt = request_step(S, P, L, task, pc)
    elif family < o.VARIABLES:
        irq_step(S, P, L, task, pc)
    elif family < o.KERNEL:
        said, nxt = variable_step(S, P, L, task, pc)
    elif family < o.MEMORY:
        said, nxt = request_step(S, P, L, task, pc)
    else:
        said, nxt = memory_step(S, P, L, task, pc)
    if said & 7 == o.DONE:
        S[L.o_task + task * TASK_CELLS + T_PC] = nxt
    return said


@kernel
def choose(S: Cells, P: Cells, L: Layout, task: int) -> bool:
    """Let a task whose next step is a CHOICE jump; `step` takes the other branch."""
    t = L.o_task + task * TASK_CELLS
    pc = int64(S[t + T_PC])
    if P[pc * 5] != o.CHOICE:
        return False
    S[t + T_PC] = P[pc * 5 + 1]
    return True


#: The step function, and a copy that is inlined into a loop of steps, where a step then costs no call.
step = kernel(_step)
step_inlined = inlined_copy(_step)
