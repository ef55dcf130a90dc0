"""Agents, which act without a step of a task: hardware walkers, store buffers, the hypervisor, the scheduler.

Each action is one function, as atomic as `step`: a guard and an effect. It returns False and writes nothing if the
action is not possible now. Exploration tries them at every moment; a timed run calls some of them at fixed moments.
"""

from __future__ import annotations

from shootdown._compilation.kernels import kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.flushes import leave_lazy_mm
from shootdown._machine.layout import (
    CPU_CELLS,
    CPU_MM,
    CPU_TASK,
    STORE_CELLS,
    T_CPU,
    T_MM,
    T_PC,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.locks import sleeps
from shootdown._machine.sets import LAZY, PREEMPTED, USER, cpu_set, has, put, take_out
from shootdown._machine.switching import enter_guest, load_mm, switch_to
from shootdown._machine.variables import drained, make_stale

#: From here on `step_aside` counts the mms of which a CPU may run a thread.
ELSEWHERE = 2


@kernel
def fill_entry(S: Cells, L: Layout, cpu: int, entry: int) -> bool:
    """Let a CPU's walker copy a single page-table entry into its TLB."""
    at = L.o_tlb + cpu * L.entries + entry
    mm = int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_MM]) - 1
    if mm < 0 or int64(S[at]) != 0 or int64(S[L.o_owner + entry]) != mm:
        return False
    if L.hardware_walks == 0 and has(S, cpu_set(L, LAZY), L, cpu):
        return False
    if has(S, cpu_set(L, PREEMPTED), L, cpu) or int64(S[L.o_variable + entry]) & o.ENTRY_PRESENT == 0:
        return False
    S[at] = S[L.o_variable + entry]
    return True


@kernel
def drain_store(S: Cells, L: Layout, cpu: int, which: int) -> bool:
    """Let a buffered store reach memory: the oldest, or with weak memory the oldest to any one variable."""
    row = L.o_store + cpu * L.stores * STORE_CELLS
    variable = int64(S[row + which * STORE_CELLS])
    if variable == 0 or (which > 0 and L.memory != o.WEAK):
        return False
    for i in range(which):
        if int64(S[row + i * STORE_CELLS]) == variable:
            return False
    S[L.o_variable + variable - 1] = S[row + which * STORE_CELLS + 1]
    link = L.o_variable + variable - 1 - L.o_pud
    if 0 <= link < L.mms * L.slots and int64(S[L.o_pud + link]) == 0:
        make_stale(S, L, link // L.slots)
    for i in range(which * STORE_CELLS, (L.stores - 1) * STORE_CELLS):
        S[row + i] = S[row + i + STORE_CELLS]
    S[row + (L.stores - 1) * STORE_CELLS] = 0
    S[row + (L.stores - 1) * STORE_CELLS + 1] = 0
    return True


@kernel
def preempt(S: Cells, L: Layout, cpu: int) -> bool:
    """Let the host preempt a vCPU; its steal-time record says so at once (KVM_VCPU_PREEMPTED)."""
    if has(S, cpu_set(L, PREEMPTED), L, cpu):
        return False
    put(S, cpu_set(L, PREEMPTED), L, cpu)
    return True


@kernel
def resume(S: Cells, L: Layout, cpu: int) -> bool:
    """Let the host run a vCPU again; it flushes first if that was requested (KVM_VCPU_FLUSH_TLB)."""
    if not has(S, cpu_set(L, PREEMPTED), L, cpu):
        return False
    enter_guest(S, L, cpu)
    return True


@kernel
def go_idle(S: Cells, P: Cells, L: Layout, task: int) -> bool:
    """Let a task that has to wait leave its CPU, which then idles and keeps the mm loaded lazily."""
    cpu = int64(S[L.o_task + task * TASK_CELLS + T_CPU])
    if cpu >= L.cpus or int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK]) != task + 1:
        return False
    if has(S, cpu_set(L, PREEMPTED), L, cpu) or not sleeps(S, P, L, task):
        return False
    switch_to(S, L, cpu, -1)
    return True


@kernel
def come_back(S: Cells, P: Cells, L: Layout, task: int) -> bool:
    """Let an idle CPU switch back to one of its tasks whose wait is over."""
    t = L.o_task + task * TASK_CELLS
    cpu = int64(S[t + T_CPU])
    op = P[int64(S[t + T_PC]) * 5]
    if cpu >= L.cpus or int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK]) != 0:
        return False
    if op == o.HALT or op == o.PARK or has(S, cpu_set(L, PREEMPTED), L, cpu) or sleeps(S, P, L, task):
        return False
    switch_to(S, L, cpu, task)
    return True


