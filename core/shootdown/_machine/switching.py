"""Changes of a CPU's own state when it switches to another task, or enters the guest again."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.flushes import catch_up, drop_translations
from shootdown._machine.layout import (
    CPU_CELLS,
    CPU_MM,
    CPU_NEXT_ASID,
    CPU_TASK,
    T_CPU,
    T_MM,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.sets import (
    BEHIND,
    FLUSH_ON_ENTRY,
    LAZY,
    LOADED,
    MASK,
    PREEMPTED,
    cpu_set,
    has,
    mm_set,
    put,
    take_out,
)


@kernel
def switch_to(S: Cells, L: Layout, cpu: int, task: int) -> int:
    """Switch a CPU to a task, or to the idle task (-1): context_switch() and switch_mm_irqs_off().

    Returns:
        1 if the CPU loaded a page-table root, 3 if that also dropped translations, else 0.
    """
    base = L.o_cpu + cpu * CPU_CELLS
    S[base + CPU_TASK] = task + 1
    if task < 0:
        if L.lazy_tlb and int64(S[base + CPU_MM]) != 0:
            put(S, cpu_set(L, LAZY), L, cpu)
        return 0
    mm = int64(S[L.o_task + task * TASK_CELLS + T_MM])
    if mm == 0:  # a kernel thread borrows the loaded mm
        if L.lazy_tlb and int64(S[base + CPU_MM]) != 0:
            put(S, cpu_set(L, LAZY), L, cpu)
        return 0
    return load_mm(S, L, cpu, mm)


@kernel
def load_mm(S: Cells, L: Layout, cpu: int, mm: int) -> int:
    """Load an mm (numbered from one) on a CPU; return as `switch_to` does."""
    base = L.o_cpu + cpu * CPU_CELLS
    old = int64(S[base + CPU_MM])
    word = cpu >> L.shift
    bit = int64(1) << (cpu & (L.bits - 1))
    # From one thread of a process to another nothing is looked at: tlb_gen is, after lazy mode.
    looks = L.lazy_tlb == 0 or has(S, cpu_set(L, LAZY), L, cpu)
    take_out(S, cpu_set(L, LAZY), L, cpu)
    if old == mm:
        if looks and has(S, mm_set(L, mm - 1, BEHIND), L, cpu):
            catch_up(S, L, mm - 1, word, bit)
            drop_translations(S, L, mm - 1, word, bit, o.SCOPE_BOTH)
            return 3
        return 0
    if old:
        take_out(S, mm_set(L, old - 1, LOADED), L, cpu)
        if L.clear_on_switch:
            take_out(S, mm_set(L, old - 1, MASK), L, cpu)
        if not L.tagged:
            drop_translations(S, L, old - 1, word, bit, o.SCOPE_BOTH)
    S[base + CPU_MM] = mm
    put(S, mm_set(L, mm - 1, LOADED), L, cpu)
    put(S, mm_set(L, mm - 1, MASK), L, cpu)
    slots = L.o_asid + cpu * L.asids
    for i in range(L.asids):
        if int64(S[slots + i]) == mm:
            if has(S, mm_set(L, mm - 1, BEHIND), L, cpu):
                catch_up(S, L, mm - 1, word, bit)
                drop_translations(S, L, mm - 1, word, bit, o.SCOPE_BOTH)
                return 3
            return 1
    i = int64(S[base + CPU_NEXT_ASID])
    S[base + CPU_NEXT_ASID] = (i + 1) % L.asids
    evicted = int64(S[slots + i])
    if evicted:
        drop_translations(S, L, evicted - 1, word, bit, o.SCOPE_BOTH)
    S[slots + i] = mm
    catch_up(S, L, mm - 1, word, bit)
    drop_translations(S, L, mm - 1, word, bit, o.SCOPE_BOTH)
    return 3


@inlined
def place(S: Cells, L: Layout, task: int, cpu: int) -> None:
    """Assign a CPU to a new task: select_task_rq_fork()."""
    S[L.o_task + task * TASK_CELLS + T_CPU] = cpu


@kernel
def enter_guest(S: Cells, L: Layout, cpu: int) -> None:
    """Let a preempted vCPU run again; it flushes first if that was requested (KVM_VCPU_FLUSH_TLB)."""
    word = cpu >> L.shift
    bit = int64(1) << (cpu & (L.bits - 1))
    take_out(S, cpu_set(L, PREEMPTED), L, cpu)
    if has(S, cpu_set(L, FLUSH_ON_ENTRY), L, cpu):
        take_out(S, cpu_set(L, FLUSH_ON_ENTRY), L, cpu)
        for mm in range(L.mms):
            drop_translations(S, L, mm, word, bit, o.SCOPE_BOTH)
