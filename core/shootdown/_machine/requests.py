"""A flush request in progress: its targets, how much it drops, when it is answered."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64, lowest, popcount
from shootdown._machine.flushes import catch_up, drop_all_mms, drop_called, handle_flush, leave_idle_mm
from shootdown._machine.gathers import stride_shift, strides_of
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CALL_GEN,
    CPU_CALL_HI,
    CPU_CALL_HOW,
    CPU_CALL_LO,
    CPU_CALL_MM,
    CPU_CALL_STRIDES,
    CPU_CELLS,
    CPU_TASK,
    G_CLEARED,
    G_FLAGS,
    G_HI,
    G_LO,
    GATHER_CELLS,
    M_CONSIDER,
    M_GEN,
    M_GLOBAL,
    M_TRIM,
    MM_CELLS,
    T_CPU,
    T_GATHER,
    T_MM,
    T_ON,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.sets import (
    BEHIND,
    FAR_BEHIND,
    FLUSH_ON_ENTRY,
    LAZY,
    LOADED,
    MASK,
    ONLINE,
    PREEMPTED,
    WALKING,
    cpu_set,
    has,
    mm_set,
    take_out,
)
from shootdown._machine.variables import drained


@inlined
def forget_call(S: Cells, base: int) -> None:
    """Clear the cells of a request that is over."""
    S[base + CPU_CALL] = 0
    S[base + CPU_CALL_MM] = 0
    S[base + CPU_CALL_GEN] = 0
    S[base + CPU_CALL_STRIDES] = 0
    S[base + CPU_CALL_LO] = 0
    S[base + CPU_CALL_HI] = 0
    S[base + CPU_CALL_HOW] = 0


@inlined
def request_step(S: Cells, P: Cells, L: Layout, task: int, pc: int) -> tuple[int, int]:
    """Choose the targets of a flush, send it, wait for it, or flush this CPU."""
    t = L.o_task + task * TASK_CELLS
    op = P[pc * 5]
    a = P[pc * 5 + 1]
    b = P[pc * 5 + 2]
    c = P[pc * 5 + 3]
    d = P[pc * 5 + 4]
    cpu = int64(S[t + T_CPU])
    mm = int64(S[t + T_ON]) - 1
    nxt = pc + 1
    said = int64(0)
    row = task if L.by_task else cpu
    base = L.o_cpu + row * CPU_CELLS
    out = L.o_out + row * L.words
    if op == o.WAIT:
        for w in range(L.words):
            if int64(S[out + w]) != 0:
                return int64(o.BLOCKED_ACK), nxt
        forget_call(S, base)
    elif op == o.CANCEL:
        for w in range(L.words):
            S[out + w] = 0
        forget_call(S, base)
    elif op == o.TARGET_EVERY:
        for w in range(L.words):
            S[out + w] = S[cpu_set(L, ONLINE) + w]
    elif op == o.TARGET_ONLINE:
        for w in range(L.words):
            S[out + w] = S[cpu_set(L, ONLINE) + w]
        take_out(S, out, L, cpu)
    elif op == o.SEND:
        of_kernel = int64(S[base + CPU_CALL]) == o.CALL_KERNEL
        S[base + CPU_CALL] = a | (b << o.SCOPE_SHIFT)
        if int64(S[base + CPU_CALL_MM]) == 0 and not of_kernel:
            S[base + CPU_CALL_MM] = mm + 1
    elif op == o.FLUSH_BEGIN:
        # Changes of entries are visible before anything is invalidated: a locked increment, DSB ISHST, ptesync.
        if L.memory and not drained(S, L, cpu):
            return int64(o.BLOCKED_BUFFER), nxt
        g = t + T_GATHER + a * GATHER_CELLS
        m = L.o_mm + mm * MM_CELLS
        gen = int64(S[m + M_GEN])
        if d & o.UNTRACKED == 0:
            gen = (gen + 1) & 0x7F
            S[m + M_GEN] = gen
        for w in range(0 if d & o.UNTRACKED else L.words):
            tagged = int64(S[cpu_set(L, ONLINE) + w])
            S[mm_set(L, mm, FAR_BEHIND) + w] = S[mm_set(L, mm, BEHIND) + w]
            S[mm_set(L, mm, BEHIND) + w] = tagged
        S[base + CPU_CALL_MM] = mm + 1
        S[base + CPU_CALL_GEN] = gen
        lo = int64(S[g + G_LO])
        hi = int64(S[g + G_HI])
        cleared_shift = stride_shift(L, int64(S[g + G_CLEARED]))
        shift = cleared_shift
        if d & o.PAIR_STRIDES:
            shift = int64(1)
            lo = (lo >> 1) << 1
            hi = -((-hi >> 1) << 1)
        elif d & o.PMD_STRIDES:
            shift = int64(L.pmd_shift)
        elif d & o.BASE_STRIDES:
            shift = int64(0)
        elif d & o.ROUNDED:
            lo = (lo >> shift) << shift
            hi = -((-hi >> shift) << shift)
        n = (hi - lo) >> shift
        pages = hi - lo if d & o.PAIR_STRIDES else n << cleared_shift
        whole = (int64(S[g + G_FLAGS]) & (o.FULLMM | o.NEED_FLUSH_ALL)) | (d & o.EVERYTHING) != 0
        if whole or n > b or (c > 0 and pages > c):
            n = int64(0)
            lo = int64(0)
            hi = int64(0)
            shift = int64(0)
        elif n < 1:  # the first address of what is less than a stride is invalidated
            n = int64(1)
            if d & o.EMPTY_TOO and hi == lo:
                hi = lo + 1
        elif d & o.IN_PAGES:
            n = pages
            shift = int64(0)
        else:
            n = -((lo - hi) >> shift)  # the last stride is invalidated too where the range has a part of it
        if d & (o.PAIR_STRIDES | o.WHOLE_STRIDES):
            shift = int64(0)  # each instruction drops all pages of its pair or stride
        S[base + CPU_CALL_STRIDES] = min(n, L.most)
        S[base + CPU_CALL_LO] = lo
        S[base + CPU_CALL_HI] = hi
        S[base + CPU_CALL_HOW] = shift | (d & (o.ONE_SIZE | o.PMD_TOO) if n else int64(0))
        said = int64(whole) << 3
    elif op == o.TARGET_MM:
        for w in range(L.words):
            S[out + w] = S[mm_set(L, mm, MASK) + w]
        if a == 0:
            take_out(S, out, L, cpu)
    elif op == o.TARGET_NOT_LAZY:
        for w in range(L.words):
            S[out + w] = int64(S[out + w]) & ~int64(S[cpu_set(L, LAZY) + w])
    elif op == o.TARGET_LOADED:
        m = L.o_mm + mm * MM_CELLS + M_TRIM
        if int64(S[m]) != 0:
            S[m] = 0
        else:
            for w in range(L.words):
                S[out + w] = int64(S[out + w]) & int64(S[mm_set(L, mm, LOADED) + w])
    elif op == o.TARGET_RUNNING:
        for w in range(L.words):
            off = int64(S[out + w]) & int64(S[cpu_set(L, PREEMPTED) + w])
            if off:
                at = cpu_set(L, FLUSH_ON_ENTRY) + w
                S[at] = int64(S[at]) | off
                S[out + w] = int64(S[out + w]) & ~off
    elif op == o.TARGET_WALKERS:
        for w in range(L.words):
            keep = int64(S[cpu_set(L, WALKING) + w]) & int64(S[mm_set(L, mm, LOADED) + w])
            S[out + w] = int64(S[out + w]) & keep
    elif op == o.TARGET_CURRENT:
        for w in range(L.words):
            rest = int64(S[out + w])
            while rest:
                bit = rest & -rest
                rest &= ~bit
                other = int64(S[L.o_cpu + (w * L.bits + lowest(bit)) * CPU_CELLS + CPU_TASK]) - 1
                if other < 0 or int64(S[L.o_task + other * TASK_CELLS + T_MM]) != mm + 1:
                    S[out + w] = int64(S[out + w]) & ~bit
    elif op == o.JUMP_NO_TARGET:
        empty = True
        for w in range(L.words):
            if int64(S[out + w]) != 0:
                empty = False
        if empty:
            nxt = a
    elif op == o.JUMP_WHOLE:
        if int64(S[base + CPU_CALL_STRIDES]) == 0:
            nxt = a
    elif op == o.JUMP_EMPTY:
        g = t + T_GATHER + a * GATHER_CELLS
        if int64(S[g + G_LO]) >= int64(S[g + G_HI]):
            nxt = b
    elif op == o.JUMP_NOT_ALONE:
        users = int64(0)
        if int64(S[t + T_MM]) == mm + 1:
            for other in range(L.tasks):
                if int64(S[L.o_task + other * TASK_CELLS + T_MM]) == mm + 1:
                    users += 1
        if users != 1:
            nxt = a
    elif op == o.JUMP_NOT_DEAD:
        for other in range(L.tasks):
            if int64(S[L.o_task + other * TASK_CELLS + T_MM]) == mm + 1:
                nxt = a
    elif op == o.LEAVE_MASK:
        for w in range(L.words):
            others = int64(-1)
            if a:
                others = int64(1) << (cpu & (L.bits - 1)) if w == cpu >> L.shift else int64(0)
            gone = others & ~int64(S[mm_set(L, mm, LOADED) + w])
            at = mm_set(L, mm, MASK) + w
            S[at] = int64(S[at]) & ~gone
    elif op == o.JUMP_NOT_DUE:
        m = L.o_mm + mm * MM_CELLS + M_TRIM
        if int64(S[m]) == 0:
            nxt = b
        S[m] = 0
    elif op == o.JUMP_NOT_LOADED:
        if not has(S, mm_set(L, mm, LOADED), L, cpu):
            nxt = a
    elif op == o.JUMP_NOT_OWN:
        if int64(S[t + T_MM]) != mm + 1:
            nxt = a
    elif op == o.JUMP_NOT_MASKED:
        if not has(S, mm_set(L, mm, MASK), L, cpu):
            nxt = a
    elif op == o.FLUSH_SELF:
        word = cpu >> L.shift
        bit = int64(1) << (cpu & (L.bits - 1))
        full = int64(0)
        partial = int64(0)
        left = int64(0)
        if c == 0:
            full, partial, left = handle_flush(S, L, row, word, bit, a, 1)
        else:
            flushed = int64(S[base + CPU_CALL_MM]) - 1
            if c == 2:
                leave_idle_mm(S, L, flushed, word, bit)
            drop_called(S, L, flushed, word, bit, row, a)
            catch_up(S, L, flushed, word, bit)
            if int64(S[base + CPU_CALL_STRIDES]) == 0:
                full = bit
            else:
                partial = bit
        said = (int64(full != 0) | (int64(partial != 0) << 1) | (int64(left != 0) << 2)) << 3
    elif op == o.JUMP_NOT_GLOBAL:
        if int64(S[L.o_mm + mm * MM_CELLS + M_GLOBAL]) == 0:
            nxt = a
    elif op == o.JUMP_NOT_TRANSITION:
        if int64(S[L.o_mm + mm * MM_CELLS + M_GLOBAL]) != 1:
            nxt = a
    elif op == o.CONSIDER_GLOBAL:
        m = L.o_mm + mm * MM_CELLS
        if int64(S[m + M_CONSIDER]) != 0 and int64(S[m + M_GLOBAL]) == 0:
            n = int64(0)
            for w in range(L.words):
                n += popcount(int64(S[mm_set(L, mm, LOADED) + w]) & ~int64(S[cpu_set(L, LAZY) + w]))
            if n >= a:
                S[m + M_GLOBAL] = 1
        S[m + M_CONSIDER] = 0
    elif op == o.END_TRANSITION:
        S[L.o_mm + mm * MM_CELLS + M_GLOBAL] = 2
    elif op == o.KERNEL_BEGIN:
        forget_call(S, base)
        S[base + CPU_CALL] = o.CALL_KERNEL
        S[base + CPU_CALL_STRIDES] = min(a, L.most)
    elif op == o.KERNEL_SELF:
        strides = int64(S[base + CPU_CALL_STRIDES])
        if strides == 0:
            drop_all_mms(S, L, cpu >> L.shift, int64(1) << (cpu & (L.bits - 1)))
        said = strides << 3
    elif op == o.FLUSH_LOCAL_PAGES:
        drop_called(S, L, mm, cpu >> L.shift, int64(1) << (cpu & (L.bits - 1)), row, b)
    elif op == o.JUMP_STRIDES:
        g = t + T_GATHER + a * GATHER_CELLS
        if strides_of(S, L, g) <= b:
            nxt = c
    return said, nxt
