"""Rename the like parts of a state. `symmetry` computes the renamings, before anything is compiled."""

from __future__ import annotations

import numpy as np

from shootdown._compilation.instructions import raw
from shootdown._compilation.kernels import inlined, kernel
from shootdown._explore.symmetry import BYTE, CPU, NAMES, PLAIN, SET, Symmetry
from shootdown._machine.bits import Cells, int64, lowest

#: Whether a name belongs to the same group as the cell that holds it, or to another.
_OWN, _OTHER = 1, 2
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93))


@inlined
def renamed(S: Cells, sym: Symmetry, which: int, cell: int) -> int:
    """Return what a cell of the renamed state holds."""
    value = int64(S[sym.source[which * sym.size + cell]])
    kind = sym.kind[cell]
    if kind == PLAIN:
        return value
    if kind == SET:
        bits = which * 2 * BYTE
        return int64(sym.bits[bits + (value & 0xFF)] | sym.bits[bits + BYTE + (value >> 8)])
    if value >= sym.most:
        return value
    return int64(sym.names[(which * NAMES + kind - 1) * sym.most + value])


@inlined
def mixed(a: int, b: int) -> np.uint64:
    """Mix two small numbers into 64 bits."""
    h = ((np.uint64(a) << np.uint64(32)) | np.uint64(b)) * _MULTIPLIERS[0]
    h = (h ^ (h >> np.uint64(29))) * _MULTIPLIERS[1]
    return h ^ (h >> np.uint64(32))


@inlined
def weigh_name(keys: Cells, at: int, sym: Symmetry, cell: int, kind: int, name: int, sign: np.uint64) -> None:
    """Add a cell that names a CPU, a task or an mm to the keys of its own group and of the named one.

    The word behind the keys counts how often groups name one another.
    """
    owner = sym.owner[cell]
    local = sym.local[cell]
    of = sym.of[(kind - 1) * sym.most + name]
    code = sym.place[(kind - 1) * sym.most + name] * 4
    if of >= 0:
        code += _OWN if of == owner else _OTHER
    if owner >= 0:
        keys[at + owner] += sign * mixed(local * 2, code)
    if of >= 0 and of != owner:
        keys[at + of] += sign * mixed(local * 2 + 1, code)
        if owner >= 0:
            keys[at + sym.groups] += sign


@kernel
def weigh(keys: Cells, at: int, sym: Symmetry, cell: int, old: int, new: int) -> None:
    """Update the groups' keys for one cell.

    A key is a sum over all cells of a group and all names of and by it, so that renaming permutes the keys. Groups with
    different keys differ; groups with the same key are compared in full.

    Args:
        keys: uint64; those of the groups begin at `at`; behind them it is counted how often groups name one another.
        sym: the renamings.
        cell, old, new: the cell, and its value before (-1: not counted yet) and after.
    """
    one = np.uint64(1)
    minus = ~np.uint64(0)
    kind = sym.kind[cell]
    if kind == PLAIN:
        owner = sym.owner[cell]
        if owner >= 0:
            keys[at + owner] += mixed(sym.local[cell] * 2, new)
            if old >= 0:
                keys[at + owner] -= mixed(sym.local[cell] * 2, old)
    elif kind == SET:
        old = max(old, int64(0))
        gone = old & ~new
        while gone:
            weigh_name(keys, at, sym, cell, CPU, lowest(gone), minus)
            gone = gone & (gone - 1)
        come = new & ~old
        while come:
            weigh_name(keys, at, sym, cell, CPU, lowest(come), one)
            come = come & (come - 1)
    else:
        # Such a cell is in no key: keys then don't distinguish groups, as if groups named one another.
        if old >= sym.most:
            keys[at + sym.groups] += minus
        elif old >= 0:
            weigh_name(keys, at, sym, cell, kind, old, minus)
        if new >= sym.most:
            keys[at + sym.groups] += one
        else:
            weigh_name(keys, at, sym, cell, kind, new, one)


@kernel
def weigh_all(S: Cells, keys: Cells, sym: Symmetry) -> None:
    """Compute the keys of a whole state, constant cells included: keys then don't depend on which cells vary."""
    for g in range(sym.groups + 1):
        keys[g] = 0
    for i in range(sym.moved):
        weigh(keys, 0, sym, sym.moves[i], int64(-1), int64(S[sym.moves[i]]))


@kernel
def renaming_of(S: Cells, keys: Cells, at: int, sym: Symmetry) -> int:
    """Choose the renaming to the representative of the state: groups ascend by their keys.

    If keys are equal, it is the renaming whose cells are the smallest in lexicographic order. If no group names
    another, a group's key covers all of its cells, and exchanging groups of equal keys changes nothing.

    Args:
        S: the state.
        keys: the groups' keys begin at `at`, as `weigh` keeps them; behind them is room for as many.
        sym: the renamings.
    """
    n = sym.groups
    up = at + n + 1
    alone = keys[at + n] == 0
    for g in range(n):
        keys[up + g] = keys[at + g] >> np.uint64(16)
        # The place of its first task counts most: a step then seldom changes the order of the groups.
        if sym.first[g] >= 0:
            keys[up + g] |= np.uint64(S[sym.first[g]]) << np.uint64(48)
    ties = False
    ascends = True
    for g in range(1, n):
        if keys[up + g - 1] == keys[up + g]:
            ties = True
        elif keys[up + g - 1] > keys[up + g]:
            ascends = False
    if ascends and (alone or not ties):
        return int64(0)
    if alone:
        ties = False
    elif not ties:
        ties = n > 2 and _has_ties(keys, up, n)
    best = int64(-1)
    for which in range(sym.renamings):
        ascends = True
        for i in range(1, n):
            if keys[up + sym.places[which * n + i - 1]] > keys[up + sym.places[which * n + i]]:
                ascends = False
        if not ascends:
            continue
        if best < 0:
            best = int64(which)
            if not ties:
                break
        elif _is_smaller(S, sym, which, best):
            best = int64(which)
    return best


