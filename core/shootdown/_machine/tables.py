"""Steps on page-table entries and the tables that they point to: shared, unshared, reused."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.holding import bury_table
from shootdown._machine.layout import G_FLAGS, GATHER_CELLS, T_CPU, T_GATHER, T_ON, T_REG, TASK_CELLS, Layout
from shootdown._machine.sets import LEAF, WALK, mm_set, put
from shootdown._machine.variables import drained, load, make_stale, store


@inlined
def link_number(L: Layout, mm: int, slot: int) -> int:
    """Return the number by which memory knows the PUD entry of a slot: its distance from the first variable."""
    return L.o_pud - L.o_variable + mm * L.slots + slot


@inlined
def table_step(S: Cells, P: Cells, L: Layout, task: int, pc: int) -> tuple[int, int]:
    """Read or change an entry, or the share count of a table."""
    t = L.o_task + task * TASK_CELLS
    op = P[pc * 5]
    a = P[pc * 5 + 1]
    b = P[pc * 5 + 2]
    c = P[pc * 5 + 3]
    cpu = int64(S[t + T_CPU])
    mm = int64(S[t + T_ON]) - 1
    regs = t + T_REG
    nxt = pc + 1
    said = int64(0)
    if op != o.TOUCH and (int64(S[regs + o.SLOT]) < 0 or int64(S[regs + o.SLOT]) >= L.slots):
        return int64((o.NO_SLOT << 3) | o.FAILED), nxt
    if op == o.JUMP_EXCLUSIVE or op == o.DROP or op == o.UNSHARE or op == o.TABLE_STATE or op == o.READ_TABLE:
        number = int64(S[regs + b]) if op == o.READ_TABLE else int64(S[regs + o.CLASS])
        if number < 1 or number > L.classes:
            return int64((o.NO_TABLE << 3) | o.FAILED), nxt
    if op == o.LOAD_PUD:
        S[regs + a] = load(S, L, cpu, link_number(L, mm, int64(S[regs + o.SLOT])))
    elif op == o.CLEAR_PUD:
        if not store(S, L, cpu, link_number(L, mm, int64(S[regs + o.SLOT])), 0):
            return int64(o.BLOCKED_BUFFER), nxt
        if L.memory == o.SC:
            make_stale(S, L, mm)
    elif op == o.POPULATE:
        number = link_number(L, mm, int64(S[regs + o.SLOT]))
        if load(S, L, cpu, number) != 0:
            nxt = b
        else:
            if not store(S, L, cpu, number, a + 1):
                return int64(o.BLOCKED_BUFFER), nxt
            at = L.o_share + a * L.slots + int64(S[regs + o.SLOT])
            S[regs + o.SCRATCH] = S[at]
            S[at] = int64(S[at]) + 1
    elif op == o.SET_PUD:
        if not store(S, L, cpu, link_number(L, mm, int64(S[regs + o.SLOT])), a + 1):
            return int64(o.BLOCKED_BUFFER), nxt
    elif op == o.STORE_PUD:
        value = int64(S[regs + a]) if b else int64(a)
        if c:
            value = value | o.ENTRY_HUGE
        if not store(S, L, cpu, link_number(L, mm, int64(S[regs + o.SLOT])), value):
            return int64(o.BLOCKED_BUFFER), nxt
        if value == 0 and L.memory == o.SC:
            make_stale(S, L, mm)
    elif op == o.XCHG_PUD:
        if not drained(S, L, cpu):
            return int64(o.BLOCKED_BUFFER), nxt
        at = L.o_pud + mm * L.slots + int64(S[regs + o.SLOT])
        old = int64(S[at])
        S[at] = int64(S[regs + a]) if c else a
        if int64(S[at]) == 0:
            make_stale(S, L, mm)
        S[regs + b] = old
    elif op == o.JUMP_EXCLUSIVE:
        if int64(S[L.o_share + (int64(S[regs + o.CLASS]) - 1) * L.slots + int64(S[regs + o.SLOT])]) < 2:
            nxt = a
    elif op == o.SHARE:
        at = L.o_share + a * L.slots + int64(S[regs + o.SLOT])
        S[regs + o.SCRATCH] = S[at]
        S[at] = int64(S[at]) + 1
    elif op == o.DROP:
        at = L.o_share + (int64(S[regs + o.CLASS]) - 1) * L.slots + int64(S[regs + o.SLOT])
        if int64(S[at]) == 0:
            return int64((o.NOT_SHARED << 3) | o.FAILED), nxt
        S[at] = int64(S[at]) - 1
    elif op == o.UNSHARE:
        at = L.o_share + (int64(S[regs + o.CLASS]) - 1) * L.slots + int64(S[regs + o.SLOT])
        left = int64(S[at]) - 1
        if left < 0:
            return int64((o.NOT_SHARED << 3) | o.FAILED), nxt
        S[at] = left
        g = t + T_GATHER + a * GATHER_CELLS
        flags = int64(S[g + G_FLAGS]) | b
        if left == 1:
            flags = flags | c
        S[g + G_FLAGS] = flags
        said = left << 3
    elif op == o.TABLE_STATE:
        at = L.o_state + (int64(S[regs + o.CLASS]) - 1) * L.slots + int64(S[regs + o.SLOT])
        S[at] = a | ((mm + 1) << o.TABLE_OWNER_SHIFT)
        if L.walks and a != o.TABLE_SHARED:
            owner = mm if a == o.TABLE_REUSED else int64(-1)
            bury_table(S, L, int64(S[regs + o.CLASS]), int64(S[regs + o.SLOT]), owner)
    elif op == o.READ_TABLE:
        at = L.o_state + (int64(S[regs + b]) - 1) * L.slots + int64(S[regs + o.SLOT])
        S[regs + a] = int64(S[at]) & o.TABLE_MASK
    elif op == o.TOUCH:
        put(S, mm_set(L, mm, LEAF), L, cpu)
        if L.hardware_walks:
            put(S, mm_set(L, mm, WALK), L, cpu)
    return said, nxt
