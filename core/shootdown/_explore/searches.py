"""The kernel that searches: one program that is there, or many that it links, searches and judges one after another.

It is one kernel for both because compiling the search takes most of a minute.
"""

from __future__ import annotations

import numpy as np

from shootdown._compilation.instructions import raw
from shootdown._compilation.kernels import kernel
from shootdown._explore.backward import spread
from shootdown._explore.linking import BROKEN, MOVES, RESULT, STATES, WHY, Work, link, rules_of
from shootdown._explore.marks import Marks, Rules
from shootdown._explore.moves import settle
from shootdown._explore.packing import Plan, raw_plan
from shootdown._explore.renaming import raw_symmetry
from shootdown._explore.search import (
    ALL,
    CELL,
    COUNT,
    GROW,
    HEAD,
    INVARIANT,
    LIMIT,
    TRANSITIONS,
    VALUE,
    WIDEN,
    Scratch,
    Store,
    begin,
    expand,
    raw_scratch,
    raw_store,
    rehash,
    slot_of,
)
from shootdown._explore.symmetry import Symmetry
from shootdown._explore.walk import copy_cells
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import T_PC, TASK_CELLS, Layout

#: Why a search ended, beside those of `search`: from some state, some task never ends.
TRAPPED = 16
#: Rows that a store has room for at first, and how much larger it becomes; its table has two slots for each.
_FIRST_ROOM, _LARGER = 1 << 12, 4
_ENDLESS = 1 << 40  # more states than any search expands


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
    W: Work,
) -> int:
    """Expand states of a program in the order in which they were found; or explore many programs.

    Args:
        store, scratch, plan, sym: of the search.
        P, lists, L, F, R: the program, as in `move`; where many are linked, room for each, and the rules for all.
        W: programs to link; none of them: the one that is there is searched.

    Returns:
        why it returned, as the constants of `search` say; for many programs the number of the first one that was not
        explored, since a value did not fit, which `store` has; or `W.end`.
    """
    if W.begin >= W.end:
        return expanded(store, scratch, plan, sym, P, lists, L, F, R)
    for number in range(W.begin, W.end):
        for turn in range(2):
            copy_cells(scratch.here, W.first)
            does = link(W, number, scratch.here, P, L, F)
            arrive = int64(0)
            if turn == 0:
                arrive = int64(R.arrive)
            rules = rules_of(W, number, does, L, R, arrive)
            settle(scratch.here, P, lists, L, F, rules)
            copy_cells(scratch.there, scratch.here)
            if misfit(scratch.here, plan, store.at):
                return int64(number)
            why = judged(store, scratch, plan, sym, P, lists, L, F, rules, W)
            if why == WIDEN:
                return int64(number)
            if turn == 0 or why != GROW:
                at = number * RESULT
                W.results[at + WHY] = why
                W.results[at + BROKEN] = store.at[INVARIANT]
                W.results[at + STATES] = store.at[COUNT]
                W.results[at + MOVES] = store.at[TRANSITIONS]
            if arrive == 0 or why != TRAPPED:
                break  # else it is told as it is found where calls don't arrive early
    return int64(W.end)


@kernel
def expanded(
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
    """Expand states; see `search.expand`."""
    return expand(
        raw_store(store),
        raw_scratch(scratch),
        raw_plan(plan),
        raw_symmetry(sym),
        raw(P),
        raw(lists),
        L,
        Marks(
            raw(F.local),
            raw(F.dead),
            raw(F.seen),
            raw(F.taken),
            raw(F.without),
            raw(F.acts),
            raw(F.meets),
            raw(F.future),
        ),
        R,
    )


@kernel
def misfit(S: Cells, plan: Plan, at: Cells) -> bool:
    """Whether a state does not fit a plan; the first cell that does not, and its value, are noted."""
    for i in range(plan.vary):
        cell = int64(plan.varying[i])
        if np.uint64(S[cell]) >> np.uint64(plan.width[cell]):
            at[CELL] = cell
            at[VALUE] = int64(S[cell])
            return True
    return False


@kernel
def emptied(store: Store, slots: int, room: int) -> Store:
    """Return the store with an empty table of so many slots, a power of two, and room for so many rows."""
    for i in range(slots):
        store.table[i] = 0
    return Store(
        store.rows,
        store.parent,
        store.label,
        store.onward,
        store.table,
        store.at,
        int64(slots - 1),
        min(int64(room), int64(store.room)),
    )


@kernel
def judged(
    store: Store,
    scratch: Scratch,
    plan: Plan,
    sym: Symmetry,
    P: Cells,
    lists: Cells,
    L: Layout,
    F: Marks,
    R: Rules,
    W: Work,
) -> int:
    """Search from the state that `scratch` has, and look for livelocks; return why it ended."""
    room = int64(_FIRST_ROOM)
    now = emptied(store, 2 * room, room)
    now.at[COUNT] = 0
    now.at[HEAD] = 0
    now.at[TRANSITIONS] = 0
    now.at[INVARIANT] = 0  # of a search that breaks nothing too
    begin(now, scratch, plan)
    why = int64(GROW)
    while why == GROW:
        now.at[LIMIT] = _ENDLESS
        why = expanded(now, scratch, plan, sym, P, lists, L, F, R)
        if why == GROW:
            if now.at[COUNT] >= W.most or now.room >= store.room:
                return why
            room = room * _LARGER
            now = emptied(store, 2 * room, room)
            rehash(now, plan.words)
    if why == ALL:
        made = store.at[TRANSITIONS]
        if trapped(now, scratch, plan, sym, P, lists, L, F, R, W.ends):
            why = int64(TRAPPED)
        store.at[TRANSITIONS] = made
    return why


@kernel
def trapped(
    store: Store,
    scratch: Scratch,
    plan: Plan,
    sym: Symmetry,
    P: Cells,
    lists: Cells,
    L: Layout,
    F: Marks,
    R: Rules,
    ends: Cells,
) -> bool:
    """Whether from some row of a search that is complete some task never ends, all of which could; see `livelock`."""
    count = int64(store.at[COUNT])
    words = plan.words
    for row in range(count):
        ends[row] = 1
    for task in range(L.tasks):
        cell = L.o_task + task * TASK_CELLS + T_PC
        width = np.uint64(plan.width[cell])
        mask = (np.uint64(1) << width) - np.uint64(1)
        for row in range(count):
            pc = int64(scratch.here[cell])
            if width:
                pc = int64((store.rows[row * words + plan.word[cell]] >> plan.shift[cell]) & mask)
            op = P[pc * 5]
            if op != o.HALT and op != o.PARK:
                ends[row] = 0
    while spread(store, ends, count):
        pass
    # Few rows are left. They are expanded once more: all that follows them is there.
    roomy = Store(
        store.rows,
        store.parent,
        store.label,
        store.onward,
        store.table,
        store.at,
        store.mask,
        count + scratch.most,
    )
    again = True
    left = int64(0)
    while again:
        again = False
        left = int64(0)
        for i in range(count):
            row = count - 1 - i
            if ends[row]:
                continue
            store.at[HEAD] = row
            store.at[LIMIT] = 1
            before = int64(store.at[TRANSITIONS])
            expanded(roomy, scratch, plan, sym, P, lists, L, F, R)
            for n in range(int64(store.at[TRANSITIONS]) - before):
                slot = slot_of(store, scratch.rows, n * words, scratch.hashes[n], words)
                if ends[int64(store.table[slot]) - 1]:
                    ends[row] = 1
            left += int64(ends[row] == 0)
            again = again or ends[row] != 0
    return left > 0