@inlined
def _has_ties(keys: Cells, at: int, n: int) -> bool:
    for g in range(n):
        for h in range(g):
            if keys[at + g] == keys[at + h]:
                return True
    return False


@kernel
def _is_smaller(S: Cells, sym: Symmetry, which: int, than: int) -> bool:
    """Compare two renamed states."""
    for i in range(sym.ordered):
        cell = sym.order[i]
        a = renamed(S, sym, which, cell)
        b = renamed(S, sym, than, cell)
        if a != b:
            return bool(a < b)
    return False


def room_for_keys(sym: Symmetry) -> int:
    """Return the length of `keys`: keys of the state before a move, of the one after it, and room to compare them."""
    return 3 * sym.groups + 3


@inlined
def row_of(S: Cells, first: int, rows: int, columns: int, owner: int, whose: int, row: int) -> int:
    """Return the next row, from `row` on, that belongs to an owner; `rows` if there is none."""
    while row < rows and S[first + row * columns + owner] != whose:
        row += 1
    return row


@kernel
def comes_before(S: Cells, first: int, rows: int, columns: int, owner: int, a: int, b: int) -> bool:
    """Whether the records of one owner are larger, in lexicographic order, than those of another."""
    i = row_of(S, first, rows, columns, owner, a, int64(0))
    j = row_of(S, first, rows, columns, owner, b, int64(0))
    while i < rows and j < rows:
        for c in range(columns):
            x = S[first + i * columns + c]
            y = S[first + j * columns + c]
            if c != owner and x != y:
                return bool(x > y)
        i = row_of(S, first, rows, columns, owner, a, i + 1)
        j = row_of(S, first, rows, columns, owner, b, j + 1)
    if i < rows or j < rows:
        return bool(i < rows)
    return bool(a < b)  # they are equal: either order will do


@kernel
def sort_rows(S: Cells, first: int, rows: int, columns: int, owner: int) -> None:
    """Number the owners of a table by their records, the largest first, and put the records in that order.

    The records of one owner keep theirs; free rows come last.
    """
    ranks = int64(0)
    for a in range(1, rows + 1):
        if row_of(S, first, rows, columns, owner, a, int64(0)) < rows:
            rank = int64(1)
            for b in range(1, rows + 1):
                if b != a and comes_before(S, first, rows, columns, owner, b, a):
                    rank += 1
            ranks |= rank << (4 * a)
    for row in range(rows):
        at = first + row * columns + owner
        S[at] = (ranks >> (4 * int64(S[at]))) & 15
    for last in range(1, rows):
        at = first + last * columns
        while at > first and S[at + owner] != 0:
            before = S[at - columns + owner]
            if before != 0 and before <= S[at + owner]:
                break
            for c in range(columns):
                cell = S[at + c]
                S[at + c] = S[at - columns + c]
                S[at - columns + c] = cell
            at -= columns


@kernel
def sort_tables(S: Cells, sym: Symmetry) -> None:
    """Sort the records of all tables whose lock is free into the representative order."""
    for t in range(sym.tables):
        at = t * 5
        if S[sym.table[at + 4]] == 0:
            sort_rows(
                S,
                int64(sym.table[at]),
                int64(sym.table[at + 1]),
                int64(sym.table[at + 2]),
                int64(sym.table[at + 3]),
            )


@kernel
def canonical(S: Cells, spare: Cells, keys: Cells, sym: Symmetry) -> None:
    """Rename a state to its representative.

    Args:
        S: the state, changed in place.
        spare: as large.
        keys: as large as `room_for_keys` says; uint64.
        sym: the renamings.
    """
    sort_tables(S, sym)
    if sym.groups < 2:
        return
    weigh_all(S, keys, sym)
    which = renaming_of(S, keys, int64(0), sym)
    for i in range(sym.ordered):
        spare[sym.order[i]] = renamed(S, sym, which, sym.order[i])
    for i in range(sym.ordered):
        S[sym.order[i]] = spare[sym.order[i]]


@inlined
def raw_symmetry(sym: Symmetry) -> Symmetry:
    """Return the symmetry with pointers in place of arrays: hot loops then check no index for its sign."""
    return Symmetry(
        sym.groups,
        sym.renamings,
        sym.size,
        sym.most,
        sym.ordered,
        sym.moved,
        sym.tables,
        raw(sym.source),
        raw(sym.kind),
        raw(sym.order),
        raw(sym.moves),
        raw(sym.owner),
        raw(sym.local),
        raw(sym.names),
        raw(sym.bits),
        raw(sym.of),
        raw(sym.place),
        raw(sym.places),
        raw(sym.first),
        raw(sym.table),
    )
