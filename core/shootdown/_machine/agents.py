"""Agents, which act without a step of a task: hardware walkers, store buffers, the hypervisor, the scheduler.

Each action is one function, as atomic as `step`: a guard and an effect. It returns False and writes nothing if the
action is not possible now. Exploration tries them at every moment; a timed run calls some of them at fixed moments.
"""

from __future__ import annotations

from shootdown._compilation.kernels import kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import (
    CPU_CELLS,
    CPU_MM,
    CPU_TASK,
    STORE_CELLS,
    T_CPU,
    T_PC,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.locks import sleeps
from shootdown._machine.sets import LAZY, PREEMPTED, cpu_set, has, put
from shootdown._machine.switching import enter_guest, switch_to
from shootdown._machine.variables import make_stale


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