@kernel
def waits_for_answers(S: Cells, P: Cells, L: Layout, task: int) -> bool:
    """Whether a task waits for answers, and its kernel lets it be preempted meanwhile."""
    pc = int64(S[L.o_task + task * TASK_CELLS + T_PC])
    if P[pc * 5] != o.WAIT or P[pc * 5 + 1] == 0:
        return False
    waits = False
    for w in range(L.words):
        waits = waits or int64(S[L.o_out + task * L.words + w]) != 0
    return waits


@kernel
def step_aside(S: Cells, P: Cells, L: Layout, task: int, what: int) -> bool:
    """Let a task that waits for answers be preempted, or let the CPU that it has left do something else.

    Args:
        S, P, L: the machine.
        task: the task; its request stays its own.
        what: what its CPU does then: 0, it idles; 1, it runs another thread of the mm in user mode, if the mm has one;
            ELSEWHERE + mm, it runs a thread of another mm in user mode, if that one has two; ELSEWHERE and the number
            of mms, a thread of a process of which nothing is known.
    """
    t = L.o_task + task * TASK_CELLS
    cpu = int64(S[t + T_CPU])
    base = L.o_cpu + cpu * CPU_CELLS
    there = int64(S[base + CPU_TASK])
    if (there != 0 and there != task + 1) or has(S, cpu_set(L, PREEMPTED), L, cpu):
        return False
    if not waits_for_answers(S, P, L, task) or not drained(S, L, cpu):
        return False
    mm = int64(S[t + T_MM])
    if what == 0:
        if there == 0 and not has(S, cpu_set(L, USER), L, cpu):
            return False
        take_out(S, cpu_set(L, USER), L, cpu)
        switch_to(S, L, cpu, int64(-1))
        if L.lazy_tlb:
            put(S, cpu_set(L, LAZY), L, cpu)
        return True
    if has(S, cpu_set(L, USER), L, cpu) and there == 0:
        return False
    if what == ELSEWHERE + L.mms:
        S[base + CPU_TASK] = 0
        loaded = int64(S[base + CPU_MM])
        if loaded:
            leave_lazy_mm(S, L, loaded - 1, cpu >> L.shift, int64(1) << (cpu & (L.bits - 1)))
        take_out(S, cpu_set(L, LAZY), L, cpu)
        put(S, cpu_set(L, USER), L, cpu)
        return True
    wanted = mm if what == 1 else what - ELSEWHERE + 1
    if wanted == 0 or (what > 1 and wanted == mm):
        return False
    threads = 0
    for other in range(L.tasks):
        if int64(S[L.o_task + other * TASK_CELLS + T_MM]) == wanted:
            threads += 1
    if threads < 2:  # its only one is elsewhere
        return False
    S[base + CPU_TASK] = 0
    load_mm(S, L, cpu, wanted)
    put(S, cpu_set(L, USER), L, cpu)
    return True


@kernel
def go_on_at(S: Cells, P: Cells, L: Layout, task: int, cpu: int) -> bool:
    """Let a task that was preempted while it waited go on, on a CPU that no other task runs on or comes back to."""
    t = L.o_task + task * TASK_CELLS
    pc = int64(S[t + T_PC])
    home = int64(S[t + T_CPU])
    if P[pc * 5] != o.WAIT or P[pc * 5 + 1] == 0:
        return False
    if int64(S[L.o_cpu + home * CPU_CELLS + CPU_TASK]) == task + 1:
        return False
    if int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK]) != 0 or has(S, cpu_set(L, PREEMPTED), L, cpu):
        return False
    for other in range(L.tasks):  # who sleeps comes back to its own CPU, which is kept for it
        if other != task and int64(S[L.o_task + other * TASK_CELLS + T_CPU]) == cpu:
            there = int64(S[L.o_task + other * TASK_CELLS + T_PC])
            op = P[there * 5]
            if op != o.HALT and op != o.PARK and (op != o.WAIT or P[there * 5 + 1] == 0):
                return False
    take_out(S, cpu_set(L, USER), L, cpu)
    S[t + T_CPU] = cpu
    switch_to(S, L, cpu, task)
    return True
