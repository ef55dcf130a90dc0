"""Steps on entries of page tables and on the frames that they map."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64, lowest
from shootdown._machine.holding import bury_frames, condemn, entry_at, occupants
from shootdown._machine.layout import T_CPU, T_ON, T_REG, TASK_CELLS, Layout
from shootdown._machine.sets import USER, cpu_set, put, take_out
from shootdown._machine.variables import drained, load, store


@inlined
def has_references(S: Cells, L: Layout, frames: int, least: int) -> bool:
    """Whether each of some frames, a mask, has so many references at least."""
    while frames:
        if int64(S[L.o_frame + lowest(frames)]) < least:
            return False
        frames = frames & (frames - 1)
    return True


@inlined
def memory_step(S: Cells, P: Cells, L: Layout, task: int, pc: int) -> tuple[int, int]:
    """Read or change an entry of a page table, a frame's references, or what a right ends."""
    t = L.o_task + task * TASK_CELLS
    op = P[pc * 5]
    a = P[pc * 5 + 1]
    b = P[pc * 5 + 2]
    c = P[pc * 5 + 3]
    d = P[pc * 5 + 4]
    cpu = int64(S[t + T_CPU])
    mm = int64(S[t + T_ON]) - 1
    regs = t + T_REG
    nxt = pc + 1
    if op == o.ENTRY_LOAD or op == o.ENTRY_STORE or op == o.ENTRY_XCHG:
        table = int64(S[regs + o.CLASS])
        if table < 1 or table > L.classes:
            return int64((o.NO_TABLE << 3) | o.FAILED), nxt
        at = entry_at(L, table, b if op == o.ENTRY_LOAD else a)
        if op == o.ENTRY_LOAD:
            S[regs + a] = load(S, L, cpu, at - L.o_variable)
        elif op == o.ENTRY_STORE:
            if not store(S, L, cpu, at - L.o_variable, int64(S[regs + b]) if c else b):
                return int64(o.BLOCKED_BUFFER), nxt
        else:
            if not drained(S, L, cpu):
                return int64(o.BLOCKED_BUFFER), nxt
            old = int64(S[at])
            S[at] = int64(S[regs + b]) if d else b
            S[regs + c] = old
    elif op == o.PUT_FRAMES:
        frames = (int64(S[regs + a]) >> o.ENTRY_PAGE_SHIFT) & ((int64(1) << L.frames) - 1)
        if not has_references(S, L, frames, 1):
            return int64((o.NO_REFERENCE << 3) | o.FAILED), nxt
        free = int64(0)
        while frames:
            at = L.o_frame + lowest(frames)
            S[at] = int64(S[at]) - 1
            if int64(S[at]) == 0:
                free = free | (frames & -frames)
            frames = frames & (frames - 1)
        if free:
            bury_frames(S, L, free)
    elif op == o.GET_FRAMES:
        frames = (int64(S[regs + a]) >> o.ENTRY_PAGE_SHIFT) & ((int64(1) << L.frames) - 1)
        if not has_references(S, L, frames, 1):
            nxt = b
            frames = int64(0)
        while frames:
            at = L.o_frame + lowest(frames)
            S[at] = int64(S[at]) + 1
            frames = frames & (frames - 1)
    elif op == o.JUMP_REFERENCED:
        frames = (int64(S[regs + a]) >> o.ENTRY_PAGE_SHIFT) & ((int64(1) << L.frames) - 1)
        while frames:
            if int64(S[L.o_frame + lowest(frames)]) > 1:
                nxt = b
            frames = frames & (frames - 1)
    elif op == o.QUEUE_FRAMES:
        frames = int64(S[regs + b]) & ((int64(1) << L.frames) - 1) << o.ENTRY_PAGE_SHIFT
        twice = (int64(S[regs + a]) & frames) >> o.ENTRY_PAGE_SHIFT
        if not has_references(S, L, twice, 2):  # one for each time that it is noted
            return int64((o.NO_REFERENCE << 3) | o.FAILED), nxt
        S[regs + a] = int64(S[regs + a]) | frames
        while twice:  # the queue keeps one reference, which frees the frame or does not, as both would
            at = L.o_frame + lowest(twice)
            S[at] = int64(S[at]) - 1
            twice = twice & (twice - 1)
    elif op == o.OCCUPANTS:
        S[regs + a] = int64(S[regs + a]) | occupants(S, L, mm, b) << o.ENTRY_PAGE_SHIFT
    elif op == o.RIGHT_IS_GONE:
        condemn(S, L, mm, b, int64(S[regs + a]) >> o.ENTRY_PAGE_SHIFT, c)
    elif op == o.RIGHT_IS_GONE_UNLESS:
        if int64(S[L.o_variable + c]) == 0:
            condemn(S, L, mm, b, int64(S[regs + a]) >> o.ENTRY_PAGE_SHIFT, d)
    elif op == o.USER_MODE:
        if a:
            put(S, cpu_set(L, USER), L, cpu)
        else:
            take_out(S, cpu_set(L, USER), L, cpu)
    return int64(0), nxt
