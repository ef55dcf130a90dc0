"""Breadth-first search over all states that moves can reach, with exact comparison.

The store is the queue: rows are found in order of their distance. Each has its parent and the label of the move that
led to it, so that the first violation found is a shortest story. A hash table of row numbers is probed linearly and
compares whole rows. The kernel returns to Python to grow the store, to report progress, or with a result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shootdown._explore.moves import (
    CHOOSE,
    COPY,
    DRAIN,
    FILL,
    GRANT,
    IDLE,
    PREEMPT,
    REFUSED,
    RESUME,
    STEP,
    SWITCH,
    TAKE,
    VIOLATED,
    WALK,
    Marks,
    Rules,
    label_of,
    move_inlined,
)
from shootdown._explore.packing import Plan, pack, unpack
from shootdown._explore.renaming import canonical
from shootdown._explore.symmetry import Symmetry
from shootdown._jit import inlined, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64, lowest
from shootdown._machine.layout import CPU_CELLS, CPU_TASK, T_CPU, T_PC, TASK_CELLS, Layout
from shootdown._machine.step import takeable

# Cells of `Store.at`. BEFORE: transitions before those from row HEAD.
HEAD, COUNT, TRANSITIONS, BEFORE, CELL, VALUE, LABEL, INVARIANT, LIMIT = range(9)
AT_CELLS = 9

#: Words that are compared at once; states are padded to as many.
_BLOCK = 8
PADDING = _BLOCK * 4

# Why the kernel returned.
ALL = 0  # every state was expanded
PAUSE = 1  # so many states were expanded
GROW = 2  # the store or its table is full
WIDEN = 3  # the value VALUE did not fit the cell CELL
BUG = 4  # an invariant does not hold after the move LABEL from row HEAD
DEADLOCK = 5  # somebody in row HEAD waits, and nothing will happen


class Store(NamedTuple):
    """What the search has found.

    Args:
        rows: packed states, uint64, flat.
        parent: the row that each was reached from, int32.
        label: the move that led to it, int32.
        table: row numbers plus one by hash, int32; its length is a power of two.
        at: where the search is; see `AT_CELLS`.
    """

    rows: npt.NDArray[np.uint64]
    parent: npt.NDArray[np.int32]
    label: npt.NDArray[np.int32]
    table: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]


class Scratch(NamedTuple):
    """States that the search works on: the one it expands and the one that a move leads to.

    Args:
        here, there: uint16, shape (size,); `here64`, `there64` are the same memory as 64-bit words.
        spare: a third one, for renaming.
        labels: the moves to try, int64.
        row: a packed row, uint64.
    """

    here: npt.NDArray[np.uint16]
    there: npt.NDArray[np.uint16]
    here64: npt.NDArray[np.uint64]
    there64: npt.NDArray[np.uint64]
    spare: npt.NDArray[np.uint16]
    labels: npt.NDArray[np.int64]
    row: npt.NDArray[np.uint64]


@inlined
def hash_row(rows: Cells, at: int, words: int) -> np.uint64:
    """Mix a row into 64 bits."""
    h = np.uint64(0x9E3779B97F4A7C15)
    for w in range(words):
        h = (h ^ rows[at + w]) * np.uint64(0xFF51AFD7ED558CCD)
        h = h ^ (h >> np.uint64(32))
    return h


@kernel
def insert(store: Store, row: Cells, words: int, parent: int, label: int) -> bool:
    """Add a row unless it is there; says whether it was new."""
    mask = np.uint64(store.table.shape[0] - 1)
    slot = hash_row(row, 0, words) & mask
    while True:
        found = int64(store.table[slot]) - 1
        if found < 0:
            break
        same = True
        at = found * words
        for w in range(words):
            if store.rows[at + w] != row[w]:
                same = False
                break
        if same:
            return False
        slot = (slot + np.uint64(1)) & mask
    n = store.at[COUNT]
    for w in range(words):
        store.rows[n * words + w] = row[w]
    store.parent[n] = parent
    store.label[n] = label
    store.table[slot] = n + 1
    store.at[COUNT] = n + 1
    return True


@kernel
def repack(store: Store, rows: Cells, S: Cells, old: Plan, new: Plan) -> None:
    """Write all rows of the store once more, by a wider plan, to `rows`."""
    for n in range(store.at[COUNT]):
        unpack(store.rows, n * old.words, S, old)
        pack(S, rows, n * new.words, new)


@kernel
def rehash(store: Store, words: int) -> None:
    """Fill an empty table with all rows."""
    mask = np.uint64(store.table.shape[0] - 1)
    for n in range(store.at[COUNT]):
        slot = hash_row(store.rows, n * words, words) & mask
        while store.table[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        store.table[slot] = n + 1


@kernel
def begin(store: Store, scratch: Scratch, plan: Plan) -> None:
    """Make the first state the first row."""
    pack(scratch.here, scratch.row, 0, plan)
    insert(store, scratch.row, plan.words, -1, 0)


@inlined
def keep(store: Store, scratch: Scratch, plan: Plan, sym: Symmetry, L: Layout, label: int, head: int) -> bool:
    """Keep the state that a move led to, and make it the one before the move again; False if it does not fit."""
    if sym.groups > 1:
        canonical(scratch.there, scratch.spare, L, sym)
    fits = True
    here64 = scratch.here64
    there64 = scratch.there64
    words = plan.words
    for w in range(words):
        scratch.row[w] = store.rows[head * words + w]
    for block in range(0, here64.shape[0], _BLOCK):
        differs = np.uint64(0)
        for w in range(block, block + _BLOCK):
            differs |= here64[w] ^ there64[w]
        if differs == 0:
            continue
        for w in range(block, block + _BLOCK):
            if here64[w] == there64[w]:
                continue
            for cell in range(w * 4, w * 4 + 4):
                value = np.uint64(scratch.there[cell])
                change = value ^ np.uint64(scratch.here[cell])
                if change:
                    width = plan.width[cell]
                    if value >> np.uint64(width) or width == 0:
                        store.at[CELL] = cell
                        store.at[VALUE] = value
                        fits = False
                    scratch.row[plan.word[cell]] ^= change << plan.shift[cell]
            there64[w] = here64[w]
    if fits:
        store.at[TRANSITIONS] += 1
        insert(store, scratch.row, words, head, label)
    return fits


@kernel
def candidates(S: Cells, L: Layout, R: Rules, labels: Cells) -> int:
    """List the moves that could be possible in a state, and count them; `move` refuses those that aren't."""
    n = int64(0)
    for task in range(L.tasks):
        labels[n] = label_of(STEP, task, 0)
        n += 1
        if R.choices:
            labels[n] = label_of(CHOOSE, task, 0)
            n += 1
    for sender in range(L.cpus):
        for word in range(L.words):
            if int64(S[L.o_out + sender * L.words + word]):
                rest = takeable(S, L, sender, word)
                while rest:
                    labels[n] = label_of(TAKE, sender, word * L.bits + lowest(rest))
                    n += 1
                    rest = rest & (rest - 1)
    for cpu in range(L.cpus):
        if R.walkers:
            labels[n] = label_of(FILL, cpu, 0)
            labels[n + 1] = label_of(WALK, cpu, 0)
            n += 2
        if (R.entries >> cpu) & 1:
            for entry in range(L.entries):
                labels[n] = label_of(COPY, cpu, entry)
                n += 1
        if L.memory:
            for which in range(L.stores):
                labels[n] = label_of(DRAIN, cpu, which)
                n += 1
        if R.hypervisor and (R.preemptible >> cpu) & 1:
            labels[n] = label_of(PREEMPT, cpu, 0)
            labels[n + 1] = label_of(RESUME, cpu, 0)
            n += 2
    if R.scheduler:
        for task in range(L.tasks):
            labels[n] = label_of(IDLE, task, 0)
            labels[n + 1] = label_of(GRANT, task, 0)
            labels[n + 2] = label_of(SWITCH, task, 0)
            n += 3
    return n


