"""Locks: one writer or many readers; a task that wants a lock waits until it is free."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import (
    K_READERS,
    K_WRITER,
    LOCK_CELLS,
    T_CPU,
    T_ON,
    T_PC,
    T_REG,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.variables import drained


@inlined
def lock_of(S: Cells, L: Layout, P: Cells, pc: int, task: int) -> int:
    """Return the number of the lock that a lock step takes or releases; -1 if register SLOT names none."""
    t = L.o_task + task * TASK_CELLS
    lock = int64(P[pc * 5 + 1])
    if P[pc * 5 + 2] == 1:
        return lock + int64(S[t + T_ON]) - 1
    if P[pc * 5 + 2] == 2:
        slot = int64(S[t + T_REG + o.SLOT])
        return lock + slot if 0 <= slot < L.slots else int64(-1)
    return lock


@inlined
def held(S: Cells, L: Layout, lock: int, write: bool) -> bool:
    """Whether a task that wants a lock has to wait: a reader only for a writer, a writer for anyone."""
    k = L.o_lock + lock * LOCK_CELLS
    return bool(int64(S[k + K_WRITER]) != 0 or (write and int64(S[k + K_READERS]) != 0))


@kernel
def sleeps(S: Cells, P: Cells, L: Layout, task: int) -> bool:
    """Whether a task is blocked at its next step and may sleep there."""
    pc = int64(S[L.o_task + task * TASK_CELLS + T_PC])
    op = P[pc * 5]
    if op == o.AWAIT:
        return bool(int64(S[L.o_event + P[pc * 5 + 1]]) < P[pc * 5 + 2])
    if op != o.LOCK_READ and op != o.LOCK_WRITE:
        return False
    return bool(P[pc * 5 + 3] and held(S, L, lock_of(S, L, P, pc, task), op == o.LOCK_WRITE))


@inlined
def lock_step(S: Cells, P: Cells, L: Layout, task: int, pc: int) -> tuple[int, int]:
    """Take or release a lock."""
    t = L.o_task + task * TASK_CELLS
    op = P[pc * 5]
    c = P[pc * 5 + 3]
    cpu = int64(S[t + T_CPU])
    nxt = pc + 1
    said = int64(0)
    if op == o.LOCK_WRITE or op == o.LOCK_READ or op == o.UNLOCK_WRITE or op == o.UNLOCK_READ:
        lock = lock_of(S, L, P, pc, task)
        if lock < 0:
            return int64((o.NO_LOCK << 3) | o.FAILED), nxt
        k = L.o_lock + lock * LOCK_CELLS
        said = lock << 3
        # A release waits for the stores of the critical section; x86 also takes locks with a locked instruction.
        if L.memory and not drained(S, L, cpu) and (op >= o.AFTER or L.memory == o.TSO):
            return int64(o.BLOCKED_BUFFER), nxt
        if op == o.LOCK_WRITE:
            if held(S, L, lock, True):
                return said | o.BLOCKED_LOCK, nxt
            S[k + K_WRITER] = 1
        elif op == o.LOCK_READ:
            if held(S, L, lock, False):
                return said | o.BLOCKED_LOCK, nxt
            S[k + K_READERS] = int64(S[k + K_READERS]) + 1
        elif int64(S[k + K_WRITER if op == o.UNLOCK_WRITE else k + K_READERS]) == 0:
            return int64((o.NOT_HELD << 3) | o.FAILED), nxt
        elif op == o.UNLOCK_WRITE:
            S[k + K_WRITER] = 0
        else:
            S[k + K_READERS] = int64(S[k + K_READERS]) - 1

    elif op == o.TRY_WRITE:
        lock = lock_of(S, L, P, pc, task)
        if lock < 0:
            return int64((o.NO_LOCK << 3) | o.FAILED), nxt
        # x86 tries with a locked instruction too, and that waits for the stores even where the lock is held.
        if L.memory == o.TSO and not drained(S, L, cpu):
            return int64(o.BLOCKED_BUFFER), nxt
        if held(S, L, lock, True):
            nxt = c
        else:
            S[L.o_lock + lock * LOCK_CELLS + K_WRITER] = 1
            said = lock << 3
    return said, nxt
