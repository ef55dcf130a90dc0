"""Breadth-first search over all states that moves can reach, with exact comparison.

The store is the queue: rows are found in order of their distance. Each has its parent and the label of the move that
led to it, so that the first violation found is a shortest story. A hash table of row numbers is probed linearly and
compares whole rows. The kernel returns to grow the store, to report progress, or with a result; `searches` calls it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shootdown._compilation.instructions import BLOCK, differing, prefetch, raw
from shootdown._compilation.kernels import inlined, kernel
from shootdown._explore.candidates import candidates, is_progress, somebody_waits
from shootdown._explore.cpus import exchange
from shootdown._explore.locality import next_local
from shootdown._explore.marks import Marks, Rules
from shootdown._explore.moves import REFUSED, STEP, VIOLATED, label_of, move_inlined
from shootdown._explore.packing import Plan, hash_row, pack, unpack
from shootdown._explore.renaming import renamed, renaming_of, sort_tables, weigh, weigh_all
from shootdown._explore.symmetry import Symmetry
from shootdown._machine.bits import Cells, int64, lowest
from shootdown._machine.layout import Layout

# Cells of `Store.at`.
HEAD, COUNT, TRANSITIONS, CELL, VALUE, LABEL, INVARIANT, LIMIT = range(8)
AT_CELLS = 8

#: Cells in a word of 64 bits.
IN_WORD = 2
#: Cells that are compared at once; states are padded to as many.
PADDING = BLOCK * IN_WORD

# Why the kernel returned.
ALL = 0  # every state was expanded
PAUSE = 1  # so many states were expanded
GROW = 2  # the store or its table is full
WIDEN = 3  # the value VALUE did not fit the cell CELL
BUG = 4  # an invariant is broken after the move LABEL from row HEAD
DEADLOCK = 5  # a deadlock: some task in row HEAD waits, and no move is possible


class Store(NamedTuple):
    """What the search has found.

    Args:
        rows: packed states, uint64, flat.
        parent: the row that each was reached from, int32.
        label: the move that led to it, int32.
        onward: of the rows that progress leads to from each, the last; 0 for none, or for the first row; int32.
        table: row numbers plus one by hash, int32; its length is a power of two.
        at: the position of the search; see the constants.
        mask: of a hash, for the table.
        room: rows that there is room for.
    """

    rows: npt.NDArray[np.uint64]
    parent: npt.NDArray[np.int32]
    label: npt.NDArray[np.int32]
    onward: npt.NDArray[np.int32]
    table: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]
    mask: int
    room: int


class Scratch(NamedTuple):
    """The search's work area: the state that it expands, the state after a move, and the successors found so far.

    Args:
        here, there: uint32, shape (size,); `here64`, `there64` are the same memory as 64-bit words.
        changed: in what words a move changed something, int64.
        keys: of the groups that are alike: before the move, after it, and room to compare; uint64.
        labels: the moves to try, then those made, int64.
        rows, hashes: the packed rows that they led to, and their hashes, uint64.
        words: 64-bit words of a state.
        most: the most moves that there can be.
    """

    here: npt.NDArray[np.uint32]
    there: npt.NDArray[np.uint32]
    here64: npt.NDArray[np.uint64]
    there64: npt.NDArray[np.uint64]
    changed: npt.NDArray[np.int64]
    keys: npt.NDArray[np.uint64]
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.uint64]
    hashes: npt.NDArray[np.uint64]
    words: int
    most: int


#: Rows whose place in the table is fetched ahead while a table is filled.
_AHEAD = 16


@inlined
def slot_of(store: Store, rows: Cells, at: int, hashed: np.uint64, words: int) -> np.uint64:
    """Find a row's slot in the table: the one that has it, or the free one where it belongs.

    Args:
        store: what the search has found.
        rows, at, words: the row: packed, where it begins, and its length.
        hashed: its hash.
    """
    mask = np.uint64(store.mask)
    slot = hashed & mask
    while True:
        found = int64(store.table[slot]) - 1
        same = True
        for w in range(words if found >= 0 else 0):
            if store.rows[found * words + w] != rows[at + w]:
                same = False
                break
        if same:
            return slot
        slot = (slot + np.uint64(1)) & mask


@inlined
def insert(store: Store, rows: Cells, at: int, hashed: np.uint64, words: int, parent: int, label: int) -> int:
    """Add a row, which begins at `at`, unless it is there; returns its number."""
    slot = slot_of(store, rows, at, hashed, words)
    found = int64(store.table[slot]) - 1
    if found >= 0:
        return int64(found)
    n = store.at[COUNT]
    for w in range(words):
        store.rows[n * words + w] = rows[at + w]
    store.parent[n] = parent
    store.label[n] = label
    store.table[slot] = n + 1
    store.at[COUNT] = n + 1
    return int64(n)


@kernel
def insert_all(store: Store, scratch: Scratch, words: int, n: int, parent: int) -> None:
    """Add all successors of one row. Their slots of the table have been prefetched; now the rows there are."""
    mask = np.uint64(store.mask)
    for i in range(n):
        found = int64(store.table[scratch.hashes[i] & mask]) - 1
        if found >= 0:
            prefetch(store.rows, found * words)
    onward = int64(0)
    for i in range(n):
        row = insert(store, scratch.rows, i * words, scratch.hashes[i], words, parent, scratch.labels[i])
        if row > onward and is_progress(int64(scratch.labels[i])):
            onward = row
    store.onward[parent] = onward


@kernel
def repack(store: Store, rows: Cells, S: Cells, old: Plan, new: Plan) -> None:
    """Repack all rows of the store by a wider plan into `rows`."""
    for n in range(store.at[COUNT]):
        unpack(store.rows, n * old.words, S, old)
        pack(S, rows, n * new.words, new)


@kernel
def rehash(store: Store, words: int) -> None:
    """Fill an empty table with all rows."""
    mask = np.uint64(store.mask)
    n = store.at[COUNT]
    for ahead in range(n + _AHEAD):
        if ahead < n:
            prefetch(store.table, int64(hash_row(store.rows, ahead * words, words) & mask))
        if ahead >= _AHEAD:
            row = ahead - _AHEAD
            slot = hash_row(store.rows, row * words, words) & mask
            while store.table[slot] != 0:
                slot = (slot + np.uint64(1)) & mask
            store.table[slot] = row + 1


@kernel
def begin(store: Store, scratch: Scratch, plan: Plan) -> None:
    """Make the first state the first row."""
    pack(scratch.here, scratch.rows, 0, plan)
    insert(store, scratch.rows, 0, hash_row(scratch.rows, 0, plan.words), plan.words, -1, 0)


@kernel
def restart(store: Store, scratch: Scratch, plan: Plan, sym: Symmetry, row: int) -> None:
    """Unpack a row as the state to expand, in full."""
    unpack(store.rows, row * plan.words, scratch.here, plan)
    for w in range(scratch.words):
        scratch.there64[w] = scratch.here64[w]
    weigh_all(scratch.here, scratch.keys, sym)


@kernel
def go_on(store: Store, scratch: Scratch, plan: Plan, sym: Symmetry, row: int) -> None:
    """Unpack a row as the state to expand: the row before it was unpacked last, so write only cells that differ."""
    words = plan.words
    one = np.uint64(1)
    for w in range(words):
        now = store.rows[row * words + w]
        differs = now ^ store.rows[(row - 1) * words + w]
        while differs:
            cell = plan.cell[w * 64 + lowest(int64(differs))]
            mask = (one << np.uint64(plan.width[cell])) - one
            differs &= ~(mask << plan.shift[cell])
            value = (now >> plan.shift[cell]) & mask
            if sym.groups > 1:
                weigh(scratch.keys, 0, sym, cell, int64(scratch.here[cell]), int64(value))
            scratch.here[cell] = value
            scratch.there[cell] = value


@inlined
def fits(store: Store, plan: Plan, cell: int, value: np.uint64) -> bool:
    """Whether a value fits a cell; if not, record cell and value in `Store.at`."""
    width = np.uint64(plan.width[cell])
    if width != 0 and value >> width == 0:
        return True
    store.at[CELL] = cell
    store.at[VALUE] = value
    return False


@kernel
def rename_row(store: Store, scratch: Scratch, at: int, plan: Plan, sym: Symmetry, which: int) -> bool:
    """Rename the packed row that begins at `at`, from the state that it was packed from; False if it does not fit."""
    good = True
    for i in range(sym.ordered):
        cell = sym.order[i]
        value = np.uint64(renamed(scratch.there, sym, which, cell))
        change = value ^ np.uint64(scratch.there[cell])
        if change:
            good = fits(store, plan, cell, value) and good
            scratch.rows[at + plan.word[cell]] ^= change << plan.shift[cell]
    return good


@inlined
def keep(store: Store, scratch: Scratch, plan: Plan, sym: Symmetry, n: int, head: int) -> bool:
    """Pack the state after a move as row `n`, and undo the move.

    Its slot of the table is prefetched meanwhile: `insert_all` needs it later.

    Returns:
        False if a value does not fit.
    """
    good = True
    if sym.tables > 0:
        sort_tables(scratch.there, sym)
    here64 = scratch.here64
    there64 = scratch.there64
    words = plan.words
    for w in range(words):
        scratch.rows[n * words + w] = store.rows[head * words + w]
    after = sym.groups + 1  # where the keys after the move begin
    for g in range(after):
        scratch.keys[after + g] = scratch.keys[g]
    changed = int64(0)
    for block in range(0, scratch.words, BLOCK):
        some = differing(here64, there64, block)
        while some:
            w = block + lowest(some)
            some = some & (some - 1)
            scratch.changed[changed] = w
            changed += 1
            for cell in range(w * IN_WORD, (w + 1) * IN_WORD):
                value = np.uint64(scratch.there[cell])
                change = value ^ np.uint64(scratch.here[cell])
                if change:
                    good = fits(store, plan, cell, value) and good
                    scratch.rows[n * words + plan.word[cell]] ^= change << plan.shift[cell]
                    if sym.groups > 1:
                        weigh(
                            scratch.keys,
                            after,
                            sym,
                            cell,
                            int64(scratch.here[cell]),
                            int64(scratch.there[cell]),
                        )
    if good and sym.groups > 1:
        which = renaming_of(scratch.there, scratch.keys, after, sym)
        if which > 0:
            good = rename_row(store, scratch, n * words, plan, sym, which)
    for i in range(changed):
        there64[scratch.changed[i]] = here64[scratch.changed[i]]
    if good:
        hashed = hash_row(scratch.rows, n * words, words)
        scratch.hashes[n] = hashed
        prefetch(store.table, int64(hashed & np.uint64(store.mask)))
    return good


@inlined
def raw_store(store: Store) -> Store:
    """Return the same with pointers instead of arrays."""
    return Store(
        raw(store.rows),
        raw(store.parent),
        raw(store.label),
        raw(store.onward),
        raw(store.table),
        raw(store.at),
        store.mask,
        store.room,
    )


@inlined
def raw_scratch(scratch: Scratch) -> Scratch:
    """Return the same with pointers instead of arrays."""
    return Scratch(
        raw(scratch.here),
        raw(scratch.there),
        raw(scratch.here64),
        raw(scratch.there64),
        raw(scratch.changed),
        raw(scratch.keys),
        raw(scratch.labels),
        raw(scratch.rows),
        raw(scratch.hashes),
        scratch.words,
        scratch.most,
    )


@kernel
def expand(
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
    """Expand states in the order in which they were found, on pointers; see the constants for why it returns."""
    at = store.at
    before = int64(-1)
    for _ in range(at[LIMIT]):
        head = at[HEAD]
        if head >= at[COUNT]:
            return int64(ALL)
        if at[COUNT] + scratch.most > store.room:
            return int64(GROW)
        if before < 0:
            restart(store, scratch, plan, sym, head)
        else:
            go_on(store, scratch, plan, sym, head)
        before = head
        moved = False
        n = int64(0)
        why = int64(ALL)
        only = int64(-1)
        if R.later:
            only = next_local(scratch.here, L, F, R)
        if only >= 0:
            scratch.labels[0] = label_of(STEP, only, 1)
            end = int64(1)
        else:
            end = int64(candidates(scratch.here, P, L, R, scratch.labels))
        i = int64(0)
        while i < end:
            label = int64(scratch.labels[i])
            i += 1
            said = move_inlined(scratch.there, P, lists, L, F, R, label)
            if said == REFUSED:
                if only >= 0:  # it waits after all
                    only = int64(-1)
                    i = int64(0)
                    end = int64(candidates(scratch.here, P, L, R, scratch.labels))
                continue
            if said & 3 == VIOLATED:
                at[LABEL] = label
                at[INVARIANT] = said >> 2
                why = int64(BUG)
                break
            if R.cpus:
                exchange(scratch.there, L, scratch.changed)
            if not keep(store, scratch, plan, sym, n, head):
                return int64(WIDEN)
            scratch.labels[n] = label
            n += 1
            moved = moved or is_progress(label)
        at[TRANSITIONS] += n
        insert_all(store, scratch, plan.words, n, head)
        if why == BUG:
            return why
        if not moved and somebody_waits(scratch.here, P, L):
            return int64(DEADLOCK)
        at[HEAD] = head + 1
    return int64(PAUSE)