@inlined
def is_progress(label: int) -> bool:
    """Say whether a move brings anybody closer to an end; fills, preemptions and sleeping don't."""
    kind = label & 15
    return kind not in (FILL, COPY, PREEMPT, IDLE)


@kernel
def somebody_waits(S: Cells, P: Cells, L: Layout) -> bool:
    """Say whether a task has something left to do."""
    for task in range(L.tasks):
        t = L.o_task + task * TASK_CELLS
        op = P[int64(S[t + T_PC]) * 5]
        cpu = int64(S[t + T_CPU])
        mine = int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK]) == task + 1
        if op == o.HALT and not mine:
            continue
        if op == o.PARK and (P[int64(S[t + T_PC]) * 5 + 1] == 1 or not mine):
            continue
        return True
    return False


@kernel
def search(
    store: Store,
    scratch: Scratch,
    plan: Plan,
    sym: Symmetry,
    P: Cells,
    lists: Cells,
    L: Layout,
    F: Marks,
    R: Rules,
) -> int:
    """Expand states in the order in which they were found; see the constants for why it returns."""
    at = store.at
    most = scratch.labels.shape[0]
    room = min(store.parent.shape[0], store.table.shape[0] // 2)
    for _ in range(at[LIMIT]):
        head = at[HEAD]
        if head >= at[COUNT]:
            return int64(ALL)
        if at[COUNT] + most > room:
            return int64(GROW)
        at[BEFORE] = at[TRANSITIONS]
        unpack(store.rows, head * plan.words, scratch.here, plan)
        for w in range(scratch.here64.shape[0]):
            scratch.there64[w] = scratch.here64[w]
        moved = False
        for i in range(candidates(scratch.here, L, R, scratch.labels)):
            label = int64(scratch.labels[i])
            said = move_inlined(scratch.there, P, lists, L, F, R, label)
            if said == REFUSED:
                continue
            if said & 3 == VIOLATED:
                at[LABEL] = label
                at[INVARIANT] = said >> 2
                return int64(BUG)
            if not keep(store, scratch, plan, sym, L, label, head):
                return int64(WIDEN)
            moved = moved or is_progress(label)
        if not moved and somebody_waits(scratch.here, P, L):
            return int64(DEADLOCK)
        at[HEAD] = head + 1
    return int64(PAUSE)
