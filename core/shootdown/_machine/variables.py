"""Variables of scenarios, as each CPU sees them through its store buffer and its TLB."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import STORE_CELLS, T_CPU, T_ON, T_REG, TASK_CELLS, WIDE, Layout
from shootdown._machine.sets import LEAF, ONLINE, STALE_LEAF, STALE_WALK, WALK, cpu_set, has, mm_set, take_out

#: The largest sum in a machine to explore: a number that counts down past 0 goes on from here.
_SMALL = 0x7FFF


@kernel
def load(S: Cells, L: Layout, cpu: int, variable: int) -> int:
    """Read a variable as a CPU sees it: the newest of its own buffered stores, else memory.

    Links and entries of page tables are read by their distance from the first variable.
    """
    for i in range(L.stores - 1, -1, -1):
        at = L.o_store + (cpu * L.stores + i) * STORE_CELLS
        if int64(S[at]) == variable + 1:
            return int64(S[at + 1])
    return int64(S[L.o_variable + variable])


@kernel
def store(S: Cells, L: Layout, cpu: int, variable: int, value: int) -> bool:
    """Write a variable: to memory, or to the end of the store buffer; False if that is full."""
    if L.memory == o.SC:
        S[L.o_variable + variable] = value
        return True
    for i in range(L.stores):
        at = L.o_store + (cpu * L.stores + i) * STORE_CELLS
        if int64(S[at]) == 0:
            S[at] = variable + 1
            S[at + 1] = value
            return True
    return False


@kernel
def make_stale(S: Cells, L: Layout, mm: int) -> None:
    """Record that what CPUs hold of an mm was read before one of its PUD entries went."""
    for w in range(L.words):
        leaf = int64(S[mm_set(L, mm, LEAF) + w])
        walk = int64(S[mm_set(L, mm, WALK) + w])
        if leaf:
            S[mm_set(L, mm, STALE_LEAF) + w] = int64(S[mm_set(L, mm, STALE_LEAF) + w]) | leaf
        if walk:
            S[mm_set(L, mm, STALE_WALK) + w] = int64(S[mm_set(L, mm, STALE_WALK) + w]) | walk


@kernel
def drained(S: Cells, L: Layout, cpu: int) -> bool:
    """Whether all stores of a CPU have reached memory."""
    return L.stores == 0 or int64(S[L.o_store + cpu * L.stores * STORE_CELLS]) == 0


@kernel
def access(S: Cells, L: Layout, cpu: int, entry: int, write: int) -> int:
    """Let a user-mode access use the TLB's copy of an entry, or walk; return the entry's value, 0 for a fault.

    A store through a copy that is not dirty first sets the dirty bit of the entry in memory, and faults if that entry
    is no longer present and writable (Intel SDM 3A, 5.8 "Accessed and Dirty Flags").
    """
    at = L.o_tlb + cpu * L.entries + entry
    value = int64(S[at])
    if value == 0 or (write and value & o.ENTRY_WRITABLE == 0):
        value = int64(S[L.o_variable + entry])
        if value & o.ENTRY_PRESENT == 0:
            S[at] = 0
            return int64(0)
        if write and value & o.ENTRY_WRITABLE == 0:
            S[at] = value
            return int64(0)
    if write and value & o.ENTRY_DIRTY == 0:
        value = int64(S[L.o_variable + entry])
        if value & o.ENTRY_PRESENT == 0 or value & o.ENTRY_WRITABLE == 0:
            S[at] = 0
            return int64(0)
        value = value | o.ENTRY_DIRTY
        S[L.o_variable + entry] = value
    S[at] = value
    return value


@inlined
def largest(L: Layout) -> int:
    """Return the largest sum: in a timed run any that a cell holds, in an explored one a small number."""
    return int64(L.most) if L.bits == WIDE else int64(_SMALL)


@inlined
def variable_step(S: Cells, P: Cells, L: Layout, task: int, pc: int) -> tuple[int, int]:
    """Read or write a variable, compute with registers, or report a broken invariant."""
    t = L.o_task + task * TASK_CELLS
    op = P[pc * 5]
    a = P[pc * 5 + 1]
    b = P[pc * 5 + 2]
    c = P[pc * 5 + 3]
    d = P[pc * 5 + 4]
    cpu = int64(S[t + T_CPU])
    regs = t + T_REG
    nxt = pc + 1
    said = int64(0)
    if op == o.V_LOAD:
        where = b + int64(S[regs + c - 1]) if c else b
        if where < 0 or where >= L.variables:
            return int64((o.NO_VARIABLE << 3) | o.FAILED), nxt
        S[regs + a] = load(S, L, cpu, where)
    elif op == o.V_STORE:
        where = a + int64(S[regs + d - 1]) if d else a
        if where < 0 or where >= L.variables:
            return int64((o.NO_VARIABLE << 3) | o.FAILED), nxt
        if not store(S, L, cpu, where, int64(S[regs + b]) if c else b):
            return int64(o.BLOCKED_BUFFER), nxt
    elif op == o.FENCE or op == o.V_ADD or op == o.V_XCHG or op == o.V_CAS:
        if not drained(S, L, cpu):
            return int64(o.BLOCKED_BUFFER), nxt
        if op == o.V_ADD:
            where = a + int64(S[regs + d - 1]) if d else a
            if where < 0 or where >= L.variables:
                return int64((o.NO_VARIABLE << 3) | o.FAILED), nxt
            at = L.o_variable + where
            S[at] = (int64(S[at]) + b) & largest(L)
            S[regs + c] = S[at]
        elif op == o.V_XCHG:
            old = int64(S[L.o_variable + a])
            S[L.o_variable + a] = int64(S[regs + b]) if d else b
            S[regs + c] = old
        elif op == o.V_CAS:
            old = int64(S[L.o_variable + a])
            if old == int64(S[regs + b]):
                S[L.o_variable + a] = S[regs + c]
            else:
                S[regs + b] = old
                nxt = d
    elif op == o.ACCESS:
        S[regs + a] = access(S, L, cpu, b, c)
    elif op == o.FAIL:
        return int64((a << 3) | o.FAILED), nxt
    elif op == o.JUMP_NO_BITS:
        if int64(S[regs + a]) & b == 0:
            nxt = c
    elif op == o.COPY:
        S[regs + a] = S[regs + b]
    elif op == o.ADD:
        S[regs + a] = (int64(S[regs + a]) + b) & largest(L)
    elif op == o.CLEAR_BITS:
        S[regs + a] = int64(S[regs + a]) & ~b
    elif op == o.JUMP_SAME:
        if int64(S[regs + a]) == int64(S[regs + b]):
            nxt = c
    elif op == o.TARGET_RCU:
        out = L.o_out + (task if L.by_task else cpu) * L.words
        for w in range(L.words):
            S[out + w] = S[cpu_set(L, ONLINE) + w]
        take_out(S, out, L, cpu)
    elif op == o.OWN_NUMBER:
        if b == o.OF_CPU:
            S[regs + a] = cpu
        elif int64(S[t + T_ON]) == 0:
            return int64((o.NO_MM << 3) | o.FAILED), nxt
        else:
            S[regs + a] = int64(S[t + T_ON]) - 1
    elif op == o.TARGET_HOLDING:
        if a + L.cpus > L.variables:
            return int64((o.NO_VARIABLE << 3) | o.FAILED), nxt
        out = L.o_out + (task if L.by_task else cpu) * L.words
        wanted = int64(S[regs + b])
        for other in range(L.cpus):
            if has(S, out, L, other) and load(S, L, cpu, a + other) != wanted:
                take_out(S, out, L, other)
    elif op == o.REACHED:
        said = a << 3
    return said, nxt
