"""Go backwards over the states that a search stored, and make the moves of some of them again."""

from __future__ import annotations

from shootdown._compilation.kernels import kernel
from shootdown._explore.candidates import candidates
from shootdown._explore.marks import Marks, Rules
from shootdown._explore.moves import REFUSED, move
from shootdown._explore.packing import Plan
from shootdown._explore.search import Scratch, Store, keep, restart, slot_of
from shootdown._explore.symmetry import Symmetry
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import Layout


@kernel
def spread(store: Store, ends: Cells, count: int) -> int:
    """Pass on, backwards, that all tasks can end: to where a row was found from, and from where it leads.

    Returns:
        how many rows were told by one before them, so that it takes another pass.
    """
    again = int64(0)
    for i in range(count):
        row = count - 1 - i
        onward = int64(store.onward[row])
        if onward > 0 and ends[onward] and not ends[row]:
            ends[row] = 1
            again += int64(onward < row)
        if row > 0 and ends[row]:
            ends[store.parent[row]] = 1
    return again


@kernel
def followers(
    store: Store,
    scratch: Scratch,
    plan: Plan,
    sym: Symmetry,
    P: Cells,
    lists: Cells,
    L: Layout,
    F: Marks,
    R: Rules,
    rows: Cells,
    begin: int,
    edges: Cells,
    room: int,
) -> tuple[int, int]:
    """Make all moves of some rows again, and look up which rows they lead to.

    Args:
        rows: the rows, int64.
        begin: the place in `rows` of the first.
        edges: gets place in `rows` and the row that it leads to, int64, two numbers each.
        room: how many there is room for.

    Returns:
        the place of the next row, and how many edges there are.
    """
    made = int64(0)
    place = begin
    while place < len(rows) and made + scratch.most <= room:
        row = int64(rows[place])
        restart(store, scratch, plan, sym, row)
        for i in range(candidates(scratch.here, P, L, R, scratch.labels)):
            if move(scratch.there, P, lists, L, F, R, int64(scratch.labels[i])) == REFUSED:
                continue
            keep(store, scratch, plan, sym, int64(0), row)
            slot = slot_of(store, scratch.rows, int64(0), scratch.hashes[0], plan.words)
            edges[2 * made] = place
            edges[2 * made + 1] = int64(store.table[slot]) - 1
            made += 1
        place += 1
    return place, made
