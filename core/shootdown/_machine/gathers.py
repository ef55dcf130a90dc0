"""Steps on a gather (struct mmu_gather): its range, its cleared levels, its flags, its queues."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import (
    G_CLEARED,
    G_FLAGS,
    G_HI,
    G_LO,
    G_TABLES,
    GATHER_CELLS,
    M_PENDING,
    MM_CELLS,
    T_GATHER,
    T_ON,
    T_REG,
    TASK_CELLS,
    Layout,
)


@inlined
def stride_shift(L: Layout, cleared: int) -> int:
    """Return log2 of the base pages in one stride of a flush: tlb_get_unmap_shift() - PAGE_SHIFT."""
    if cleared & o.CLEARED_PTES:
        return int64(0)
    if cleared & o.CLEARED_PMDS:
        return int64(L.pmd_shift)
    if cleared & o.CLEARED_PUDS:
        return int64(L.pud_shift)
    if cleared & o.CLEARED_P4DS:
        return int64(L.p4d_shift)
    return int64(0)


@inlined
def strides_of(S: Cells, L: Layout, gather: int) -> int:
    """Count the strides in the range of a gather, as `(end - start) >> stride_shift` does."""
    pages = int64(S[gather + G_HI]) - int64(S[gather + G_LO])
    return pages >> stride_shift(L, int64(S[gather + G_CLEARED]))


@inlined
def widen(S: Cells, gather: int, lo: int, hi: int, flags: int, cleared: int) -> None:
    """Add a range to a gather: __tlb_adjust_range()."""
    old = int64(S[gather + G_FLAGS])
    if old & o.RANGE:
        lo = min(lo, int64(S[gather + G_LO]))
        hi = max(hi, int64(S[gather + G_HI]))
    S[gather + G_LO] = lo
    S[gather + G_HI] = hi
    S[gather + G_FLAGS] = old | flags | o.RANGE
    S[gather + G_CLEARED] = int64(S[gather + G_CLEARED]) | cleared


@inlined
def gather_step(S: Cells, P: Cells, L: Layout, task: int, pc: int) -> tuple[int, int]:
    """Add to a gather, or branch on what it has collected."""
    t = L.o_task + task * TASK_CELLS
    op = P[pc * 5]
    a = P[pc * 5 + 1]
    b = P[pc * 5 + 2]
    c = P[pc * 5 + 3]
    d = P[pc * 5 + 4]
    mm = int64(S[t + T_ON]) - 1
    regs = t + T_REG
    nxt = pc + 1
    said = int64(0)
    if op == o.JUMP_NOT_PENDING:
        if int64(S[L.o_mm + mm * MM_CELLS + M_PENDING]) == 0:
            nxt = b
    else:
        g = t + T_GATHER + a * GATHER_CELLS
        if op == o.JUMP_FLAGS:
            if int64(S[g + G_FLAGS]) & b == 0:
                nxt = c
        elif op == o.JUMP_CLEARED:
            if int64(S[g + G_CLEARED]) == 0 and int64(S[g + G_FLAGS]) & b == 0:
                nxt = c
        elif op == o.GATHER_SLOT:
            lo = int64(S[regs + o.SLOT]) * L.slot_pages
            widen(S, g, lo + b, lo + c, d & 0xFFFF, d >> 16)
        elif op == o.GATHER_ADD:
            widen(S, g, b, c, d & 0xFFFF, d >> 16)
        elif op == o.GATHER:
            S[g + G_FLAGS] = b
            S[g + G_LO] = 0
            S[g + G_HI] = 0
            S[g + G_CLEARED] = 0
            S[g + G_TABLES] = 0
            m = L.o_mm + mm * MM_CELLS + M_PENDING
            S[m] = int64(S[m]) + 1
            if a == 0:
                S[t + T_GATHER + 2 * GATHER_CELLS + G_TABLES] = 0
        elif op == o.GATHER_RESET:
            S[g + G_FLAGS] = int64(S[g + G_FLAGS]) & ~(o.FREED_TABLES | o.UNSHARED_TABLES | o.RANGE)
            S[g + G_CLEARED] = 0
            S[g + G_LO] = 0
            S[g + G_HI] = 0
        elif op == o.CLEAR_FLAGS:
            S[g + G_FLAGS] = int64(S[g + G_FLAGS]) & ~b
        elif op == o.SET_FLAGS:
            S[g + G_FLAGS] = int64(S[g + G_FLAGS]) | b
        elif op == o.GATHER_TABLES:
            n = int64(S[g + G_TABLES]) + b
            if n >= c:
                S[g + G_TABLES] = n - c
            else:
                S[g + G_TABLES] = n
                nxt = d
        elif op == o.GATHER_PAGES:
            # Only a task's outermost gather queues pages. The count is kept in G_TABLES of its third gather, the
            # request, which needs that cell for nothing else.
            q = t + T_GATHER + 2 * GATHER_CELLS + G_TABLES
            n = int64(S[q]) + b
            S[regs + o.SCRATCH] = int64(n >= c)
            S[q] = n - c if n >= c else n
        elif op == o.GATHER_PART or op == o.GATHER_REST:
            pages = c & 0xFFFF
            rest = (
                int64(S[t + T_GATHER + 2 * GATHER_CELLS + G_TABLES])
                if int64(S[regs + o.SCRATCH])
                else int64(0)
            )
            lo = int64(0) if op == o.GATHER_PART else pages - rest
            hi = pages - rest if op == o.GATHER_PART else pages
            if lo < hi:
                at = int64(S[regs + o.SLOT]) * L.slot_pages + b
                end = at + (hi - 1) * (c >> 16) + (int64(1) << L.pmd_shift)
                widen(S, g, at + lo * (c >> 16), end, d & 0xFFFF, d >> 16)
        elif op == o.NESTED:
            if int64(S[L.o_mm + mm * MM_CELLS + M_PENDING]) > 1:
                S[g + G_FLAGS] = int64(S[g + G_FLAGS]) | o.FULLMM | o.FREED_TABLES | o.RANGE
                S[g + G_CLEARED] = 0
        elif op == o.GATHER_END:
            m = L.o_mm + mm * MM_CELLS + M_PENDING
            if int64(S[m]) == 0:
                return int64((o.NOT_BEGUN << 3) | o.FAILED), nxt
            S[m] = int64(S[m]) - 1
            S[g + G_FLAGS] = 0
            S[g + G_TABLES] = 0
        elif op == o.REQUEST:
            S[g + G_FLAGS] = (b & 0xFFFF) | o.RANGE
            S[g + G_CLEARED] = b >> 16
            S[g + G_LO] = c
            S[g + G_HI] = d
        elif op == o.COPY_RANGE:
            r = t + T_GATHER + 2 * GATHER_CELLS
            S[r + G_FLAGS] = (b & 0xFFFF) | o.RANGE
            S[r + G_CLEARED] = b >> 16
            S[r + G_LO] = S[g + G_LO]
            S[r + G_HI] = S[g + G_HI]
    return said, nxt
